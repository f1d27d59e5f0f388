from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from steadyd.runner import relay as module
from steadyd.runner.relay import Relay
from tests.runner.conftest import run, until

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def relayed(handler: Handler) -> AsyncIterator[tuple[Relay, int]]:
    """A service on this machine's loopback, and the port under which a relay offers it."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    listening = socket.create_server(("127.0.0.1", 0))
    relay = Relay(listening, server.sockets[0].getsockname()[1])
    port = listening.getsockname()[1]
    try:
        yield relay, port
    finally:
        relay.close()
        server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything back, after its end."""
    writer.write(b"<" + await reader.read(-1) + b">")
    writer.close()


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"held")
    with contextlib.suppress(ConnectionError):
        await reader.read(-1)
    writer.close()


def test_both_directions_and_their_ends_pass() -> None:
    async def body() -> None:
        async with relayed(echo) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            sent = b"?" * 3_000_000
            writer.write(sent)
            writer.write_eof()
            assert await reader.read(-1) == b"<" + sent + b">"
            writer.close()

    run(body())


def test_only_so_many_connections_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS_MAX", 2)

    async def body() -> None:
        async with relayed(hold) as (relay, port):
            kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            assert [await reader.readexactly(4) for reader, _ in kept] == [b"held"] * 2
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read(-1) == b"", "one too many is closed"
            writer.close()
            kept[0][1].close()
            await until(lambda: len(relay._connections) == 1, "a place to be free")
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.readexactly(4) == b"held"
            relay.close()
            assert await kept[1][0].read(-1) == b"", "closing cuts what is open"
            for end in (writer, kept[1][1]):
                end.close()

    run(body())


def test_where_nobody_listens_the_connection_is_closed() -> None:
    async def body() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            listening = socket.create_server(("127.0.0.1", 0))
            port = listening.getsockname()[1]
            relay = Relay(listening, free.getsockname()[1])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read(-1) == b""
            writer.close()
            relay.close()

    run(body())


def test_a_service_that_does_not_accept_is_given_so_much_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DIAL_SECONDS_MAX", 0.05)

    async def body() -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = [socket.socket() for _ in range(4)]
            for client in waiting:
                client.setblocking(False)
                client.connect_ex(full.getsockname())
            listening = socket.create_server(("127.0.0.1", 0))
            port = listening.getsockname()[1]
            relay = Relay(listening, full.getsockname()[1])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read(-1) == b""
            writer.close()
            relay.close()
            for client in waiting:
                client.close()

    run(body())
