"""What a candidate asked the network for."""

from __future__ import annotations

import asyncio
import socket
import struct

from hypothesis import given
from hypothesis import strategies as st

from steadyd.runner.sightings import ACK, HOSTS_MAX, PACKETS_PER_TURN_MAX, SYN, TCP, Sightings, called
from tests.runner.conftest import run, until


def packet(protocol: int, address: str, port: int, flags: int = 0) -> bytes:
    """Headers as they are sent (RFC 791, RFC 9293)."""
    header = bytes([0x45, 0]) + bytes(7) + bytes([protocol]) + bytes(6) + socket.inet_aton(address)
    return header + struct.pack("!HH", 40_000, port) + bytes(9) + bytes([flags]) + bytes(6)


def query(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return b"\0\7\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"


def test_an_attempt_to_connect_names_address_and_port() -> None:
    assert called(packet(TCP, "10.1.2.3", 5432, SYN)) == "10.1.2.3:5432"


def test_answers_and_itself_are_none() -> None:
    assert called(packet(TCP, "10.1.2.3", 5432, SYN | ACK)) == ""
    assert called(packet(TCP, "10.1.2.3", 5432, ACK)) == ""
    assert called(packet(TCP, "127.0.0.1", 3000, SYN)) == ""
    assert called(packet(17, "8.8.8.8", 443)) == ""
    assert called(packet(1, "8.8.8.8", 0)) == ""


@given(st.binary(max_size=80))
def test_no_packet_is_too_odd(content: bytes) -> None:
    assert len(called(content)) <= len("255.255.255.255:65535")


def test_so_many_hosts_are_remembered() -> None:
    seen = Sightings()
    for number in (*range(HOSTS_MAX + 5), 0):
        seen.see(f"host-{number}")
    seen.see("")
    assert seen.hosts == tuple(f"host-{number}" for number in range(HOSTS_MAX))


def test_names_are_refused_and_remembered() -> None:
    async def body() -> None:
        seen = Sightings()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        other, quiet = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with ours, theirs, other, quiet:
            seen.watch(ours, other)
            theirs.send(query("api.example.com"))
            theirs.send(query("long." * 120 + "example.com"))
            await until(lambda: seen.hosts == ("api.example.com",))
            seen.close()
            theirs.send(query("later.example.com"))
            await asyncio.sleep(0)
            assert seen.hosts == ("api.example.com",)

    run(body())


def test_so_many_packets_in_a_turn() -> None:
    """Who asks without end delays nobody."""
    seen = Sightings()
    with socket.socket(type=socket.SOCK_DGRAM) as names, socket.socket(type=socket.SOCK_DGRAM) as app:
        names.bind(("127.0.0.1", 0))
        names.setblocking(False)
        for number in range(PACKETS_PER_TURN_MAX + 3):
            app.sendto(query(f"{number}.example.com"), names.getsockname())
        counts = []
        for _ in range(2):
            seen._answer(names)
            counts.append(len(seen.hosts))
        assert counts == [PACKETS_PER_TURN_MAX, PACKETS_PER_TURN_MAX + 3]
