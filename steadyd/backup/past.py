"""Databases as they were, as files to be looked at: brought from the replica once, and kept for some minutes, so that
whoever turns pages does not wait for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from steadyd.backup.aims import Aim, Part
from steadyd.backup.data import make
from steadyd.backup.when import When
from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.runner.folder import Place, scratch_path
from steadyd.runner.ground import Ground

KEPT_SECONDS_MAX = 300.0
"""Since somebody last looked."""
COPIES_MAX = 16
"""Kept on this host."""
COPIES_BYTES_MAX = 2 << 30


@dataclass(frozen=True, slots=True)
class Seen:
    """A database as it was: a file that nobody writes to, which the app's uid may read."""

    path: Path
    aim: Aim
    part: Part


@dataclass(eq=False, slots=True)
class Copy:
    """One database in a folder of its own. `lock` is held while it is being brought."""

    place: Place
    file: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    used_at: float = 0.0
    """Monotonic seconds."""
    whole: bool = False
    size: int = 0

    @property
    def path(self) -> Path:
        return self.place.app / self.file


class Fetched(Protocol):
    """Brings one database back (`backup/data.py`)."""

    async def restore(self, part: Part, place: Place) -> int: ...


Key = tuple[str, int, str, int]
"""App id, line, path and transaction."""


class Past:
    """The copies of all apps on this host."""

    def __init__(
        self,
        ground: Ground,
        aim: Callable[[App, When], Awaitable[Aim]],
        databases: Fetched,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ground = ground
        self._aim = aim
        self._databases = databases
        self._ticks = ticks
        self._copies: dict[Key, Copy] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._going: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def look(self, app: App, file: str, when: When) -> AsyncIterator[Seen]:
        """The database `file` as it was; the copy stays at least until the end of the block.

        Raises:
            SteadyError: what the aim says or keeps it from being brought; `not_found` where there was no such database;
                `overloaded` past COPIES_MAX in use.
        """
        aim = await self._aim(app, when)
        part = next((part for part in aim.databases if part.path == file), None)
        if part is None:
            there = [part.path for part in aim.databases]
            raise SteadyError("not_found", f"There was no database “{file}” at that moment.", {"databases": there})
        copy = self._copy(app, part)
        copy.users += 1
        try:
            async with copy.lock:
                if not (copy.whole and copy.path.is_file()):
                    await self._bring(copy, part)
            yield Seen(copy.path, aim, part)
        finally:
            copy.users -= 1
            copy.used_at = self._ticks()
            self.tidy()

    def tidy(self) -> None:
        """Let go of copies that nobody looked at for long, and of the oldest where there are too many."""
        now = self._ticks()
        idle = sorted((copy.used_at, key) for key, copy in self._copies.items() if not copy.users)
        size = sum(copy.size for copy in self._copies.values())
        for used_at, key in idle:
            copy = self._copies[key]
            if used_at + KEPT_SECONDS_MAX <= now or len(self._copies) > COPIES_MAX or size > COPIES_BYTES_MAX:
                size -= copy.size
                self._let_go(key)
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(KEPT_SECONDS_MAX, self.tidy) if self._copies else None

    async def close(self) -> None:
        """Let go of all."""
        if self._timer is not None:
            self._timer.cancel()
        for key in list(self._copies):
            self._let_go(key)
        await asyncio.gather(*self._going)

    # Private

    def _copy(self, app: App, part: Part) -> Copy:
        key = (app.id, part.line.id, part.path, part.txid)
        if key not in self._copies:
            in_use = sum(copy.users > 0 for copy in self._copies.values())
            if in_use >= COPIES_MAX:
                message = f"{COPIES_MAX} moments are looked at already. Try again soon."
                raise SteadyError("overloaded", message, retry_after=5)
            place = self._ground.place(app)
            self._copies[key] = Copy(Place(scratch_path(place, "past"), place.uid), part.path)
        return self._copies[key]

    async def _bring(self, copy: Copy, part: Part) -> None:
        self._ground.check_room()
        copy.whole = False
        await self._ground.trash.throw(copy.place.root)  # what a try before left
        make(copy.place)
        await self._databases.restore(part, copy.place)
        copy.size, copy.whole = copy.path.stat().st_size, True

    def _let_go(self, key: Key) -> None:
        copy = self._copies.pop(key)
        task = asyncio.ensure_future(self._ground.trash.throw(copy.place.root))
        self._going.add(task)
        task.add_done_callback(self._going.discard)
