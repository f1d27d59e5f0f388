"""Folders on their way out: gone from their place at once, removed behind everybody's back, however much is in them.

A million files take half a minute to remove. So what goes is first renamed into one folder, where no app and no record
leads, and then removed there by a child of low priority, one after the other. Whatever a stop or a crash leaves in that
folder is removed after the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import shutil
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.runner.process import Process, Spawn, spawn, spawn_now

NICE = ("/usr/bin/nice", "-n", "10")

logger = logging.getLogger("steadyd.trash")


def remove_now(folder: Path) -> None:
    """Remove a folder that holds little, though an app could write to it; only on the event loop."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:  # a thousand folders in one another are no accident: rm(1) does not mind
        spawn_now(["/bin/rm", "-rf", "--", str(folder)], {}, {})


class Trash:
    """One folder, on the filesystem of what is thrown into it."""

    def __init__(self, folder: Path, spawn: Spawn = spawn) -> None:
        self._folder = folder
        self._spawn = spawn
        self._emptying: asyncio.Task[None] | None = None
        self._kept: set[str] = set()
        """What could not be removed; the next start tries again."""

    async def throw(self, path: Path) -> None:
        """Nothing is at `path` any more when it returns, and nothing of it anywhere soon. It may be missing."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        try:
            os.rename(path, self._folder / os.urandom(8).hex())
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            await self._remove(path)
        self.empty()

    def empty(self) -> None:
        """Begin to remove what is in the folder, if nobody does."""
        if self._emptying is None or self._emptying.done():
            self._emptying = asyncio.ensure_future(self._empty())

    async def emptied(self) -> None:
        """Wait until everything that can be removed is."""
        if self._emptying is not None:
            await asyncio.shield(self._emptying)

    async def close(self) -> None:
        """Stop removing; the next start goes on."""
        if self._emptying is not None:
            self._emptying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._emptying

    # Private

    async def _empty(self) -> None:
        while left := self._left():
            if not await self._remove(self._folder / left[0]):
                self._kept.add(left[0])

    def _left(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return sorted(set(os.listdir(self._folder)) - self._kept)
        return []

    async def _remove(self, path: Path) -> bool:
        """rm(1) follows no link and knows no depth that is too deep for it."""
        process: Process | None = None
        try:
            process = await self._spawn([*NICE, "/bin/rm", "-rf", "--", str(path)], {}, {})
            ended = await asyncio.shield(process.ended)
        except SteadyError as error:
            logger.warning("%s is not removed before the next start: %s", path, error.message)
            return False
        finally:
            if process is not None and not process.ended.done():
                process.kill()
                await process.ended
        if ended.code != 0:
            logger.warning("%s cannot be removed: %s", path, ended)
        return ended.code == 0
