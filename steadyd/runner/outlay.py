"""What an installation puts on the disk: how far it is, and that it is not too much."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from steadyd.errors import SteadyError
from steadyd.linux.usage import Enough, Walk
from steadyd.runner.folder import MODULES
from steadyd.runner.tool import Result

INSTALL_BYTES_MAX = 512 << 20
INSTALL_FILES_MAX = 50_000
"""Of one installation, folders included."""
LOOK_EVERY_SECONDS = 0.5
UNCOUNTED = 1 << 60

Amount = tuple[int, int]
"""Bytes and files on a disk."""
Tell = Callable[[str], None]
"""Told of each phase of an installation, in one sentence."""


class Outlay:
    """Of one installation, in its folder and in what it fetches into."""

    def __init__(self, folder: Path, cache: Path, tell: Tell) -> None:
        self._folder = folder
        self._cache = cache
        self._tell = tell
        self._told = ""
        self._before = amount([cache])
        self._packages_before = _packages(cache)

    async def attend(self, program: Coroutine[Any, Any, Result]) -> Result:
        """What `program` gives; it is ended as soon as it is too much.

        Raises:
            SteadyError: `too_large`.
        """
        running = asyncio.ensure_future(program)
        try:
            await self.watch(running)
        except BaseException:
            running.cancel()
            await asyncio.wait([running])
            raise
        return running.result()

    async def watch(self, running: asyncio.Future[Result]) -> None:
        """Look until it ended.

        Raises:
            SteadyError: `too_large` as soon as it is too much.
        """
        done: set[asyncio.Future[Result]] = set()
        while not done:
            done, _ = await asyncio.wait({running}, timeout=LOOK_EVERY_SECONDS)
            (bytes_now, files_now), phase = await asyncio.to_thread(self._look)
            if phase != self._told:
                self._told = phase
                self._tell(phase)
            if bytes_now > self._before[0] + INSTALL_BYTES_MAX or files_now > self._before[1] + INSTALL_FILES_MAX:
                most = f"{INSTALL_BYTES_MAX >> 20} MiB in {INSTALL_FILES_MAX:,} files"
                reason = f"The dependencies are too large: an app may have {most}."
                raise SteadyError("too_large", reason, {"step": "install", "cause": "too_large", "reason": reason})

    # Private

    def _look(self) -> tuple[Amount, str]:
        packages = _packages(self._cache) - self._packages_before
        put = amount([self._folder, self._cache])
        if (self._folder / MODULES).is_dir():
            return put, "Linking the packages."
        noun = "package" if packages == 1 else "packages"
        return put, f"Downloaded {packages} {noun}." if packages else self._told


def amount(folders: Sequence[Path]) -> Amount:
    """Bytes and files below `folders`, each file once."""
    walk = Walk(None, UNCOUNTED, UNCOUNTED)
    with contextlib.suppress(Enough):
        for folder in folders:
            walk.folder(str(folder))
    return walk.bytes, walk.inodes


# Private


def _packages(cache: Path) -> int:
    """How many packages were fetched and unpacked: `name@1.2.3@@@1`, `@scope/name@1.2.3@@@1`."""
    return sum(1 for pattern in ("*@@@*", "@*/*@@@*") for _ in cache.glob(pattern))
