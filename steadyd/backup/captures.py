"""Captures: an app's files that are no database, kept elsewhere as they were at restore points, at sleep, and every few
minutes while they change.

A capture is a survey of the folder, a copy of each content that is not kept yet into the outbox, and a list of all as
one more content. It is never more than it says: what could not be done is its `problem`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
import weakref
from collections.abc import Collection, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from steadyd.backup.contents import Contents
from steadyd.backup.known import load, save
from steadyd.backup.manifest import Kept, Manifest, address, read
from steadyd.backup.outbox import Outbox
from steadyd.backup.putback import put_back
from steadyd.backup.reading import Late
from steadyd.backup.survey import STILL_SECONDS, Bounds, Found, Known, Survey
from steadyd.errors import SteadyError
from steadyd.model import App, AppState
from steadyd.moment import Capture
from steadyd.records.captures import Captures as Records
from steadyd.runner.app import AT_REST
from steadyd.runner.folder import Place, shipped
from steadyd.runner.ground import Ground

EVERY_SECONDS = 300.0
"""Between two looks at an app that runs."""
START_SECONDS = 15.0
"""After the daemon's start, when there is more to do than to look at apps that sleep."""
AT_ONCE_MAX = 2
"""Captures, on one host. Those that requests wait for are besides."""
KNOWN_FILES_MAX = 500_000
"""Remembered of all apps together; whose were not looked at for longest are forgotten, and read again."""

logger = logging.getLogger("steadyd.captures")


