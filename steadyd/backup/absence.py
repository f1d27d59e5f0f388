"""Apps of a recovered host, brought back one by one: before an app's first start whatever it needs, while requests wait
at its gate; everything else behind them, whoever asks or not.

What an app is brought back to is its newest state from before the recovery. Its folder appears in one step, and what
lies there already is never replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol

from steadyd.backup import ltx
from steadyd.backup.aims import Aim, Part
from steadyd.backup.chain import Chain
from steadyd.backup.contents import Contents
from steadyd.errors import SteadyError
from steadyd.model import App, Event, File, Version
from steadyd.records.absences import Absence
from steadyd.runner.blobs import BLOB_MODE, PART_PREFIX
from steadyd.runner.copies import Snapshot
from steadyd.runner.folder import Place, scratch_path
from steadyd.runner.ground import Ground
from steadyd.runner.start import Plan

BRINGS_MAX = 4
"""Apps brought back at once."""
BEHIND_MAX = 2
"""Of these those that nobody asked for."""
MOMENTS_MAX = 3
"""Of an app: where the newest is damaged, one before it does."""
FILES_AT_ONCE_MAX = 8
"""Of one app's version."""
RETRY_SECONDS_MAX = 10.0
"""Before a store that is away is asked again; half of that to all of it."""
AGAIN_SECONDS = 60.0
"""Before the pass behind tries again what could not be brought."""
RECOVERY = "recovery"
"""The kind of event that tells of it, and of its folder."""

logger = logging.getLogger("steadyd.backup")


class Source(Protocol):
    """Where the data of a moment comes from (`backup/data.py`)."""

    async def put_into(self, aim: Aim, place: Place) -> Snapshot: ...


