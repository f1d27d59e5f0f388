"""What a candidate asked the network for while it was tried with none.

Its network is a namespace in which every address is its own and nobody listens, so that whatever it calls refuses at
once, as a port does that is closed. Two sockets in it tell what was wanted: one is every name server, and answers that
it refuses; the other sees the packets that open a TCP connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from steadyd.names import NAME_BYTES_MAX, refuse

HOSTS_MAX = 32
PACKETS_PER_TURN_MAX = 16
PACKET_BYTES_MAX = 512
"""Of a query over UDP (RFC 1035, 4.2.1), and more than the headers of a packet."""
TCP = 6
SYN, ACK = 0x02, 0x10


class Sightings:
    """Hosts in the order in which they were first asked for: names, and addresses with their port."""

    def __init__(self) -> None:
        self._hosts: dict[str, None] = {}
        self._sockets: list[socket.socket] = []

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(self._hosts)

    def see(self, host: str) -> None:
        """Remember it, if there is room."""
        if host and len(self._hosts) < HOSTS_MAX:
            self._hosts.setdefault(host[:NAME_BYTES_MAX])

    def watch(self, names: socket.socket, packets: socket.socket) -> None:
        """Serve and read both from now on; `close` gives them back."""
        loop = asyncio.get_running_loop()
        for watched, read in ((names, self._answer), (packets, self._look)):
            watched.setblocking(False)
            self._sockets.append(watched)
            loop.add_reader(watched.fileno(), read, watched)

    def look(self) -> None:
        """Take in what is there by now."""
        for watched, read in zip(self._sockets, (self._answer, self._look), strict=False):
            read(watched)

    def close(self) -> None:
        """Let go of the sockets, which are somebody else's to close."""
        self.look()
        sockets, self._sockets = self._sockets, []
        for watched in sockets:
            asyncio.get_running_loop().remove_reader(watched.fileno())

    # Private

    def _answer(self, names: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for _ in range(PACKETS_PER_TURN_MAX):
                packet, sender = names.recvfrom(PACKET_BYTES_MAX)
                name, said = refuse(packet)
                self.see(name)
                if said:
                    names.sendto(said, sender)

    def _look(self, packets: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for _ in range(PACKETS_PER_TURN_MAX):
                self.see(called(packets.recv(PACKET_BYTES_MAX)))


def called(packet: bytes) -> str:
    """The address and port that a packet (RFC 791, RFC 9293) wants to connect to; "" for an answer, or itself."""
    header = (packet[0] & 15) * 4 if packet else 0
    if header < 20 or len(packet) < header + 14 or packet[16] == 127:
        return ""
    if packet[9] != TCP or packet[header + 13] & (SYN | ACK) != SYN:
        return ""
    return f"{socket.inet_ntoa(packet[16:20])}:{int.from_bytes(packet[header + 2 : header + 4], 'big')}"
