"""The way out of an installation, against a registry of our own on a real port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from steadyd.runner import registry
from steadyd.runner.registry import CONNECTIONS_MAX, DIALS_MAX, HEAD_BYTES_MAX, REGISTRY, Address, Door, Registry
from tests.runner.conftest import UID, run, until

HOST = "127.0.0.1"
OPEN = b"HTTP/1.1 200 OK\r\n\r\n"
REFUSED = b"HTTP/1.1 403 Forbidden\r\n\r\n"


class Far:
    """A registry that sends everything back, and counts who came."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.connections = 0


@asynccontextmanager
async def far() -> AsyncIterator[Far]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, HOST, 0)
    made = Far((HOST, server.sockets[0].getsockname()[1]))
    try:
        yield made
    finally:
        server.close()


@asynccontextmanager
async def say(door: Door, head: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(str(door.socket))
    try:
        writer.write(head)
        yield reader, writer
    finally:
        writer.close()


async def answer(door: Door, head: bytes) -> bytes:
    """All that is said to a head, until the end; a connection that is cut says nothing."""
    async with say(door, head) as (reader, _):
        with contextlib.suppress(ConnectionError):
            return await reader.read(-1)
    return b""


def head(address: Address) -> bytes:
    return b"CONNECT %s:%d HTTP/1.1\r\nHost: x\r\n\r\n" % (address[0].encode(), address[1])


@asynccontextmanager
async def enter(door: Door, address: Address) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with say(door, head(address)) as (reader, writer):
        assert await reader.readexactly(len(OPEN)) == OPEN
        yield reader, writer


def test_what_passes_comes_unchanged_and_ends_with_the_door(root: Path) -> None:
    async def body() -> None:
        async with far() as there, contextlib.AsyncExitStack() as stack:
            async with Registry(root, there.address).door(UID) as door:
                async with enter(door, there.address) as (reader, writer):
                    sent = bytes(range(256)) * 4096
                    writer.write(sent)
                    assert await reader.readexactly(len(sent)) == sent
                    writer.write_eof()
                    assert await reader.read(-1) == b""
                reader, _ = await stack.enter_async_context(enter(door, there.address))
                assert door.trouble == ""
            assert await reader.read(-1) == b"", "whoever is still inside is cut"
        assert os.listdir(root) == []

    run(body())


def test_only_the_registry_s_address_passes(root: Path) -> None:
    async def body() -> None:
        async with far() as trap, far() as there, Registry(root, there.address).door(UID) as door:
            ours, theirs = b"%s:%d" % (HOST.encode(), there.address[1]), b"%s:%d" % (HOST.encode(), trap.address[1])
            for line in [
                b"CONNECT %s HTTP/1.1" % theirs,
                b"CONNECT %s:443 HTTP/1.1" % REGISTRY[0].encode(),
                b"CONNECT  %s HTTP/1.1" % ours,
                b"CONNECT %s. HTTP/1.1" % ours,
                b"CONNECT %s HTTP/1.0" % ours,
                b"CONNECT %s@%s HTTP/1.1" % (ours, theirs),
                b"connect %s HTTP/1.1" % ours,
                b"GET http://%s/ HTTP/1.1" % ours,
                b"CONNECT %s HTTP/1.1\nHost: x" % ours,
            ]:
                assert await answer(door, line + b"\r\nHost: %s\r\n\r\n" % ours) == REFUSED, line
            assert (trap.connections, there.connections) == (0, 0)

    run(body())


def test_a_registry_that_is_away_is_told(root: Path) -> None:
    async def body() -> None:
        with socket.create_server((HOST, 0)) as gone:
            address = gone.getsockname()
        async with Registry(root, address).door(UID) as door:
            assert await answer(door, head(address)) == b"HTTP/1.1 502 Bad Gateway\r\n\r\n"
            assert door.trouble.startswith(f"{HOST} cannot be reached from this server: ")
            began = time.monotonic()
            assert await answer(door, head(address)) == b"HTTP/1.1 502 Bad Gateway\r\n\r\n"
            assert time.monotonic() - began < registry.DIAL_PAUSE_SECONDS, "nobody tries again for each connection"
        async with Registry(root, ("no-such-host.invalid", 443)).door(UID) as door:
            await answer(door, head(("no-such-host.invalid", 443)))
            assert "no-such-host.invalid cannot be reached" in door.trouble

    run(body())


def test_dialling_has_so_much_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "DIAL_SECONDS_MAX", 0.2)

    async def body() -> None:
        with socket.socket() as full, contextlib.ExitStack() as stack:
            full.bind((HOST, 0))
            full.listen(0)
            for _ in range(4):  # past a full queue, a listener on Linux does not answer
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(full.getsockname())
            async with Registry(root, full.getsockname()).door(UID) as door:
                await answer(door, head(full.getsockname()))
                assert door.trouble.endswith("no answer.")

    run(body())


def test_a_registry_that_comes_back_at_once_is_reached_and_one_that_does_not_is_given_up(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        with socket.create_server((HOST, 0)) as gone:
            address = gone.getsockname()
        monkeypatch.setattr(registry, "DIAL_PAUSE_SECONDS", 0.05)
        began = time.monotonic()
        with pytest.raises(OSError, match="refused"):
            await Registry(root, address).dial()
        assert time.monotonic() - began >= 0.05 * (2 ** (DIALS_MAX - 1) - 1)
        monkeypatch.setattr(registry, "DIAL_PAUSE_SECONDS", 0.5)
        dialling = asyncio.ensure_future(Registry(root, address).dial())
        await asyncio.sleep(0)
        server = await asyncio.start_server(lambda reader, writer: writer.close(), *address)
        _, writer = await dialling
        writer.close()
        server.close()

    run(body())


def test_a_head_is_bounded_in_bytes_and_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "HEAD_SECONDS_MAX", 0.2)

    async def body() -> None:
        async with far() as there, Registry(root, there.address).door(UID) as door:
            assert await answer(door, b"CONNECT " + b"x" * 4 * HEAD_BYTES_MAX) == b""
            assert await answer(door, b"CONNECT ") == b""
            assert there.connections == 0

    run(body())


def test_connections_are_limited(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "CONNECTIONS_MAX", 2)
    assert CONNECTIONS_MAX > 64, "what Bun opens by default"

    async def body() -> None:
        async with far() as there, Registry(root, there.address).door(UID) as door, enter(door, there.address):
            async with enter(door, there.address):
                assert await answer(door, head(there.address)) == b""
            await until(lambda: len(door._inside) == 1, "the end of the second")
            async with enter(door, there.address):
                pass

    run(body())


def test_what_is_transferred_is_limited(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "TRANSFER_BYTES_MAX", 3 << 20)

    async def body() -> None:
        async with far() as there, Registry(root, there.address).door(UID) as door:
            async with enter(door, there.address) as (reader, writer):
                writer.write(bytes(1 << 20))
                await reader.readexactly(1 << 20)
                writer.write(bytes(1 << 20))
                with pytest.raises((ConnectionError, EOFError)):
                    await reader.readexactly(1 << 20)
            assert door.trouble == "an installation may transfer 3 MiB."

    run(body())