class Absent:
    """The apps that are not here yet, or not whole."""

    def __init__(
        self, ground: Ground, chain: Chain, source: Source, contents: Contents, note: Callable[[str, Event], None]
    ) -> None:
        self._ground = ground
        self._chain = chain
        self._source = source
        self._contents = contents
        self._note = note
        self._absent: dict[str, Absence] = {}
        """Those that cannot run yet, by id."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(BRINGS_MAX)

    @property
    def count(self) -> int:
        """Apps that cannot run yet."""
        return len(self._absent)

    async def load(self) -> None:
        """Know who is absent. Before any app may start."""
        self._absent = {one.app_id: one for one in await self._ground.library.absences.all() if not one.here}

    def preparing(self, prepare: Callable[[str], Awaitable[Plan]]) -> Callable[[str], Awaitable[Plan]]:
        """`prepare`, once the app is here."""

        async def brought(app_id: str) -> Plan:
            await self.bring(app_id)
            return await prepare(app_id)

        return brought

    async def bring(self, app_id: str) -> None:
        """Return once the app is here; a store that is away is waited for. Whoever asks meanwhile waits for the same.

        Raises:
            SteadyError: `backup_broken` with what is missing, `disk_full`; the next call tries again.
        """
        if app_id not in self._absent:
            return
        task = self._tasks.get(app_id)
        if task is None:
            task = self._tasks[app_id] = asyncio.create_task(self._bring_patiently(app_id))
            task.add_done_callback(lambda _: self._tasks.pop(app_id))
        await asyncio.shield(task)

    async def run(self) -> None:
        """Bring everything that is not here yet, until nothing is left. At any time it is about few apps, so that one
        that somebody asks for does not wait for many."""
        while left := await self._ground.library.absences.all():
            queue = iter(left)
            await asyncio.gather(*(self._bring_all(queue) for _ in range(BEHIND_MAX)))
            if await self._ground.library.absences.all():
                await asyncio.sleep(AGAIN_SECONDS)

    async def close(self) -> None:
        """What is under way ends; the next start goes on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Private

    async def _bring_all(self, queue: Iterator[Absence]) -> None:
        for absence in queue:
            await self._whole(absence)

    async def _whole(self, absence: Absence) -> None:
        """The app, then its other versions' files."""
        app_id = absence.app_id
        try:
            await self.bring(app_id)
            async with self._slots:
                if (app := await self._ground.apps.by_id(app_id)) is not None:
                    await self._others(app)
            await self._ground.library.absences.over(app_id)
        except SteadyError as error:
            logger.warning("%s was not brought back: %s", app_id, error.message)
        except OSError as error:
            logger.warning("%s was not brought back: %s", app_id, error)

    async def _bring_patiently(self, app_id: str) -> None:
        while True:
            try:
                async with self._slots:
                    await self._bring(app_id)
                return
            except SteadyError as error:
                await self._ground.library.absences.failed(app_id, error.message)
                if error.code not in ("replica_away", "overloaded"):
                    raise
            await asyncio.sleep(RETRY_SECONDS_MAX * random.uniform(0.5, 1.0))

    async def _bring(self, app_id: str) -> None:
        app, absence = await self._ground.apps.by_id(app_id), self._absent[app_id]
        if app is not None:
            began, place = time.monotonic(), self._ground.place(app)
            version = await self._ground.versions.one(app_id, app.version)
            missing = await self._files(app_id, version) if version is not None else []
            if not await asyncio.to_thread(place.app.exists):
                await self._data(app, absence, place)
            if missing:
                self._tell(app_id, _lacking(app, missing))
            await self._ground.library.absences.here(app_id)
            self._tell(app_id, f"Brought back from its backup in {time.monotonic() - began:.2f} s.")
        del self._absent[app_id]

    async def _data(self, app: App, absence: Absence, place: Place) -> None:
        """The app's folder with all that it wrote; its version's files are linked at its start. Where the newest
        moment is damaged, it is one before."""
        for back in range(MOMENTS_MAX):
            scratch = Place(scratch_path(place, RECOVERY), place.uid)
            try:
                await self._source.put_into(await self._newest(app, absence.at, back), scratch)
                await asyncio.to_thread(os.rename, scratch.app, place.app)
                return
            except SteadyError as error:
                if error.code != "backup_broken" or back == MOMENTS_MAX - 1:
                    raise
                self._tell(app.id, f"The newest backup is damaged, so an earlier moment is tried: {error.message}")
            finally:
                await self._ground.trash.throw(scratch.root)

    async def _newest(self, app: App, before: float, back: int) -> Aim:
        """The newest state of the app that the target holds, of what was known at `before`; or of each database the
        moment so many `back`."""
        found: dict[str, Part | None] = {}
        for line in reversed(await self._ground.library.lines.of(app.id)):
            if line.began_at <= before and found.get(line.path) is None:
                moments = ltx.moments(await self._chain.pieces(line))
                moment = moments[max(-1 - back, -len(moments))] if moments else None
                found[line.path] = Part(line.path, line, moment.txid, moment.at) if moment else None
        for path in (path for path, part in found.items() if part is None):
            self._tell(app.id, f"“{path}” was not in the backup yet when the former host was lost.")
        files = await self._ground.library.captures.before(app.id, before)
        manifest, files_at = (files.manifest, files.seen_at) if files else ("", 0.0)
        parts = tuple(part for part in found.values() if part is not None)
        return Aim(before, parts, manifest, files_at, app.version)

    def _tell(self, app_id: str, said: str) -> None:
        self._note(app_id, Event(time.time(), RECOVERY, said))

    async def _others(self, app: App) -> None:
        """The files of versions that are not live. Some never were, and nobody kept those."""
        for version in await self._ground.versions.all(app.id):
            await self._files(app.id, version)

    async def _files(self, app_id: str, version: Version) -> list[str]:
        """Fetch a version's files; the paths of those that are nowhere."""
        slots, missing = asyncio.Semaphore(FILES_AT_ONCE_MAX), list[str]()

        async def fetch(file: File) -> None:
            async with slots:
                if not await self._file(app_id, file.sha256):
                    missing.append(file.path)

        try:
            async with asyncio.TaskGroup() as group:
                for file in {file.sha256: file for file in version.files}.values():
                    group.create_task(fetch(file))
        except* SteadyError as errors:
            raise errors.exceptions[0] from None
        return sorted(missing)

    async def _file(self, app_id: str, sha256: str) -> bool:
        blob = self._ground.blobs.path(sha256)
        if await asyncio.to_thread(blob.exists):
            return True
        part = blob.with_name(f"{PART_PREFIX}{os.urandom(8).hex()}")
        await asyncio.to_thread(part.parent.mkdir, 0o700, True, True)
        try:
            found = await self._contents.fetch(sha256, part, app_id)
            if found:
                await asyncio.to_thread(_keep, part, blob)
            return found
        finally:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()


# Private


def _keep(part: Path, blob: Path) -> None:
    part.chmod(BLOB_MODE)
    os.rename(part, blob)


def _lacking(app: App, missing: list[str]) -> str:
    files = f"{len(missing)} files of version {app.version} are not in the backup, first “{missing[0]}”"
    return f"{files}: deploy it again, or make an earlier version live."
