"""The copy of an app's data that a candidate is tried on: databases consistently while the old version writes, other
files by copy, all as the app's own uid (harness/snapshot.ts). Large databases are kept for the next trial (`kept`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.model import Version
from steadyd.runner.blobs import Blobs
from steadyd.runner.folder import FOLDER_MODE, Folder, Place, make_root
from steadyd.runner.kept import KEPT, Copy, keep, sealed, standing, take
from steadyd.runner.reserve import check_reserve
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import SCRIPT, Tools
from steadyd.runner.trash import Trash

COPY_SECONDS_MAX = 60.0
COPY_BYTES_MAX = 1 << 30
COPY_FILES_MAX = 100_000
KEPT_SECONDS_MAX = 3_600.0


class Copies:
    """Copies data for trials."""

    def __init__(self, tools: Tools, blobs: Blobs, trash: Trash) -> None:
        self._tools = tools
        self._blobs = blobs
        self._trash = trash
        self._timers: dict[Path, asyncio.TimerHandle] = {}
        self._dropped: asyncio.Future[None] | None = None

    async def make(self, place: Place, scratch: Place, live: Version) -> list[Copy]:
        """What `live` has written in `place`, into `scratch`. A folder that holds nothing of the app's own is not made.

        Returns the large databases of it that can be kept.

        Raises:
            SteadyError: `deploy_failed`: it is too much, took too long, or cannot be read.
        """
        shipped = [file.path for file in live.files]
        folder = Folder(place, self._blobs)
        if not await asyncio.to_thread(folder.has_written):
            return []
        before = await asyncio.to_thread(standing, place.app)
        _make(scratch, shipped)
        taken = await asyncio.to_thread(take, place, scratch, before)
        _tell(scratch, "kept.json", [copy.path for copy in taken])
        room = Room(
            place.app,
            self._tools.engine.folder,
            place.uid,
            {"PATH": "/usr/bin:/bin", "HOME": "/tmp"},
            extra={"/copy": scratch.app, "/list": scratch.root / "list"},
        )
        words = [*SCRIPT, "{engine}/snapshot.ts", "{copy}"]
        words += ["--shipped", "{list}/shipped.json", "--kept", "{list}/kept.json"]
        words += ["--max-bytes", str(COPY_BYTES_MAX), "--max-files", str(COPY_FILES_MAX)]
        result = await self._tools.run(room, words, COPY_SECONDS_MAX)
        if not result.ok:
            lines = result.last_lines()
            reason = lines[-1] if lines else f"the copy ended with {result.ended}"
            details = {"step": "trial", "reason": reason, "logs": lines}
            raise SteadyError("deploy_failed", f"The data could not be copied for the trial: {reason}", details)
        if not before:
            return []
        return await asyncio.to_thread(lambda: sealed(scratch, before, standing(place.app)))

    async def keep(self, place: Place, scratch: Place, copies: Sequence[Copy]) -> None:
        """Keep those that nobody wrote to, for a while and where there is room. Nothing runs in `scratch` any more."""
        with contextlib.suppress(SteadyError, OSError):
            check_reserve(place.root)
            if copies and await asyncio.to_thread(keep, place, scratch, copies):
                self._later(place)

    def forget(self, place: Place) -> None:
        """Let go of what is kept of one app."""
        timer = self._timers.pop(place.root, None)
        if timer is not None:
            timer.cancel()
        self._dropped = asyncio.ensure_future(self._trash.throw(place.root / KEPT))

    async def clear(self, apps: Path) -> None:
        """Let go of what an earlier daemon kept below `apps`."""
        for kept in await asyncio.to_thread(lambda: list(apps.glob(f"*/{KEPT}"))):
            await self._trash.throw(kept)

    def close(self) -> None:
        """What is kept goes with the next start."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    # Private

    def _later(self, place: Place) -> None:
        if timer := self._timers.pop(place.root, None):
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[place.root] = loop.call_later(KEPT_SECONDS_MAX, self.forget, place)


# Private


def _make(scratch: Place, shipped: list[str]) -> None:
    listing = scratch.root / "list"
    make_root(scratch)
    for folder, mode in ((scratch.app, FOLDER_MODE), (listing, 0o755)):
        folder.mkdir()
        folder.chmod(mode)
    if scratch.uid is not None:
        os.chown(scratch.app, 0, scratch.uid)
    _tell(scratch, "shipped.json", shipped)


def _tell(scratch: Place, name: str, paths: list[str]) -> None:
    """A list that the script reads."""
    told = scratch.root / "list" / name
    told.write_text(json.dumps(paths))
    told.chmod(0o644)
