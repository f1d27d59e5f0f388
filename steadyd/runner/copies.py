"""The copy of an app's data that a candidate is tried on: databases consistently while the old version writes, other
files by copy, all as the app's own uid (harness/snapshot.ts)."""

from __future__ import annotations

import asyncio
import json
import os

from steadyd.errors import SteadyError
from steadyd.model import Version
from steadyd.runner.blobs import Blobs
from steadyd.runner.folder import FOLDER_MODE, Folder, Place, make_root
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import SCRIPT, Tools

COPY_SECONDS_MAX = 60.0
COPY_BYTES_MAX = 1 << 30
COPY_FILES_MAX = 100_000


class Copies:
    """Copies data for trials."""

    def __init__(self, tools: Tools, blobs: Blobs) -> None:
        self._tools = tools
        self._blobs = blobs

    async def make(self, place: Place, scratch: Place, live: Version) -> None:
        """What `live` has written in `place`, into `scratch`. A folder that holds nothing of the app's own is not made.

        Raises:
            SteadyError: `deploy_failed`: it is too much, took too long, or cannot be read.
        """
        shipped = [file.path for file in live.files]
        folder = Folder(place, self._blobs)
        if not await asyncio.to_thread(folder.has_written):
            return
        _make(scratch, shipped)
        room = Room(
            place.app,
            self._tools.engine.folder,
            place.uid,
            {"PATH": "/usr/bin:/bin", "HOME": "/tmp"},
            extra={"/copy": scratch.app, "/list": scratch.root / "list"},
        )
        words = [*SCRIPT, "{engine}/snapshot.ts", "{copy}", "--shipped", "{list}/shipped.json"]
        words += ["--max-bytes", str(COPY_BYTES_MAX), "--max-files", str(COPY_FILES_MAX)]
        result = await self._tools.run(room, words, COPY_SECONDS_MAX)
        if not result.ok:
            lines = result.last_lines()
            reason = lines[-1] if lines else f"the copy ended with {result.ended}"
            details = {"step": "trial", "reason": reason, "logs": lines}
            raise SteadyError("deploy_failed", f"The data could not be copied for the trial: {reason}", details)


# Private


def _make(scratch: Place, shipped: list[str]) -> None:
    listing = scratch.root / "list"
    make_root(scratch)
    for folder, mode in ((scratch.app, FOLDER_MODE), (listing, 0o755)):
        folder.mkdir()
        folder.chmod(mode)
    if scratch.uid is not None:
        os.chown(scratch.app, 0, scratch.uid)
    (listing / "shipped.json").write_text(json.dumps(shipped))
    (listing / "shipped.json").chmod(0o644)
