"""How full the disk is that the data folder lies on, and when the operator should hear of it."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CHECK_SECONDS = 300.0
FULL_SHARE = 0.90
CALM_SHARE = 0.88
"""Below this the matter is over, and the next time above FULL_SHARE is news."""
REMIND_SECONDS = 86_400.0
"""A disk that stays full is told of again after this."""

logger = logging.getLogger("steadyd.hostdisk")


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes on a file system: in use, and free for whoever is not root."""

    used_bytes: int
    free_bytes: int

    @property
    def share(self) -> float:
        """As df(1) has it: of what could be used at all."""
        return self.used_bytes / max(1, self.used_bytes + self.free_bytes)


def look(folder: Path) -> Disk:
    """The disk under `folder` now, by statvfs(3)."""
    told = os.statvfs(folder)
    return Disk((told.f_blocks - told.f_bfree) * told.f_frsize, told.f_bavail * told.f_frsize)


class Fullness:
    """Whether it is time to say something. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._told_at: float | None = None

    def is_news(self, share: float, now: float) -> bool:
        if share < CALM_SHARE:
            self._told_at = None
        if share < FULL_SHARE or (self._told_at is not None and now - self._told_at < REMIND_SECONDS):
            return False
        self._told_at = now
        return True


async def watch(folder: Path, tell: Callable[[str], None]) -> None:
    """Look now and then, for ever; `tell` is given a sentence."""
    fullness = Fullness()
    while True:
        try:
            disk = await asyncio.to_thread(look, folder)  # it waits for a network file system
        except OSError as error:
            logger.warning("the disk under %s cannot be looked at: %s", folder, error)
        else:
            if fullness.is_news(disk.share, time.monotonic()):
                tell(sentence(folder, disk))
        await asyncio.sleep(CHECK_SECONDS)


def sentence(folder: Path, disk: Disk) -> str:
    """What to say of a full disk."""
    free = disk.free_bytes / (1 << 30)
    said = f"{disk.share:.0%} of the disk under {folder} are used, {free:.1f} GiB are free."
    return f"{said} When it is full, no app can write: make room, or move the folder to a larger disk."