class Captures:
    """Captures the files of one host's apps. `folder` holds the lists of files that are needed."""

    def __init__(self, ground: Ground, records: Records, contents: Contents, folder: Path) -> None:
        self._ground = ground
        self.records = records
        self._contents = contents
        self._folder = folder
        self._threads = ThreadPoolExecutor(AT_ONCE_MAX, "capture")
        self._known: dict[str, Mapping[str, Known]] = {}
        """App id → its files as they were read last; whose were looked at last come last."""
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._ran: set[str] = set()
        """Apps that ran since they were captured last."""
        self._due: set[str] = set()
        """Those that sleep since, or whose time has come: to be captured now."""
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self.troubles: dict[str, str] = {}
        """App id → why its last capture came to nothing."""
        self._woken = asyncio.Event()

    # Whoever runs apps

    def turned(self, app_id: str, state: AppState) -> None:
        """An app's state is another now."""
        if state not in AT_REST:
            self._ran.add(app_id)
        elif app_id in self._ran:
            self._ran.discard(app_id)
            self._due.add(app_id)
            self._woken.set()

    async def run(self) -> None:
        """Capture what fell asleep, and all that runs every few minutes; for ever. What ran when an earlier daemon
        ended is captured once."""
        looked, first = time.monotonic() - EVERY_SECONDS + START_SECONDS, True
        while True:
            self._woken.clear()
            if time.monotonic() - looked >= EVERY_SECONDS:
                self._due |= self._ran
                if first:
                    self._due |= {app.id for app in await self._ground.apps.everything() if app.version}
                looked, first = time.monotonic(), False
            for app_id in [app_id for app_id in self._due if app_id not in self._under_way]:
                self._due.discard(app_id)
                self._under_way[app_id] = asyncio.create_task(self._capture_by_id(app_id))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, looked + EVERY_SECONDS - time.monotonic())):
                    await self._woken.wait()

    async def catch_up(self) -> None:
        """Capture now what fell asleep."""
        self._woken.set()
        while self._due or self._under_way:
            await asyncio.wait([*self._under_way.values(), asyncio.create_task(asyncio.sleep(0.01))])

    def close(self) -> None:
        """What is under way is given up."""
        for task in self._under_way.values():
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def again(self, app_id: str) -> None:
        """Capture an app soon."""
        self._due.add(app_id)
        self._woken.set()

    # Whoever needs one

    async def newest(self, app_id: str) -> Capture | None:
        """The last one of an app."""
        return await self.records.newest(app_id)

    async def capture(self, app: App) -> Capture:
        """The app's files as they are now. Where nothing of them changed, that is one look at the folder."""
        async with self._turns.setdefault(app.id, asyncio.Lock()):
            work = partial(self._look, app, Bounds())
            found = await asyncio.get_running_loop().run_in_executor(self._threads, work)
            await self._take(app, found, Bounds().seconds, self._threads)
            return await self._keep(app, found)

    async def touch_up(self, app: App, seconds: float) -> tuple[str, float]:
        """The list of the app's files and its time, as they are now while nothing of it runs; of the last capture, if
        that took longer than `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                bounds = Bounds(seconds=seconds, settled_seconds=STILL_SECONDS)
                found = await asyncio.to_thread(self._look, app, bounds)
                await self._take(app, found, seconds, None)
                if found.late:
                    raise TimeoutError
                done = await self._keep(app, found)
        except (TimeoutError, SteadyError, OSError) as error:
            logger.warning("the files of %s are as of their last capture: %s", app.id, error or "no time")
            last = await self.records.newest(app.id)
            return (last.manifest, last.seen_at) if last else ("", 0.0)
        return done.manifest, done.seen_at

    async def manifest(self, sha256: str) -> Manifest:
        """The list at an address; an empty one at "".

        Raises:
            SteadyError: `backup_broken` if nobody has it, `replica_away`.
        """
        if not sha256:
            return Manifest()
        path = self._folder / sha256
        content = await asyncio.to_thread(_content, path)
        if address(content) != sha256:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            part = path.with_name(f"{sha256}-{os.urandom(4).hex()}")
            if not await self._contents.fetch(sha256, part):
                message = f"The list {sha256[:12]} of captured files is missing in the backup. Nothing was changed."
                raise SteadyError("backup_broken", message, {"missing": [sha256]})
            part.rename(path)
            content = await asyncio.to_thread(_content, path)
        return await asyncio.to_thread(read, content)

    async def put_back(self, manifest: str, place: Place, app_id: str = "") -> int:
        """Every file of a list into the folder of `place`, in which nothing runs. Returns how many. The store's
        requests are on the account of `app_id`.

        Raises:
            SteadyError: `backup_broken` naming what is missing, `replica_away`.
        """
        listed = await self.manifest(manifest)
        await put_back(listed, place, partial(self._contents.fetch, app_id=app_id))
        return len(listed.files)

    def forget_lists(self, needed: Collection[str]) -> None:
        """Keep no list here but these; what the store has is another matter. Blocks."""
        with contextlib.suppress(FileNotFoundError):
            for name in set(os.listdir(self._folder)).difference(needed):
                (self._folder / name).unlink(missing_ok=True)

    # Private

    async def _capture_by_id(self, app_id: str) -> None:
        try:
            app = await self._ground.apps.by_id(app_id)
            if app is not None and await asyncio.to_thread(self._ground.place(app).app.is_dir):
                await self.capture(app)
            self.troubles.pop(app_id, None)
        except SteadyError as error:
            self.troubles[app_id] = error.message
            self._ran.add(app_id)
        except Exception:
            logger.exception("the files of %s were not captured", app_id)
            self.troubles[app_id] = "they could not be captured; the daemon's log says why"
            self._ran.add(app_id)
        finally:
            del self._under_way[app_id]
            if app_id in self._due:
                self._woken.set()

    def _look(self, app: App, bounds: Bounds) -> Found:
        place = self._ground.place(app)
        known = self._known.get(app.id)
        return Survey(place, frozenset(shipped(place)), load(place) if known is None else known, bounds).look()

    async def _take(self, app: App, found: Found, seconds: float, threads: Executor | None) -> None:
        """Copy what is not kept yet into the outbox."""
        kept = await self._contents.held(found.manifest.contents)
        work = partial(take, self._contents.outbox, self._ground.place(app), found, kept, time.monotonic() + seconds)
        await asyncio.get_running_loop().run_in_executor(threads, work)

    async def _keep(self, app: App, found: Found) -> Capture:
        """What was found, and is kept by now, becomes the newest capture."""
        made = found.manifest
        listed = await asyncio.to_thread(made.written)
        manifest = address(listed)
        if manifest and not await self._contents.held([manifest]):
            await asyncio.to_thread(self._list, manifest, listed, app.id)
        counts = len(made.files), made.size
        told = Capture(0, app.id, found.at, manifest, *counts, found.at, found.skipped, found.problem)
        capture = await self.records.add(told)
        if found.known != self._known.get(app.id):
            await asyncio.to_thread(save, self._ground.place(app), found.known)
        self._remember(app.id, found.known)
        self._contents.poke()
        return capture

    def _list(self, manifest: str, listed: bytes, app_id: str) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        part = self._folder / f"{manifest}-{os.urandom(4).hex()}"
        part.write_bytes(listed)
        part.rename(self._folder / manifest)
        self._contents.outbox.put(listed, app_id)

    def _remember(self, app_id: str, known: Mapping[str, Known]) -> None:
        self._known.pop(app_id, None)
        self._known[app_id] = known
        while sum(map(len, self._known.values())) > KNOWN_FILES_MAX and len(self._known) > 1:
            del self._known[next(iter(self._known))]


def take(outbox: Outbox, place: Place, found: Found, kept: Collection[str], deadline: float) -> None:
    """Copy what was found and is not `kept` into the outbox. What cannot be is left out of what was found, and told.
    `deadline` is monotonic seconds. Blocks."""
    for path, file in list(found.files.items()):
        if file.sha256 in kept or outbox.holds(file.sha256):
            continue
        got = None
        try:
            got = outbox.take(place, path, deadline)
        except Late:
            found.late = True
            found.lacks("not copied in time", path)
        except SteadyError as error:
            found.lacks(error.message.rstrip("."), path)
        if got is None:
            del found.files[path]
            found.known.pop(path, None)
        elif got.sha256 != file.sha256:
            found.files[path] = Kept(got.sha256, got.seen.size, file.mode)
            found.known.pop(path, None)
            if not got.steady:
                found.lacks("changed while it was read", path)


# Private


def _content(path: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return b""
