"""The databases of one app, followed: found by their headers, registered while the app is awake, synced soon after they
were written to, and let go when it rests.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from steadyd.backup import metafolder
from steadyd.backup.registrar import LET_GO_SECONDS_MAX, Means, Registrar
from steadyd.backup.standing import Seen, Standing, log_of
from steadyd.backup.stream import Stream
from steadyd.backup.ticks import stay_seconds
from steadyd.backup.wire import Refused, Unanswered
from steadyd.moment import Stand
from steadyd.records.stands import Rested
from steadyd.runner.folder import Place

SYNC_SECONDS_MAX = 10.0
"""For one sync that nobody waits for."""
STAND_SECONDS_MAX = 2.0
"""For a sync that does not wait for the store, while requests may wait."""


class Follower:
    """One app. Whatever goes wrong with one database is kept there, and stops no other."""

    def __init__(self, app_id: str, place: Place, means: Means) -> None:
        self.app_id = app_id
        self.streams: dict[str, Stream] = {}
        self.awake = False
        self.doubtful = False
        """Whether its lines may have ended."""
        self.standing = Standing(place.app)
        self.seen = False
        """Whether it was ever looked at."""
        self.registrar = Registrar(app_id, place, means)
        self._place = place
        self._means = means
        self._locks: dict[str, asyncio.Lock] = {}
        self._taking = asyncio.Lock()
        self._looked_at = 0.0
        """When the last look began that was taken."""
        self._known = False
        self._stayed = False

    async def look(self) -> None:
        """See where its databases stand now; new ones are known afterwards, those that are gone no more."""
        await self._remember()
        began = time.monotonic()
        await self.take(await asyncio.to_thread(self.standing.look), began)

    async def take(self, found: dict[str, Seen], began: float) -> None:
        """What a look found that began at `began`, in monotonic seconds. One that a later look has overtaken is passed
        over: it would have a sync believe that there is nothing to do."""
        async with self._taking:
            if began >= self._looked_at:
                await self._take(found, time.monotonic())
                self._looked_at = began

    def due(self, now: float) -> list[Stream]:
        """Those that a sync would bring forward, and that are not waiting after a failure."""
        waiting = (s for s in self.streams.values() if s.again_at <= now and not self._lock(s).locked())
        return [stream for stream in waiting if not self._is_fine(stream)]

    async def sync(self, stream: Stream, seconds: float = SYNC_SECONDS_MAX, since: float | None = None) -> None:
        """Until the replica has everything that was committed before this was called, or before `since` (monotonic
        seconds). One sync serves all who wait.

        Raises:
            Unanswered, Refused: it does not; the stream knows why.
        """
        ticket = stream.asked = stream.asked + 1
        since = time.monotonic() if since is None else since
        async with self._lock(stream):
            if stream.covered >= ticket:
                return
            if self._looked_at < since:
                await self.look()
            before = stream.live
            if before is None:
                return  # it is gone
            if self._is_fine(stream):
                stream.covered = ticket  # whoever came later may have seen more
                return
            await _mend(self.registrar, stream)
            async with self._means.slots:
                ticket = stream.asked
                synced = await self.registrar.sync(stream, seconds)
            stream.went_well(before, synced.txid, ticket, time.time())
            await _begin_log(self._place.app, stream)

    async def stand(self, stream: Stream, seconds: float = STAND_SECONDS_MAX) -> Stand:
        """Where it stands now in its line. Nothing waits for the store, but for a database that was not open before.

        Raises:
            Unanswered, Refused: that cannot be had.
        """
        if stream.current and stream.line is not None and not stream.cut:
            return stream.stand
        async with self._lock(stream):
            await _mend(self.registrar, stream)
            synced = await self.registrar.sync(stream, seconds, wait=False)
            assert stream.line is not None
            stand = Stand(stream.path, stream.line.id, synced.txid)
            await _begin_log(self._place.app, stream)
            return stand

    async def rest(self, still: Callable[[], bool]) -> float:
        """A last sync, and nothing is registered any more; then note where everything stands. `still` says whether it
        is still to rest.

        Returns seconds for which it is to stay registered all the same, and this be called again; 0 where it came to
        rest, or is not to.
        """
        await self.look()
        await self.recheck()
        for stream in list(self.streams.values()):
            if not still():
                return 0.0
            with contextlib.suppress(Unanswered, Refused):
                await self.sync(stream, LET_GO_SECONDS_MAX)
        if (seconds := await self._stay()) > 0 or not still():
            return seconds
        await self.unregister()
        await self._keep()
        return 0.0

    @property
    def settled(self) -> bool:
        """Whether nothing is registered, and the replica has everything."""
        return all(stream.current and not stream.generation for stream in self.streams.values())

    async def unregister(self, surely: bool = False) -> None:
        """Let go of all files. What is registered no more stands as it did: to close a log changes where it stands.
        Where it must be so `surely`, Litestream is ended if it does not say that it did."""
        current = [stream.path for stream in self.streams.values() if stream.current]
        for stream in list(self.streams.values()):
            async with self._lock(stream):
                await self.registrar.unregister(stream, surely)
        await self.look()
        for path in current:
            same = self.streams.get(path)
            if same is not None and same.line is not None:
                same.went_well(same.live, same.txid, same.covered, same.good_at or time.time())

    async def recheck(self) -> None:
        """Leave lines that have ended in the records, as with a restore: what is there now is another history."""
        self.doubtful = False
        going_on = {line.id for line in await self._means.lines.of(self.app_id) if line.ended_at is None}
        for stream in list(self.streams.values()):
            async with self._lock(stream):
                if stream.line is not None and stream.line.id not in going_on:
                    await self.registrar.renew(stream)

    async def inspect(self) -> None:
        """Look for what an app may have put in Litestream's way."""
        for stream in list(self.streams.values()):
            if self.registrar.has(stream):
                await self.registrar.inspect(stream)

    async def start_over(self, stream: Stream) -> None:
        """Give up what waits for the replica: the next sync begins a new line with all of the database."""
        async with self._lock(stream):
            await self.registrar.start_over(stream)

    # Private

    async def _take(self, found: dict[str, Seen], now: float) -> None:
        self.seen = True
        for path in [path for path in self.streams if path not in found]:
            if not await asyncio.to_thread(metafolder.exists, self._place.app, path):
                await self._forget(path)
        for path, seen in found.items():
            stream = self.streams.setdefault(path, Stream(path))
            if _is_other(stream, seen):
                await self.registrar.renew(stream)
            stream.saw(seen, self._note(seen), now)
            stream.saw_log(self.standing.logs.get(path))

    async def _remember(self) -> None:
        """What the records know of databases that this daemon has not seen yet."""
        if self._known:
            return
        self._known = True
        lines = {line.id: line for line in await self._means.lines.of(self.app_id) if line.ended_at is None}
        for rested in await self._means.stands.of(self.app_id):
            line = lines.get(rested.stand.line)
            if line is not None and line.epoch == self._means.epoch:
                stream = self.streams.setdefault(rested.stand.path, Stream(rested.stand.path))
                stream.line, stream.txid, stream.replicated = line, rested.stand.txid, rested.seen
                stream.good_at, stream.stays = rested.at, rested.stays

    async def _stay(self) -> float:
        """Seconds until those with too many files will have been merged; 0 for none, and for those that have stayed."""
        if self._stayed:
            self._stayed = False
            return 0.0
        longest = 0.0
        for stream in self.streams.values():
            if self.registrar.has(stream):
                held = await asyncio.to_thread(metafolder.held, self._place.app, stream.path)
                if seconds := stay_seconds(held.files, stream.stays, time.time()):
                    longest, stream.stays, self._stayed = max(longest, seconds), stream.stays + 1, True
        return longest

    async def _keep(self) -> None:
        kept = [
            Rested(stream.stand, self._note(stream.live), stream.good_at or 0.0, stream.stays)
            for stream in self.streams.values()
            if stream.current and stream.live is not None and stream.line is not None
        ]
        await self._means.stands.keep(self.app_id, kept)

    def _is_fine(self, stream: Stream) -> bool:
        """The replica has all of it, and will have what an awake app writes next."""
        return stream.current and not stream.cut and (not self.awake or self.registrar.has(stream))

    def _note(self, seen: Seen | None) -> str:
        """What a later daemon can compare; the inode is told apart."""
        said = f"{self._means.boot} {seen!r}".encode()
        return f"{seen[0]!r} {hashlib.sha256(said).hexdigest()}" if seen else ""

    def _lock(self, stream: Stream) -> asyncio.Lock:
        return self._locks.setdefault(stream.path, asyncio.Lock())

    async def _forget(self, path: str) -> None:
        await self.registrar.renew(self.streams.pop(path))
        self._locks.pop(path, None)


# Private


def _is_other(stream: Stream, seen: Seen) -> bool:
    """Whether what is seen now is another file than before."""
    if isinstance(stream.replicated, str):
        return not stream.replicated.startswith(f"{seen[0]!r} ")
    return stream.live is not None and stream.live[0] != seen[0]


async def _begin_log(folder: Path, stream: Stream) -> None:
    """What the log is compared with from now on."""
    if stream.log is None:
        stream.saw_log(await asyncio.to_thread(log_of, folder, stream.path), first=True)


async def _mend(registrar: Registrar, stream: Stream) -> None:
    """What Litestream may lack of a log that was cut comes with all of the database, on another line."""
    if stream.cut:
        await registrar.start_over(stream)
        stream.cut, stream.log = False, None
