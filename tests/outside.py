"""A host and a world around it, both made of network namespaces: no packet of a test leaves this machine.

The host has one way out, to the world, which bears addresses that look public, private and worse. Listeners in both
count who reaches them. Root only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import socket
import struct
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNET = 0x40000000
IP_PKTINFO = 8  # ip(7); socket has no such name
LIBC = ctypes.CDLL(None, use_errno=True)

GATEWAY, HOST, HOST_TOO, BRIDGE = "198.51.100.1", "198.51.100.10", "93.184.216.99", "10.99.0.1"
PUBLIC, ALSO_PUBLIC = "93.184.216.34", "8.8.4.4"
PRIVATE, METADATA = "10.1.2.3", "169.254.169.254"
REFUSED = (PRIVATE, "172.16.5.5", "192.168.7.7", "100.64.3.3", METADATA, "168.63.129.16", "192.0.0.8", "240.0.0.1")
RESOLVER = "10.1.2.53"
WEB, TLS, MAIL, OTHER = 80, 443, 25, 7777
NAMES = {
    "public.test": (PUBLIC,),
    "local.test": ("127.0.0.1",),
    "private.test": (PRIVATE,),
    "metadata.test": (METADATA,),
    "host.test": (HOST,),
    "rebind.test": (PUBLIC, PRIVATE),
}
"""Name → addresses, given in turn, each for no time at all."""

Touch = tuple[str, str, int]


class Outside:
    """`touched` counts (tcp or udp, address, port) of whatever was reached."""

    def __init__(self, folder: Path) -> None:
        self.touched: Counter[Touch] = Counter()
        self._own = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.host, self.world = _namespace(self._own), _namespace(self._own)
        self.resolv_conf = folder / "resolv.conf"
        self.resolv_conf.write_text(f"nameserver {RESOLVER}\n")
        self._asked: Counter[str] = Counter()
        self._selector = selectors.DefaultSelector()
        self._stop, stopped = socket.socketpair()
        self._selector.register(stopped, selectors.EVENT_READ, "stop")
        self._wire()
        self._listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def command(self) -> list[str]:
        """Executes the rest of its words with the host's resolv.conf, and a /dev/net/tun that all may open."""
        script = f"mount --bind {self.resolv_conf} /etc/resolv.conf && "
        script += 'mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, "sh"]

    def close(self) -> None:
        self._stop.close()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        for descriptor in (self.host, self.world, self._own):
            os.close(descriptor)

    # Private

    def _wire(self) -> None:
        host = ["link set lo up", f"addr add {HOST}/24 dev out", "link set out up"]
        host += [f"route add default via {GATEWAY}"]
        host += [f"addr add {address}/32 dev lo" for address in (HOST_TOO, BRIDGE)]
        world = ["link set lo up", f"addr add {GATEWAY}/24 dev in", "link set in up"]
        world += [f"addr add {address}/32 dev lo" for address in (PUBLIC, ALSO_PUBLIC, RESOLVER, *REFUSED)]
        with _held(self.world) as pid:
            _run(self.host, [f"link add out type veth peer name in netns {pid}"])
        _run(self.host, host)
        _run(self.world, world)

    def _listen(self) -> None:
        for namespace, ports in ((self.world, (WEB, TLS, MAIL, OTHER)), (self.host, (OTHER,))):
            with entered(namespace):
                for port in ports:
                    for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                        self._open(family, socket.SOCK_STREAM, any_address, port)
                        self._open(family, socket.SOCK_DGRAM, any_address, port)
        with entered(self.world):
            for address in (RESOLVER, METADATA):
                self._open(socket.AF_INET, socket.SOCK_DGRAM, address, 53)

    def _open(self, family: int, kind: int, address: str, port: int) -> None:
        made = socket.socket(family, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        elif kind == socket.SOCK_DGRAM:
            made.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        made.bind((address, port))
        if kind == socket.SOCK_STREAM:
            made.listen()
        self._selector.register(made, selectors.EVENT_READ, "tcp" if kind == socket.SOCK_STREAM else "udp")

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                listener = key.fileobj
                assert isinstance(listener, socket.socket)
                if key.data == "stop":
                    return
                if key.data == "tcp":
                    self._answer(listener.accept()[0])
                else:
                    self._take(listener)

    def _answer(self, connection: socket.socket) -> None:
        """One HTTP answer: `/to?URL` redirects there."""
        with connection, contextlib.suppress(OSError):
            address, port = connection.getsockname()[:2]
            self.touched["tcp", address, port] += 1
            connection.settimeout(2.0)
            _, _, target = connection.recv(4096).partition(b" ")
            target = target.partition(b" ")[0]
            head = b"HTTP/1.1 200 OK\r\n"
            if target.startswith(b"/to?"):
                head = b"HTTP/1.1 302 Found\r\nLocation: " + target[4:] + b"\r\n"
            body = f"reached {address}:{port}".encode()
            connection.sendall(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def _take(self, listener: socket.socket) -> None:
        packet, told, _, sender = listener.recvmsg(2048, 256)
        address, port = listener.getsockname()[:2]
        for level, kind, data in told:
            if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
                address = socket.inet_ntoa(data[8:12])
        self.touched["udp", address, port] += 1
        if address == RESOLVER:
            listener.sendto(self._resolve(packet), sender)

    def _resolve(self, question: bytes) -> bytes:
        """A DNS answer (RFC 1035 section 4) from NAMES, or NXDOMAIN."""
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += 1 + question[at]
        name, asked = ".".join(labels).lower(), question[at + 1 : at + 3]
        query = question[12 : at + 5]
        addresses = NAMES.get(name)
        if addresses is None or asked != b"\0\1":
            code = b"\x81\x83" if addresses is None else b"\x81\x80"
            return question[:2] + code + b"\0\1\0\0\0\0\0\0" + query
        address = addresses[self._asked[name] % len(addresses)]
        self._asked[name] += 1
        record = b"\xc0\x0c\0\1\0\1" + struct.pack("!IH", 0, 4) + socket.inet_aton(address)
        return question[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query + record


@contextlib.contextmanager
def outside(folder: Path) -> Iterator[Outside]:
    """The surroundings; this thread, and what it starts, is on their host."""
    made = Outside(folder)
    try:
        with entered(made.host):
            yield made
    finally:
        made.close()


@contextlib.contextmanager
def entered(descriptor: int) -> Iterator[None]:
    """This thread, and what it starts, is in that network namespace."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    _enter(descriptor)
    try:
        yield
    finally:
        _enter(own)
        os.close(own)


# Private


def _enter(descriptor: int) -> None:
    if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _namespace(own: int) -> int:
    if LIBC.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    try:
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    finally:
        _enter(own)


@contextlib.contextmanager
def _held(descriptor: int) -> Iterator[int]:
    """The pid of a process in that namespace: ip(8) takes nothing else."""
    command = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{descriptor}", "cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"?")
        process.stdin.flush()
        process.stdout.read(1)  # it is inside by now
        yield process.pid
        process.stdin.close()


def _run(descriptor: int, lines: list[str]) -> None:
    command = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{descriptor}", "ip", "-batch", "-"]
    subprocess.run(command, input="\n".join(lines), text=True, check=True)
