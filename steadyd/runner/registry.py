"""The only way out of an installation: a socket that leads to the package registry and nowhere else.

The build sandbox has no network. What asks for a package there (harness/install.ts) speaks CONNECT (RFC 9110 section
9.3.6) on a Unix socket that is bound into it; we compare the address, dial, and move bytes that we cannot read.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

REGISTRY = ("registry.npmjs.org", 443)
"""Tarballs come from there, too."""
SOCKET = "socket"
CONNECTIONS_MAX = 256
"""Of one installation at once; Bun opens 64 by default."""
HEAD_BYTES_MAX = 4 << 10
HEAD_SECONDS_MAX = 10.0
DIAL_SECONDS_MAX = 10.0
"""For all tries together."""
DIALS_MAX = 3
DIAL_PAUSE_SECONDS = 0.25
"""After a refusal; twice as long after each further one."""
TRANSFER_BYTES_MAX = 1 << 30
"""Of one installation, both directions together."""
PIECE_BYTES = 64 << 10
AWAY, TOO_LARGE = "registry_away", "too_large"
"""Why an installation was not served to its end."""
ENDS = (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, asyncio.CancelledError)
"""How a connection may end; the last is ours, and asyncio's own callback (3.11) must not see it."""

Address = tuple[str, int]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Registry:
    """Makes doors. `runtime` is a short path that every app's uid can pass (unix(7): 108 bytes)."""

    def __init__(self, runtime: Path, address: Address = REGISTRY) -> None:
        self._runtime = runtime
        self._address = address
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def door(self, uid: int | None) -> AsyncIterator[Door]:
        """A way to the registry for the time of one installation, which runs as `uid`."""
        folder = self._runtime / f"registry-{next(self._numbers)}"
        folder.mkdir(mode=0o711)
        door = Door(folder, self._address, self.dial)
        try:
            server = await asyncio.start_unix_server(door.enter, str(door.socket), limit=HEAD_BYTES_MAX)
            try:
                door.socket.chmod(0o600)
                if uid is not None:
                    os.chown(door.socket, uid, uid)
                yield door
            finally:
                server.close()
                await door.close()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def dial(self) -> Streams:
        """A connection to the registry.

        Raises:
            OSError: it cannot be had, though it was tried a few times.
        """
        for number in range(DIALS_MAX - 1):
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(*self._address)
            await asyncio.sleep(DIAL_PAUSE_SECONDS * 2**number)
        return await asyncio.open_connection(*self._address)


class Door:
    """One installation's connections. `cause` and `trouble` say why they ended early: AWAY or TOO_LARGE, and a
    sentence; both "" where nothing did."""

    def __init__(self, folder: Path, address: Address, dial: Callable[[], Awaitable[Streams]]) -> None:
        self.folder = folder
        self.cause = ""
        self.trouble = ""
        self._address = address
        self._dial = dial
        self._left = TRANSFER_BYTES_MAX
        self._inside: set[asyncio.Task[None]] = set()

    @property
    def socket(self) -> Path:
        return self.folder / SOCKET

    async def enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from the CONNECT to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._inside.add(task)
        try:
            with contextlib.suppress(*ENDS):
                await self._connect(reader, writer)
        finally:
            self._inside.discard(task)
            writer.close()

    async def close(self) -> None:
        """Nobody passes any more."""
        for task in list(self._inside):
            task.cancel()
        await asyncio.gather(*self._inside, return_exceptions=True)

    # Private

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._inside) > CONNECTIONS_MAX:
            return
        async with asyncio.timeout(HEAD_SECONDS_MAX):
            head = await reader.readuntil(b"\r\n\r\n")
        if head.partition(b"\r\n")[0] != b"CONNECT %s:%d HTTP/1.1" % (self._address[0].encode(), self._address[1]):
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            return
        if self.cause == AWAY:  # tried for long enough: Bun tries again by itself
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return
        try:
            async with asyncio.timeout(DIAL_SECONDS_MAX):
                far_reader, far_writer = await self._dial()
        except (OSError, TimeoutError) as error:
            self.cause = AWAY
            self.trouble = f"{self._address[0]} cannot be reached from this server: {_plain(error)}."
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return
        try:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))
        finally:
            far_writer.close()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while piece := await source.read(PIECE_BYTES):
            self._left -= len(piece)
            if self._left < 0:
                self.cause = TOO_LARGE
                self.trouble = f"an installation may transfer {TRANSFER_BYTES_MAX >> 20} MiB."
                raise EOFError
            target.write(piece)
            await target.drain()
        target.write_eof()


# Private


def _plain(error: OSError | TimeoutError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "no answer"
