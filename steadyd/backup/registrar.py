"""How one database of an app is registered with Litestream, synced, and let go of: on a line of its own.

A file that takes the place of another under the same name is another history: it gets another line, as Litestream would
go on from what it had open. So does what lies there after the backlog of a line was given up.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from steadyd.backup import metafolder
from steadyd.backup.litestream import Litestream
from steadyd.backup.stream import Stream
from steadyd.backup.wire import Refused, Synced, Unanswered
from steadyd.records.lines import Lines, ending
from steadyd.records.stands import Stands
from steadyd.runner.folder import Place
from steadyd.runner.trash import Trash

BACKLOG_FILES_MAX = 20_000
BACKLOG_BYTES_MAX = 64 << 20
"""What of one database may wait for the replica: it lies in the app's folder, and counts as what the app holds."""
DAY_SECONDS = 86_400.0
REQUESTS_OF_OPENING = 2
REQUESTS_PER_SECOND = 0.2
"""What Litestream asks of the store by itself, which it counts nowhere for one database: it lists level 0 twice when it
opens one, puts a file for each sync that has something, and looks for what it can merge or remove (tried with 0.5.17,
counted by the store)."""
MEANING = frozenset("#?%")
"""Litestream takes a path for a URI (tried with 0.5.17): with one of these it would open, and make, another file."""
LET_GO_SECONDS_MAX = 5.0
"""For the last sync of a database that is unregistered: one whose process was frozen may hold a lock."""


@dataclass(frozen=True, slots=True)
class Means:
    """What all followers share. `url` is where a line's files go, by app and line."""

    litestream: Litestream
    lines: Lines
    stands: Stands
    trash: Trash
    url: Callable[[str, int], str]
    epoch: int
    slots: asyncio.Semaphore
    """For syncs under way."""
    days: float
    """How long a moment stays reachable."""
    count: Callable[[str, int], None]
    """(app id, requests to the object store)"""
    boot: str
    """Of this machine: what was noted before another start of it may be older than what is on the disk."""


