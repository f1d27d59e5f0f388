"""The replica of steady.db: followed by a Litestream of its own, which sees no app's folder, from the daemon's start to
its end.

Whatever an app may make of the one that opens its files, that one cannot reach the records.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import time
from pathlib import Path

from steadyd.backup import metafolder
from steadyd.backup.litestream import Litestream
from steadyd.backup.standing import TICK_NS, Seen
from steadyd.backup.stream import Stream
from steadyd.backup.wire import Refused, Unanswered

LOOK_SECONDS = 1.0
SYNC_SECONDS_MAX = 10.0

logger = logging.getLogger("steadyd.replication")


class SteadyReplica:
    """One database, always awake."""

    def __init__(self, database: Path, litestream: Litestream, url: str, aside: Path) -> None:
        """`url` is where its line goes, of this epoch; what another epoch left beside it is moved into `aside`."""
        self.stream = Stream(database.name)
        self._database = database
        self.litestream = litestream
        self._url = url
        self._line = hashlib.sha256(url.encode()).hexdigest()
        """What the folder beside it is marked with: short, whatever the address is."""
        self._aside = aside
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Sync it soon after it was written to, for ever."""
        while True:
            now = time.monotonic()
            await self.look(now)
            if not self._is_fine and self.stream.again_at <= now:
                with contextlib.suppress(Unanswered, Refused):
                    await self.sync()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, now: float) -> None:
        """See where it stands."""
        self.stream.saw(seen(self._database), "", now)

    async def sync(self, seconds: float = SYNC_SECONDS_MAX) -> None:
        """Until the replica has everything that was committed before this was called.

        Raises:
            Unanswered, Refused: it has not.
        """
        async with self._lock:
            await self.look(time.monotonic())
            before, stream = self.stream.live, self.stream
            if self._is_fine:
                return
            try:
                await self._register()
                synced = await self.litestream.wire.sync(self._inside, seconds)
                if synced.replicated < synced.txid:
                    raise Unanswered(f"the replica has transaction {synced.replicated} of {synced.txid}")
            except (Unanswered, Refused) as error:
                stream.generation = 0
                stream.went_wrong(str(error), isinstance(error, Unanswered), time.monotonic())
                raise
            stream.went_well(before, synced.txid, 0, time.time())

    async def close(self, seconds: float) -> None:
        """A last sync, and its files are closed."""
        try:
            async with asyncio.timeout(seconds):
                await self.sync(seconds)
                await self.litestream.wire.unregister(self._inside, seconds)
        except (Unanswered, Refused, TimeoutError) as error:
            logger.warning("the last changes of steady.db are not in the replica: %s", str(error) or "it is slow")

    # Private

    @property
    def _is_fine(self) -> bool:
        return self.stream.current and self.stream.generation == self.litestream.generation

    @property
    def _inside(self) -> str:
        return self.litestream.enclosure.inside(self._database.name)

    async def _register(self) -> None:
        litestream, stream = self.litestream, self.stream
        if not litestream.up:
            raise Unanswered(litestream.problem or "it is being started again")
        if stream.generation == litestream.generation:
            return
        await asyncio.to_thread(self._settle)
        generation = litestream.generation
        await litestream.wire.register(self._inside, self._url)
        stream.generation = generation

    def _settle(self) -> None:
        self._aside.mkdir(mode=0o700, exist_ok=True)
        aside = self._aside / os.urandom(8).hex()
        try:
            if said := metafolder.settle(self._database.parent, self._database.name, self._line, aside):
                raise Refused(said)
        except OSError as error:
            raise Refused(error.strerror or str(error)) from error


def seen(database: Path) -> Seen:
    """Where a database stands that this process itself has open: by the times of its files, as to open and close one of
    them would give up every lock that SQLite holds here (fcntl(2), “Record locking and POSIX file locks”)."""
    now, found = time.time_ns(), list[int]()
    for suffix in ("", "-wal"):
        with contextlib.suppress(OSError):
            looked = os.stat(f"{database}{suffix}")
            found += [looked.st_ino, looked.st_size, looked.st_mtime_ns]
    return (*found, now) if any(now - at <= TICK_NS for at in found[2::3]) else tuple(found)
