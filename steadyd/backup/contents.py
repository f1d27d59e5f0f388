"""Contents in the object store: files of versions, captured files and the lists of them, each once, by its SHA-256.

What is to be there is read from the records (files of versions) and from the outbox (captured ones), so nothing is
lost with a queue: a look finds what is missing, and what the store does not take now is found by the next look.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import random
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from steadyd.backup import layout
from steadyd.backup.objects import Objects
from steadyd.backup.outbox import Amount, Outbox
from steadyd.errors import SteadyError
from steadyd.model import File, Version
from steadyd.records.contents import Contents as Records
from steadyd.runner.blobs import Blobs

BATCH_MAX = 256
UPLOADS_MAX = 8
"""At once."""
LOOK_SECONDS = 600.0
"""Between two looks for what is missing, when nobody says that there is something."""
SOON_SECONDS = 0.2
"""From a word that there is something to the look for it: then more of it is there, and it is one look."""
RETRY_SECONDS_FIRST = 1.0
RETRY_SECONDS_MAX = 60.0
"""Between two tries while the store does not take anything: twice as long each time."""
DAMAGED_MAX = 1_000
"""Files of versions that are not on this host as they should be: so many are remembered, and not tried again."""
SHARDS = 256
"""Folders of contents."""
GRACE_SECONDS = 3_600.0
"""For which nothing is taken away that was just put there or asked for: far longer than a capture takes."""
PIECE_BYTES = 1 << 20

logger = logging.getLogger("steadyd.contents")


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is not in the object store yet. Times are in seconds since 1970."""

    captured: Amount
    versions: Amount
    damaged: int
    """Files of versions that are missing or damaged on this host."""
    problem: str
    """Why the store did not take the last one; "" if it did."""
    at: float
    """When it last took one, or had all; 0 if never since the start."""


