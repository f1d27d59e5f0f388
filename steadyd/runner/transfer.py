"""Files that are taken out of an app's databases, or put into them: CSV, JSON, SQL, and whole databases.

A file that is taken out is made whole in a scratch folder by a child and only then sent, so a slow reader holds nothing
of the app's. One that is put in lies there before the child starts, and is as hostile as what the app wrote.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.runner.query import Databases, Task

EXPORT_SECONDS_MAX = 120.0
EXPORT_BYTES_MAX = 1_000 << 20
IMPORT_SECONDS_MAX = 60.0
IMPORT_BYTES_MAX = 100 << 20
IMPORT_BESIDE_BYTES_MAX = 4 << 20
"""What is larger is imported while nothing of the app runs: it takes longer than an app waits for a lock."""
PIECE_BYTES = 256 << 10

OPENED = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Made:
    """A file that a child made. `answer` is what it said of it."""

    descriptor: int
    size: int
    answer: dict[str, Any]

    async def pieces(self) -> AsyncIterator[bytes]:
        """Its content."""
        at = 0
        while piece := await asyncio.to_thread(os.pread, self.descriptor, PIECE_BYTES, at):
            yield piece
            at += len(piece)


@asynccontextmanager
async def made(databases: Databases, app: App, request: dict[str, Any]) -> AsyncIterator[Made]:
    """What an export makes, as long as the block lasts.

    Raises:
        SteadyError: as `Databases.ask`.
    """
    async with databases.folder(app) as folder:
        task = Task("export", {**request, "bytes": EXPORT_BYTES_MAX}, EXPORT_SECONDS_MAX)
        answer = await databases.run(app, task, folder)
        descriptor = _opened(folder / "made")
        try:
            yield Made(descriptor, os.fstat(descriptor).st_size, answer)
        finally:
            os.close(descriptor)


async def keep(folder: Path, pieces: AsyncIterator[bytes]) -> int:
    """Put what is sent into a child's folder, for any uid to read; its size."""
    size = 0
    descriptor = os.open(folder / "sent", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        os.fchmod(descriptor, 0o644)
        async for piece in pieces:
            await asyncio.to_thread(_write, descriptor, piece)
            size += len(piece)
    finally:
        os.close(descriptor)
    return size


# Private


def _opened(path: Path) -> int:
    """A child that read a hostile file may have left anything there."""
    try:
        descriptor = os.open(path, OPENED)
    except OSError:
        raise _senseless() from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _senseless()
    return descriptor


def _senseless() -> SteadyError:
    return SteadyError("database_damaged", "Reading this database gave an answer that makes no sense.")


def _write(descriptor: int, piece: bytes) -> None:
    left = memoryview(piece)
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError as error:
        raise SteadyError("disk_full", f"What was sent cannot be kept: {error.strerror}.") from None
