"""Files of apps that are no database, as one value: captured, put in the object store, let go when none needs them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import time
from dataclasses import dataclass
from pathlib import Path

from steadyd.backup.captures import Captures
from steadyd.backup.contents import Contents
from steadyd.backup.manifest import Manifest
from steadyd.backup.objects import Objects
from steadyd.backup.outbox import Outbox
from steadyd.backup.retention import superfluous
from steadyd.errors import SteadyError
from steadyd.model import App, AppState, Event
from steadyd.moment import Capture
from steadyd.records.journal import WAKE
from steadyd.runner.ground import Ground

TIDY_SECONDS = 6 * 3_600.0
RECONCILE_SECONDS = 24 * 3_600.0
RETRY_SECONDS = 60.0
"""After the store was away."""
PROVED_FILES_MAX = 20
PROVED_BYTES = 64 << 20
"""Of an app's files, to see whether they come back."""
CLOSE_SECONDS_MAX = 2.0
"""Of the 15 s in which a stop must be done: for files of apps that were just stopped."""

logger = logging.getLogger("steadyd.files")


@dataclass(frozen=True, slots=True)
class Files:
    """One host's. `window` is for how many seconds a moment stays reachable; 0: for ever."""

    captures: Captures
    contents: Contents
    window: float

    def turned(self, app_id: str, state: AppState) -> None:
        """An app's state is another now."""
        self.captures.turned(app_id, state)

    def happened(self, app_id: str, event: Event) -> None:
        """Something happened to an app: a version may be live whose files are not in the store."""
        if event.kind != WAKE:
            self.contents.poke()

    async def touch_up(self, app: App, seconds: float) -> tuple[str, float]:
        """As `Captures.touch_up`."""
        return await self.captures.touch_up(app, seconds)

    async def tidy(self) -> int:
        """Let go of captures that are too many, and of contents that then nobody needs. Returns how many of those.

        Raises:
            SteadyError: `replica_away` or `replica_refused`: then the next one goes on.
        """
        records, began = self.captures.records, time.time()
        for app_id in await records.apps():
            await records.forget(superfluous(await records.of(app_id), began, self.window))
        needed = await records.manifests()
        for sha256 in needed:
            try:
                listed = await self.captures.manifest(sha256)
            except SteadyError as error:
                if error.code != "backup_broken":
                    raise
                logger.warning("%s", error.message)
            else:
                await self.contents.keep([sha256, *listed.contents], began)
        await asyncio.to_thread(self.captures.forget_lists, needed)
        return await self.contents.sweep(began)

    async def prove(self, app: App, scratch: Path) -> list[str]:
        """Fetch the app's newest list, and some of its files at random, from the store into the empty folder `scratch`,
        as a restore would. Returns what is wrong; what was lost is put there again by the next capture.

        Raises:
            SteadyError: `replica_away` or `replica_refused`; `backup_broken` if nobody has the list.
        """
        newest = await self.captures.newest(app.id)
        if newest is None or not newest.manifest:
            return []
        listed = await self.captures.manifest(newest.manifest)
        sample = {newest.manifest: "the list of its files", **_sample(listed)}
        lost = {}
        for sha256 in await self.contents.records.among(sample):
            if not await self.contents.fetch(sha256, scratch / sha256, app.id, near=False):
                lost[sha256] = f"{sample[sha256]}: missing or damaged in the backup"
            await asyncio.to_thread((scratch / sha256).unlink, True)
        if lost:
            await self.contents.records.lost(lost)
            self.captures.again(app.id)
        return list(lost.values())

    def problem(self, app_id: str, newest: Capture | None) -> str:
        """Why not all files of the app, whose last capture is `newest`, are kept elsewhere now; "" if they are, or just
        about to be."""
        if told := self.captures.troubles.get(app_id):
            return told
        if newest is not None and newest.problem:
            return newest.problem
        waiting = self.contents.outbox.files_of(app_id)
        if waiting and self.contents.problem:
            return f"{waiting:,} wait for the object store: {self.contents.problem}"
        return ""

    async def close(self) -> None:
        """All apps are at rest: what the last ones wrote is captured and put, as far as the time goes."""
        with contextlib.suppress(TimeoutError, SteadyError):
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self.captures.catch_up()
                while await self.contents.put_some():
                    pass

    async def run(self) -> None:
        """Reconcile and tidy, for ever."""
        tidied, reconciled = time.monotonic(), -RECONCILE_SECONDS
        while True:
            now = time.monotonic()
            try:
                if now - reconciled >= RECONCILE_SECONDS:
                    await self.contents.reconcile()
                    reconciled = now
                if now - tidied >= TIDY_SECONDS:
                    await self.tidy()
                    tidied = now
                pause = max(0.0, min(reconciled + RECONCILE_SECONDS, tidied + TIDY_SECONDS) - now)
            except SteadyError as error:
                logger.warning("contents are tidied later: %s", error.message)
                pause = RETRY_SECONDS
            await asyncio.sleep(pause)


def make_files(ground: Ground, objects: Objects, folder: Path, window: float) -> Files:
    """The rooms over `ground`; nothing runs yet. `folder` is for what waits to be sent."""
    contents = Contents(ground.library.contents, objects, ground.blobs, Outbox(folder / "outbox"))
    return Files(Captures(ground, ground.library.captures, contents, folder / "lists"), contents, window)


# Private


def _sample(listed: Manifest) -> dict[str, str]:
    """Some contents at random, each with a path."""
    found = list(listed.files.items())
    random.shuffle(found)
    sizes = itertools.accumulate(kept.size for _, kept in found)
    few = [each for each, total in zip(found, sizes, strict=True) if total <= PROVED_BYTES][:PROVED_FILES_MAX]
    return {kept.sha256: path for path, kept in few}
