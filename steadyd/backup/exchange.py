"""Other data in the place of an app's own: two folders change places in one step, so there is no moment with half of
each. What was live lies where the other came from, until the operation has ended.

A note beside the folder says whose doing it is; after a crash the journal says whether it came to be. Source:
renameat2(2), RENAME_EXCHANGE.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from steadyd.runner.folder import Place
from steadyd.store import Write

NOTE = "exchange.json"
RENAME_EXCHANGE = 2
AT_FDCWD = -100


class Exchange:
    """One app's folder and another, ready in `scratch`, for one operation. `leave` is awaited before: whoever follows
    the live databases lets go of them. `writes` are true with it."""

    def __init__(
        self, place: Place, scratch: Place, operation: int, leave: Callable[[], Awaitable[None]], *writes: Write
    ) -> None:
        self.place = place
        self.scratch = scratch
        self.writes = writes
        self._operation = operation
        self._leave = leave
        self._inode = os.stat(scratch.app).st_ino

    async def put_in(self) -> None:
        """Nothing runs in either: they change places."""
        await self._leave()
        await asyncio.to_thread(self._put_in)

    async def put_back(self) -> None:
        """As before; nothing, where they had not changed places."""
        await asyncio.to_thread(put_back, self.place)

    async def done(self) -> None:
        """It came to be: what was live is the caller's to throw away, with `scratch`."""
        await asyncio.to_thread((self.place.root / NOTE).unlink, True)

    # Private

    def _put_in(self) -> None:
        note = self.place.root / NOTE
        told = {"operation": self._operation, "other": os.fspath(self.scratch.app), "inode": self._inode}
        part = note.with_name(f"{NOTE}.part")
        with part.open("w") as file:
            json.dump(told, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(note)
        _sync(self.place.root)
        if os.stat(self.place.app).st_ino != self._inode:
            _change_places(self.place.app, self.scratch.app)
            _sync(self.place.root)


def put_back(place: Place) -> None:
    """Undo what the note says, if it was done, and remove the note. Blocks; may be repeated."""
    note = place.root / NOTE
    try:
        told = json.loads(note.read_bytes())
    except (FileNotFoundError, ValueError):
        return
    other = Path(told["other"])
    if os.stat(place.app).st_ino == told["inode"]:
        _change_places(place.app, other)
        _sync(place.root)
    note.unlink()


def operation_of(place: Place) -> int | None:
    """Which operation a crash interrupted between putting other data in and its end; None for almost all. Blocks."""
    try:
        return int(json.loads((place.root / NOTE).read_bytes())["operation"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def settle(place: Place, committed: bool) -> None:
    """After a start, before anything runs or is tidied: what did not come to be is undone. Blocks."""
    if committed:
        (place.root / NOTE).unlink(missing_ok=True)
    else:
        put_back(place)


# Private


def _change_places(one: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), os.fspath(one))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
