"""A copy of an app's data as of a moment, in a folder: for a trial, a fork, an archive.

Databases are copied consistently while the app writes, other files as they are, all as the app's own uid and in the
sandbox (harness/snapshot.ts); where the file system shares blocks, nothing is copied at all. A trial's large databases
are kept for the next one (`kept`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.model import Version
from steadyd.runner.blobs import Blobs
from steadyd.runner.folder import FOLDER_MODE, Folder, Place, make_root
from steadyd.runner.kept import KEPT, Copy, keep, sealed, standing, take
from steadyd.runner.reserve import check_reserve
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import SCRIPT, Result, Tools
from steadyd.runner.trash import Trash

COPY_SECONDS_MAX = 60.0
COPY_BYTES_MAX = 1 << 30
COPY_FILES_MAX = 100_000
KEPT_SECONDS_MAX = 3_600.0


LIMIT_REACHED = 3
"""The script's exit code past a limit."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was copied. Moments are in seconds since 1970."""

    at: float
    """Nothing of it is older."""
    bytes: int = 0
    databases: Mapping[str, float] = field(default_factory=dict)
    """Path → the moment that it is of."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Path → why, of what was not copied or not as a database."""


class Copies:
    """Copies data out of the folder of an app that runs or sleeps."""

    def __init__(self, tools: Tools, blobs: Blobs, trash: Trash) -> None:
        self._tools = tools
        self._blobs = blobs
        self._trash = trash
        self._timers: dict[Path, asyncio.TimerHandle] = {}
        self._dropped: asyncio.Future[None] | None = None

    async def make(self, place: Place, scratch: Place, live: Version) -> list[Copy]:
        """What `live` has written in `place`, into `scratch`, for a trial. A folder that holds nothing of the app's own
        is not made.

        Returns the large databases of it that can be kept.

        Raises:
            SteadyError: `deploy_failed`: it is too much, took too long, or cannot be read.
        """
        if not await self._begin(place, scratch, live):
            return []
        before = await asyncio.to_thread(standing, place.app)
        taken = await asyncio.to_thread(take, place, scratch, before)
        result = await self._run(place, scratch, [copy.path for copy in taken])
        if not result.ok:
            reason = _reason(result)
            details = {"step": "trial", "reason": reason, "logs": result.last_lines()}
            raise SteadyError("deploy_failed", f"The data could not be copied for the trial: {reason}", details)
        if not before:
            return []
        return await asyncio.to_thread(lambda: sealed(scratch, before, standing(place.app)))

    async def take(self, place: Place, scratch: Place, live: Version) -> Snapshot:
        """The same, for whoever wants the copy for itself. The folder is made in any case, of `scratch.uid`.

        Raises:
            SteadyError: `too_large`: it is too much, or took too long; `conflict`: it cannot be read.
        """
        began = time.time()
        if not await self._begin(place, scratch, live):
            await asyncio.to_thread(_make, scratch, ())
            return Snapshot(began)
        result = await self._run(place, scratch)
        if not result.ok:
            much = result.timed_out or result.ended.code == LIMIT_REACHED
            raise SteadyError("too_large" if much else "conflict", f"The data cannot be copied: {_reason(result)}.")
        told = result.answer()
        moments = {str(path): float(ms) / 1000 for path, ms in dict(told.get("moments", {})).items()}
        left_out = {str(one["path"]): str(one["reason"]) for one in told.get("skipped", ())}
        return Snapshot(began, int(told.get("bytes", 0)), moments, left_out)

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

    async def _begin(self, place: Place, scratch: Place, live: Version) -> bool:
        """Make an empty folder; or nothing, where the app has written nothing."""
        if not await asyncio.to_thread(Folder(place, self._blobs).has_written):
            return False
        _make(scratch, [file.path for file in live.files])
        return True

    async def _run(self, place: Place, scratch: Place, kept: Sequence[str] = ()) -> Result:
        """The script; databases of `kept` are there already."""
        _tell(scratch, "kept.json", kept)
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
        return await self._tools.run(room, words, COPY_SECONDS_MAX)

    def _later(self, place: Place) -> None:
        if timer := self._timers.pop(place.root, None):
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[place.root] = loop.call_later(KEPT_SECONDS_MAX, self.forget, place)


# Private


def _reason(result: Result) -> str:
    if result.timed_out:
        return f"it took longer than {COPY_SECONDS_MAX:g} s"
    lines = result.last_lines()
    return lines[-1] if lines else f"the copy ended with {result.ended}"


def _make(scratch: Place, shipped: Sequence[str]) -> None:
    listing = scratch.root / "list"
    make_root(scratch)
    for folder, mode in ((scratch.app, FOLDER_MODE), (listing, 0o755)):
        folder.mkdir()
        folder.chmod(mode)
    if scratch.uid is not None:
        os.chown(scratch.app, 0, scratch.uid)
    _tell(scratch, "shipped.json", shipped)


def _tell(scratch: Place, name: str, paths: Sequence[str]) -> None:
    """A list that the script reads."""
    told = scratch.root / "list" / name
    told.write_text(json.dumps(list(paths)))
    told.chmod(0o644)