class Contents:
    """One host's."""

    def __init__(self, records: Records, objects: Objects, blobs: Blobs, outbox: Outbox) -> None:
        self.outbox = outbox
        self.records = records
        self._objects = objects
        self._blobs = blobs
        self._woken = asyncio.Event()
        self._leaving: set[str] = set()
        """What is being taken away: it is put there again only afterwards."""
        self._left = asyncio.Condition()
        self._damaged: set[str] = set()
        self._slots = asyncio.Semaphore(UPLOADS_MAX)
        self.problem = ""
        """Why the store did not take the last one; "" if it did."""
        self._at = 0.0

    def poke(self) -> None:
        """There is something to put in the store."""
        self._woken.set()

    async def run(self) -> None:
        """Put in the store what is not there, for ever."""
        await asyncio.to_thread(self.outbox.settle)
        failures = 0
        while True:
            self._woken.clear()
            try:
                more, failures = await self.put_some(), 0
            except SteadyError as error:
                self.problem, more = error.message, False
                failures += 1
                await asyncio.sleep(_pause(failures))
                continue
            if not more:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._woken.wait()
                await asyncio.sleep(SOON_SECONDS)

    async def put_some(self) -> bool:
        """One batch; false if nothing was put.

        Raises:
            SteadyError: `replica_away` or `replica_refused`; what could be put, was.
        """
        waiting = await asyncio.to_thread(self.outbox.waiting, BATCH_MAX)
        wanted = await self.records.wanted(BATCH_MAX + len(self._damaged))
        files = [sha256 for sha256 in wanted if sha256 not in self._damaged][:BATCH_MAX]
        work = [*map(self._put_captured, waiting), *(self._put_blob(sha256, wanted[sha256]) for sha256 in files)]
        results = await asyncio.gather(*work, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        self.problem, self._at = "", time.time()
        return any(results)

    async def missing(self, version: Version) -> list[File]:
        """Files of a version that are not in the store yet."""
        there = await self.records.among([file.sha256 for file in version.files])
        return [file for file in version.files if file.sha256 not in there]

    async def backlog(self) -> Backlog:
        """What waits, and why."""
        versions = Amount(*await self.records.amount_wanted())
        return Backlog(self.outbox.amount, versions, len(self._damaged), self.problem, self._at)

    async def held(self, contents: Collection[str]) -> set[str]:
        """Which of these are kept, in the store or on their way there. For a while nobody takes them away, though no
        record may need them yet."""
        here = await asyncio.to_thread(lambda: {sha256 for sha256 in contents if self.outbox.holds(sha256)})
        now = time.time()
        return here | await self.records.held(set(contents) - here, now, now - GRACE_SECONDS / 2)

    async def fetch(self, sha256: str, path: Path, app_id: str = "", near: bool = True) -> bool:
        """The content at an address into a file, from wherever it is, or only from the store, unless `near`.

        What is not what its address says is never kept. False if nobody has it whole.

        Raises:
            SteadyError: `replica_away` or `replica_refused`.
        """
        for local in (self.outbox.path(sha256), self._blobs.path(sha256)):
            if near and await asyncio.to_thread(_copied, local, path, sha256):
                return True
        found = await self._objects.fetch(layout.content(sha256), path, app_id=app_id)
        if found and await asyncio.to_thread(_digest, path) == sha256:
            return True
        await asyncio.to_thread(path.unlink, True)
        return False

    async def keep(self, contents: Collection[str], began: float) -> None:
        """The sweep that `began` then (seconds since 1970) leaves these where they are."""
        await self.records.held(contents, time.time(), began)

    async def sweep(self, began: float) -> int:
        """Take away what no version needs and nobody said to `keep`, put there, or asked for lately. Returns how many.

        Raises:
            SteadyError: `replica_away` or `replica_refused`; the next sweep goes on.
        """
        gone, after, older_than = 0, "", began - GRACE_SECONDS
        while page := await self.records.page(after, BATCH_MAX, older_than):
            after = page[-1]
            gone += await self._take_away(set(page), older_than)
        return gone

    async def reconcile(self) -> int:
        """Believe the store, and not the records, about what is there: another one may be configured, it may have lost
        something, and records that come from a replica may be older than it. Returns how many were lost; who needs
        one of them puts it there again.

        Raises:
            SteadyError: `replica_away` or `replica_refused`.
        """
        lost = 0
        for shard in (f"{number:02x}" for number in range(SHARDS)):
            began = time.time()
            entries = await self._objects.list(f"{layout.CONTENTS}/{shard}")
            there = {entry.key.rpartition("/")[2]: entry.size for entry in entries}
            there = {sha256: size for sha256, size in there.items() if layout.SHA256.fullmatch(sha256)}
            lost += await self.records.correct(shard, there, began, time.time())
        if lost:
            logger.warning("%d contents were not in the object store any more, and are put there again", lost)
            self.poke()
        return lost

    # Private

    async def _put(self, sha256: str, path: Path, app_id: str) -> None:
        async with self._slots:
            async with self._left:
                await self._left.wait_for(lambda: sha256 not in self._leaving)
            size = (await asyncio.to_thread(path.stat)).st_size
            await self._objects.put_file(layout.content(sha256), path, link=True, app_id=app_id)
            await self.records.add({sha256: size}, time.time())

    async def _put_captured(self, sha256: str) -> bool:
        if not await self.records.held([sha256], time.time(), time.time()):
            path = self.outbox.path(sha256)
            try:
                await asyncio.to_thread(_synced, path)
                await self._put(sha256, path, self.outbox.app_of(sha256))
            except FileNotFoundError:  # another batch was faster: at the end of the daemon there are two
                return True
        await asyncio.to_thread(self.outbox.remove, sha256)
        return True

    async def _put_blob(self, sha256: str, app_id: str) -> bool:
        path = self._blobs.path(sha256)
        if await asyncio.to_thread(_digest, path) == sha256:
            with contextlib.suppress(FileNotFoundError):  # its version went meanwhile
                await self._put(sha256, path, app_id)
                return True
        elif len(self._damaged) < DAMAGED_MAX:
            logger.warning("the content %s of a version is damaged or missing on this host", sha256[:12])
            self._damaged.add(sha256)
        return False

    async def _take_away(self, contents: set[str], older_than: float) -> int:
        self._leaving |= contents
        try:
            going = await self.records.forget(contents, older_than)
            if going:
                await self._objects.delete([layout.content(sha256) for sha256 in going])
            return len(going)
        finally:
            async with self._left:
                self._leaving -= contents
                self._left.notify_all()


# Private


def _pause(failures: int) -> float:
    """Seconds before the next try, longer each time, never the same for everybody."""
    longest: float = min(RETRY_SECONDS_MAX, RETRY_SECONDS_FIRST * 2.0 ** min(failures, 16))
    return longest * random.uniform(0.5, 1.0)


def _copied(source: Path, target: Path, sha256: str) -> bool:
    """Whether `source` is there, is what it should be, and is now at `target` too."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(source, target)
        if _digest(target) == sha256:
            return True
        target.unlink()
    return False


def _synced(path: Path) -> None:
    """Where the store is a folder of this disk, it takes the file as it is."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with contextlib.suppress(OSError), open(path, "rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
        return digest.hexdigest()
    return ""
