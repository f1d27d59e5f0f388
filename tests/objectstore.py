"""A real S3 server (moto) as a process of its own, and a proxy before it that does what networks and stores do.

with ObjectStore() as store, FaultProxy(store.port) as proxy:
    target = store.target("p", port=proxy.port)      # or store.environment(proxy.port), store.url("p") for a daemon
    proxy.become(Fault.FULL)
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Self

from steadyd.backup.target import Target, parse_target

READY_SECONDS = 60.0
BUCKET = "steadyd-tests"
KEY_ID, SECRET = "AKIASTEADYDTESTS", "a secret of these tests"
HEAD_BYTES = 64 << 10
IDLE_SECONDS = 60.0
CLOSE_SECONDS = 20.0


class ObjectStore:
    """The server. What it holds is in its memory, and gone with it."""

    def __init__(self, log: Path | None = None) -> None:
        self.port = free_port()
        # What this machine says of certificates is for others, and its proxies know no loopback.
        environment = {k: v for k, v in os.environ.items() if "PROXY" not in k.upper() and not k.startswith("AWS_")}
        with (log or Path(os.devnull)).open("wb") as output:
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._until_it_answers()
        self._ask("PUT", f"/{BUCKET}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """It is gone, and everything in it."""
        self._process.kill()
        self._process.wait()

    def url(self, prefix: str = "host") -> str:
        """For `--replica`."""
        return f"s3://{BUCKET}/{prefix}"

    def environment(self, port: int | None = None) -> dict[str, str]:
        """What a daemon's environment says of it; `port` is that of a proxy before it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
            "AWS_REGION": "us-east-1",
        }

    def target(self, prefix: str = "host", port: int | None = None) -> Target:
        return parse_target(self.url(prefix), self.environment(port))

    def check_credentials(self, wanted: bool = True) -> None:
        """From now on it knows no key but those made with its IAM: everybody else is refused with 403."""
        self._ask("POST", "/moto-api/reset-auth", b"0" if wanted else b"inf")

    # Private

    def _until_it_answers(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self._ask("GET", "/moto-api/data.json")
                return
            except OSError:
                assert time.monotonic() < deadline, "moto does not answer"
                assert self._process.poll() is None, "moto ended"
                time.sleep(0.02)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body, method=method)
        request.add_header("Content-Type", "text/plain")  # else a form, whose body is parsed away
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10):
            pass


class Fault(Enum):
    """What becomes of a connection, or of a request of it."""

    NONE = auto()
    SLOW = auto()
    """Each piece of an answer comes `delay_seconds` late."""
    CUT = auto()
    """The connection ends after `cut_bytes` of an answer."""
    RESET = auto()
    """It is reset as soon as something is asked."""
    REFUSE = auto()
    """There is nobody at the port."""
    HALF_OPEN = auto()
    """Everything is taken, nothing is answered."""
    FULL = auto()
    """Whatever writes is answered with 507; reads go through."""
    BUSY = auto()
    """Everything is answered with 503."""
    DENIED = auto()
    """Everything is answered with 403, InvalidAccessKeyId."""
    UNCONDITIONAL = auto()
    """If-None-Match is taken and ignored."""


BY_REQUEST = frozenset({Fault.FULL, Fault.BUSY, Fault.DENIED, Fault.UNCONDITIONAL})
REFUSALS = {
    Fault.FULL: (507, "Insufficient Storage", "InsufficientStorage"),
    Fault.BUSY: (503, "Service Unavailable", "SlowDown"),
    Fault.DENIED: (403, "Forbidden", "InvalidAccessKeyId"),
}