class Registrar:
    """The databases of one app. Every call is one at a time for each database."""

    def __init__(self, app_id: str, place: Place, means: Means) -> None:
        self.shut = False
        """Nothing is registered: the app's files change."""
        self._app_id = app_id
        self._place = place
        self._means = means

    def has(self, stream: Stream) -> bool:
        """Whether it is registered with the Litestream that runs."""
        return stream.generation == self._means.litestream.generation

    async def sync(self, stream: Stream, seconds: float, wait: bool = True) -> Synced:
        """Registered where it was not, and synced.

        Raises:
            Unanswered, Refused: it was not; the stream knows why.
        """
        try:
            await self._register(stream)
            synced = await self._means.litestream.wire.sync(self._inside(stream), seconds, wait)
            self._count(stream, synced.txid)
            if wait and synced.replicated < synced.txid:
                raise Unanswered(f"the replica has transaction {synced.replicated} of {synced.txid}")
            return synced
        except (Unanswered, Refused) as error:
            stream.generation = 0
            stream.went_wrong(str(error), isinstance(error, Unanswered), time.monotonic())
            await self._bound(stream)
            raise

    async def unregister(self, stream: Stream, surely: bool = False) -> None:
        """Its files are closed. Where it must be so `surely`, Litestream is ended if it does not say that they are."""
        litestream, generation = self._means.litestream, stream.generation
        stream.generation = 0
        if not litestream.up or not (surely or generation == litestream.generation):
            return
        self._count(stream, stream.asked_for)
        try:
            await litestream.wire.unregister(self._inside(stream), LET_GO_SECONDS_MAX)
        except Refused:
            pass  # it is closed all the same
        except Unanswered as error:
            if surely:
                await litestream.end(f"It does not let go of a database: {error}.")

    async def renew(self, stream: Stream) -> None:
        """Another file lies there: what is registered is not it, and its line ends."""
        await self.unregister(stream)
        await self._means.lines.write(ending(self._app_id, time.time(), [stream.path]))
        stream.line, stream.replicated, stream.txid = None, None, 0

    async def inspect(self, stream: Stream) -> None:
        """Let go of a database beside which the app has put what would hold up Litestream, and others with it."""
        found = await asyncio.to_thread(metafolder.strange, self._place.app, stream.path)
        if found:
            await self.start_over(stream)
            stream.went_wrong(f"“{found}” is no regular file.", False, time.monotonic())

    async def start_over(self, stream: Stream) -> None:
        """Give up what waits for the replica: the next sync begins a new line with all of the database."""
        await self.unregister(stream, surely=True)
        await self.renew(stream)
        aside = self._aside()
        await asyncio.to_thread(metafolder.remove, self._place.app, stream.path, aside)
        await self._means.trash.throw(aside)

    # Private

    async def _bound(self, stream: Stream) -> None:
        """See what waits for the replica; past its bounds that is given up, and all of the database follows later."""
        waiting = await asyncio.to_thread(metafolder.held, self._place.app, stream.path, stream.txid)
        stream.waiting_files, stream.waiting_bytes = waiting.files, waiting.bytes
        if waiting.files > BACKLOG_FILES_MAX or waiting.bytes > BACKLOG_BYTES_MAX:
            problem = stream.problem
            await self.start_over(stream)
            stream.waiting_files = stream.waiting_bytes = 0
            stream.problem = f"{problem} Too much waited: replication begins again with all of it, on another line."

    def _count(self, stream: Stream, txid: int) -> None:
        """What Litestream has asked of the store for this database since it was counted last, as far as we know."""
        now = time.monotonic()
        files, stream.asked_for = max(0, txid - max(stream.asked_for, stream.txid)), txid
        looks = int((now - stream.counted_at) * REQUESTS_PER_SECOND)
        stream.counted_at = now if looks else stream.counted_at
        self._means.count(self._app_id, files + looks)

    def _inside(self, stream: Stream) -> str:
        return self._means.litestream.enclosure.inside(f"{self._app_id}/app/{stream.path}")

    async def _register(self, stream: Stream) -> None:
        litestream = self._means.litestream
        if not litestream.up:
            raise Unanswered(litestream.problem or "it is being started again")
        if stream.generation == litestream.generation:
            return
        if MEANING & set(stream.path):
            raise Refused("its name holds “#”, “?” or “%”, so it cannot be copied: give it another name")
        if self.shut:
            raise Refused("its files are being replaced")
        try:
            stream.path.encode()
        except UnicodeEncodeError:
            raise Refused("its name is not UTF-8: rename it") from None
        if stream.line is not None and time.time() - stream.line.began_at > self._means.days * DAY_SECONDS:
            await self.renew(stream)  # so that what is older than that can go, and a restore reads no more than that
        if stream.line is None:
            stream.line = await self._means.lines.open(self._app_id, stream.path, self._means.epoch, time.time())
        await self._settle(stream, f"{stream.line.epoch}/{stream.line.id}")
        generation = litestream.generation
        await litestream.wire.register(self._inside(stream), self._means.url(self._app_id, stream.line.id))
        stream.generation, stream.counted_at = generation, time.monotonic()
        self._means.count(self._app_id, REQUESTS_OF_OPENING)

    async def _settle(self, stream: Stream, line: str) -> None:
        aside = self._aside()
        try:
            problem = await asyncio.to_thread(metafolder.settle, self._place.app, stream.path, line, aside)
        except OSError as error:
            raise Refused(error.strerror or str(error)) from error
        await self._means.trash.throw(aside)
        if problem:
            raise Refused(problem)

    def _aside(self) -> Path:
        self._place.scratch.mkdir(mode=0o700, exist_ok=True)
        return self._place.scratch / f"litestream-{secrets.token_hex(8)}"
