"""A listener between real sockets: scripted instances behind it, raw clients before it.

`run(body)` runs an async test on uvloop, as in production. `Stage` is a listener with one app whose instance answers
whatever bytes the test likes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from steadyd.errors import SteadyError
from steadyd.proxy.hosts import RouteTable
from steadyd.proxy.limits import Limits
from steadyd.proxy.listener import Listener
from steadyd.proxy.ring import RequestRecord, RequestRing
from steadyd.proxy.service import Barrier, Holder, Service, Upstream, Waiter

DEADLINE_SECONDS = 10.0
HOST = "app.localhost"
QUIET_SECONDS = 0.05
"""Nothing came within that: only ever used to see that something does not happen."""
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(body: Coroutine[Any, Any, None]) -> None:
    """Run a test to its end, or fail it after a while."""

    async def bounded() -> None:
        async with asyncio.timeout(3 * DEADLINE_SECONDS):
            await body

    uvloop.run(bounded())


async def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Wait for something that another part of the loop will do."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        await asyncio.sleep(0.002)


class StagedUpstream:
    """An `Upstream` that keeps the books on its claims."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.pool: list[Any] = []
        self.version = 3
        self.retired = False
        self.holders: set[Holder] = set()
        self.releases = 0
        self.misses = 0
        self.broken: list[tuple[str, str]] = []

    def unreachable(self) -> None:
        self.misses += 1

    def broke_off(self, holder: Holder) -> None:
        assert holder in self.holders
        self.broken.append(holder.describe())

    def release(self, holder: Holder) -> None:
        self.holders.remove(holder)  # KeyError: a claim released twice, or never granted
        self.releases += 1


class StagedService:
    """A `Service`. With `open` false it keeps holders waiting, like a gate."""

    def __init__(self, name: str, upstream: StagedUpstream | None = None, owned_by_steadyd: bool = False) -> None:
        self.id = name
        self.name = name
        self.owned_by_steadyd = owned_by_steadyd
        self.hidden = False
        self.body_bytes_max: int | None = None
        self.barrier: Barrier | None = None
        self.upstream = upstream
        self.open = True
        self.refusal: SteadyError | None = None
        self.waiting: list[Holder] = []
        self.claims = 0

    def claim(self, holder: Holder) -> None:
        self.claims += 1
        if self.refusal is not None:
            holder.refused(self.refusal)
        elif self.open:
            self._grant(holder)
        else:
            self.waiting.append(holder)

    def forget(self, holder: Holder) -> None:
        self.waiting.remove(holder)

    def let_in(self) -> None:
        """Open the gate."""
        self.open = True
        while self.waiting:
            self._grant(self.waiting.pop(0))

    def _grant(self, holder: Holder) -> None:
        assert self.upstream is not None
        self.upstream.holders.add(holder)
        holder.granted(self.upstream)


class Instance:
    """A scripted program on a Unix socket. `heads` and `bodies` are what it was sent."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.connections = 0
        self.open = 0
        self.heads: list[bytes] = []

    async def serve(self, path: str) -> asyncio.Server:
        return await asyncio.start_unix_server(self.connected, path, limit=1 << 20)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            await self._handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def canned(*answers: bytes, then_close: bool = False) -> Handler:
    """Answer the n-th request on a connection with the n-th text, the last one again and again."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in itertools.count():
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answers[min(number, len(answers) - 1)])
            await writer.drain()
            if then_close:
                return

    return handler


def answer(body: bytes = b"ok", extra: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, extra, len(body), body)


class Client:
    """A raw client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def get(self, path: str = "/", host: str = HOST, extra: str = "") -> None:
        self.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n".encode())

    async def head(self) -> bytes:
        """The next head, with its empty line."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def answer(self, bodiless: bool = False) -> tuple[int, bytes, bytes]:
        """(status, head, body) of the next final answer; chunked bodies are joined."""
        head = await self.head()
        while head.startswith(b"HTTP/1.1 1"):
            head = await self.head()
        async with asyncio.timeout(DEADLINE_SECONDS):
            body = b"" if bodiless else await self._body(head.lower())
        return int(head[9:12]), head, body

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def _body(self, head: bytes) -> bytes:
        if b"transfer-encoding: chunked" in head:
            body = b""
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            while await self.reader.readuntil(b"\r\n") != b"\r\n":
                pass
            return body
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return await self.reader.readexactly(int(line.split(b":")[1]))
        return b""