class FaultProxy:
    """A TCP proxy on a port of its own, in threads of its own: tests with and without a loop can use it."""

    def __init__(self, upstream: int) -> None:
        self.port = free_port()
        self.fault = Fault.NONE
        self.delay_seconds = 0.5
        self.cut_bytes = 100
        self.connections = 0
        """Accepted since the beginning."""
        self.busiest = 0
        """Open at the same time, at the most."""
        self._upstream = upstream
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._starting = threading.Lock()
        self._changed = threading.Event()
        self._door: socket.socket | None = None
        self._listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def become(self, fault: Fault, delay_seconds: float = 0.5, cut_bytes: int = 100) -> None:
        """From now on, and for what is under way: connections from before end."""
        self.fault, self.delay_seconds, self.cut_bytes = fault, delay_seconds, cut_bytes
        self._changed.set()
        self._changed = threading.Event()
        if fault is Fault.REFUSE and self._door is not None:
            door, self._door = self._door, None
            door.shutdown(socket.SHUT_RDWR)  # wakes who accepts, and that one closes it
        with self._lock:
            for connection in self._open:
                _end(connection)
        if fault is not Fault.REFUSE and self._door is None:
            self._listen()

    def close(self) -> None:
        """Nobody listens any more, and nothing goes on."""
        self.become(Fault.REFUSE)
        while self._threads:
            for thread in list(self._threads):
                thread.join(CLOSE_SECONDS)
                assert not thread.is_alive(), "a connection does not end"
                self._threads.discard(thread)

    # Private

    def _start(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, name="fault proxy", daemon=True)
        with self._starting:  # doors and connections start them; who closes finds none that has not begun
            thread.start()
            self._threads = {known for known in self._threads if known.is_alive()} | {thread}
        return thread

    def _listen(self) -> None:
        for thread in list(self._threads):
            if thread.name == "door":
                thread.join(CLOSE_SECONDS)  # the port is free once it closed
        self._door = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._start(self._accept, self._door)

    def _accept(self, door: socket.socket) -> None:
        threading.current_thread().name = "door"
        with door, contextlib.suppress(OSError):
            while True:
                client, _ = door.accept()
                if door is not self._door:
                    client.close()
                    return
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, self._known(client), contextlib.suppress(OSError):
            self.connections += 1
            client.settimeout(IDLE_SECONDS)
            if self.fault is Fault.RESET:
                client.recv(1)
                _end(client, reset=True)
            elif self.fault is Fault.HALF_OPEN:
                while client.recv(HEAD_BYTES):
                    pass
            elif self.fault in BY_REQUEST:
                self._answer(client)
            else:
                self._splice(client)

    @contextlib.contextmanager
    def _known(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
            self.busiest = max(self.busiest, len(self._open))
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)

    def _splice(self, client: socket.socket) -> None:
        """Both directions, until one ends or the fault says so."""
        with socket.create_connection(("127.0.0.1", self._upstream), timeout=IDLE_SECONDS) as server:
            up = self._start(_pump, client, server)
            fault, delay, left, changed = self.fault, self.delay_seconds, self.cut_bytes, self._changed
            try:
                while data := server.recv(HEAD_BYTES):
                    if fault is Fault.SLOW and changed.wait(delay):
                        return
                    client.sendall(data[:left] if fault is Fault.CUT else data)
                    left -= len(data)
                    if fault is Fault.CUT and left <= 0:
                        return
            finally:
                _end(client)
                _end(server)
                up.join(CLOSE_SECONDS)

    def _answer(self, client: socket.socket) -> None:
        """One request: refused here, or carried on without its condition."""
        with client.makefile("rb") as reader:
            lines = []
            while (line := reader.readline(HEAD_BYTES)) not in (b"\r\n", b""):
                lines.append(line.decode("latin-1").rstrip("\r\n"))
            if not lines:
                return
            first = lines.pop(0)
            said = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            if said.get("expect", "").lower() == "100-continue":
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = reader.read(int(said.get("content-length", "0")))
        writes = first.partition(" ")[0] in ("PUT", "POST", "DELETE")
        if self.fault is Fault.UNCONDITIONAL or (self.fault is Fault.FULL and not writes):
            left_out = ("if-none-match", "connection", "expect")
            kept = [line for line in lines if line.partition(":")[0].lower() not in left_out]
            asked = "\r\n".join([first, *kept, "Connection: close", "", ""]).encode("latin-1")
            self._pass_on(asked + body, client)
            return
        status, phrase, code = REFUSALS[self.fault]
        told = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{phrase}</Message></Error>".encode()
        client.sendall(f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/xml\r\n".encode())
        client.sendall(f"Content-Length: {len(told)}\r\nConnection: close\r\n\r\n".encode() + told)

    def _pass_on(self, request: bytes, client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._upstream), timeout=IDLE_SECONDS) as server:
            server.sendall(request)
            while data := server.recv(HEAD_BYTES):
                client.sendall(data)


def free_port() -> int:
    """A port that nobody listens at. It can be had again at once, by whoever asks for it by number."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# Private


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(HEAD_BYTES):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _end(connection: socket.socket, reset: bool = False) -> None:
    """Wakes who waits for it; the one whose it is closes it."""
    with contextlib.suppress(OSError):
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            connection.shutdown(socket.SHUT_RDWR)