class Stage:
    """A listener, one app under `app.localhost`, a control plane under `localhost` with the same instance."""

    def __init__(self, listener: Listener, ring: RequestRing, app: StagedService, instance: Instance) -> None:
        self.listener = listener
        self.ring = ring
        self.app = app
        self.instance = instance
        self.narrowed: list[tuple[str, str]] = []

    @property
    def upstream(self) -> StagedUpstream:
        assert self.app.upstream is not None
        return self.app.upstream

    @property
    def port(self) -> int:
        return self.listener.addresses[0][1]

    def tick(self, seconds: float) -> None:
        """Let the listener look at its time-outs as if `seconds` had passed."""
        self.listener.tick(time.monotonic() + seconds)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20))
        try:
            yield client
        finally:
            await client.close()

    async def ask(self, data: bytes) -> tuple[int, bytes, bytes]:
        """One request on a connection of its own."""
        async with self.client() as client:
            client.send(data)
            return await client.answer()

    async def records(self, count: int) -> list[RequestRecord]:
        """Drain until `count` records are there."""
        rows: list[RequestRecord] = []

        def enough() -> bool:
            rows.extend(self.ring.drain())
            return len(rows) >= count

        await until(enough, f"{count} records")
        return rows

    def narrow(self, service: Service, host: str) -> None:
        self.narrowed.append((service.id, host))


@contextlib.asynccontextmanager
async def staged(handler: Handler, limits: Limits | None = None) -> AsyncIterator[Stage]:
    """A stage; at its end no claim, no exchange and no connection may be left."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "app.sock"))
        instance = Instance(handler)
        server = await instance.serve(path)
        app = StagedService("app", StagedUpstream(path))
        control = StagedService("control", StagedUpstream(path), owned_by_steadyd=True)
        ring = RequestRing(256)
        routes = RouteTable({HOST: app, "localhost": control}, control, "http://localhost:9", any_ip_is_control=True)
        stage: Stage
        listener = Listener(routes, ring, limits, lambda service, host: stage.narrow(service, host))
        stage = Stage(listener, ring, app, instance)
        await listener.open("127.0.0.1", 0)
        try:
            yield stage
            await until(lambda: not listener.exchanges, "the exchanges to end")
            assert not stage.upstream.holders
            assert not app.waiting
        finally:
            await listener.close(0.5)
            server.close()
            await until(lambda: not listener.upstream_connections, "the upstream connections to close")
            assert listener.connections == 0


class Closed:
    """A barrier that is opened by hand. While `open`, nothing waits."""

    def __init__(self) -> None:
        self.open = False
        self.full = False
        self.refused: SteadyError | None = None
        self.waiting: dict[Waiter, int] = {}
        self.forgotten = 0
        self.pieces = 0
        self.bytes = 0

    def refusal(self) -> SteadyError | None:
        return self.refused

    def holds(self, waiter: Waiter, size: int) -> bool:
        assert waiter not in self.waiting
        self.pieces += 1
        self.bytes += size
        if self.full:
            raise self.late()
        if not self.open:
            self.waiting[waiter] = size
        return not self.open

    def forget(self, waiter: Waiter) -> None:
        self.forgotten += self.waiting.pop(waiter, None) is not None

    def late(self) -> SteadyError:
        return SteadyError("not_replicated", "It may be kept.", retry_after=2)

    async def settle(self) -> None:
        raise NotImplementedError

    def let_pass(self) -> None:
        waiting, self.waiting = self.waiting, {}
        for waiter in waiting:
            waiter.passed()

    def give_up(self) -> None:
        waiting, self.waiting = self.waiting, {}
        for waiter in waiting:
            waiter.given_up(self.late())


def closed(stage: Stage) -> Closed:
    barrier = Closed()
    stage.app.barrier = barrier
    return barrier


def as_barrier(barrier: Closed) -> Barrier:
    """Held to the protocol by the type checker."""
    return barrier


async def nothing_comes(client: Client) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(QUIET_SECONDS):
            await client.reader.readexactly(1)


async def is_cut(client: Client) -> bytes:
    """What came until the connection broke."""
    try:
        return await client.rest()
    except ConnectionError:
        return client.reader._buffer  # type: ignore[attr-defined, no-any-return]


def as_upstream(upstream: StagedUpstream) -> Upstream:
    """Held to the protocol by the type checker."""
    return upstream
