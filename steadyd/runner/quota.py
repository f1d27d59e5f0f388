"""The disk limit: who writes more than it may is stopped, within about a second.

Accounting with a hard stop, in place of a quota of the kernel's: that needs a filesystem and a mount option that hardly
any machine has. `allowance` decides; here the host's free space is watched, apps are measured by `linux/usage.py` as a
child of its own, and the one that holds too much is stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.linux import usage
from steadyd.runner.allowance import EVERY_SECONDS, UNLIMITED, Account, Amount, Gauge, Look, allowance
from steadyd.runner.failure import size
from steadyd.runner.process import Spawn
from steadyd.runner.tool import Collector

TICK_SECONDS = 0.25
MEASURES_MAX = 2
"""Apps that are measured at once; the others wait their turn, who writes most first."""
MEASURE_SECONDS_MAX = 10.0
PAUSE_SECONDS_MAX = 1.0
"""For which an app may be paused to be measured."""
MARGIN_SECONDS = 2.0
"""A measuring that has not even said that it had no time is killed."""

logger = logging.getLogger("steadyd.quota")


@dataclass(frozen=True, slots=True)
class Share:
    """What several apps may hold together: each as much as the others leave."""

    whose: str
    """The same word for all of them."""
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class Watched:
    """An instance that may write, and where. The first folder is what tells one app (or trial) from another."""

    folders: tuple[str, ...]
    uid: int | None
    limit_bytes: int
    pids: Callable[[], list[int]]
    pause: Callable[[bool], None]
    """Called with whether to pause it, or to let it go on."""
    stop: Callable[[str], None]
    """Called with why, as one sentence about “it”."""
    share: Share | None = None
    rests: bool = False
    """It does not run: it is measured once, for what it leaves to those it shares with."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What an app holds. `bytes` are blocks; not `whole`: at least so much."""

    bytes: int
    inodes: int
    held_bytes: int
    whole: bool
    largest: str
    largest_bytes: int


class Quota:
    """Watches every instance that runs. `folder` is on the filesystem that apps write to."""

    def __init__(self, folder: Path, spawn: Spawn, watched: Callable[[], Iterable[Watched]]) -> None:
        self._folder = folder
        self._spawn = spawn
        self._watched = watched
        self._gauge = Gauge()
        self._accounts: dict[str, Account] = {}
        self._written: dict[str, int] = {}
        self._shares: dict[str, str] = {}
        """Who shares → with whom."""
        self._together: Counter[str] = Counter()
        """Bytes that all of one share hold, as of this look."""
        self._measuring: dict[str, asyncio.Task[None]] = {}
        self._tidied = 0.0

    async def run(self) -> None:
        """Watch for ever."""
        try:
            while True:
                self.tick(time.monotonic())
                await asyncio.sleep(TICK_SECONDS)
        finally:
            for task in self._measuring.values():
                task.cancel()

    def tick(self, now: float) -> None:
        """Look at the host's free space, and begin to measure who may have passed a limit."""
        found = os.statvfs(self._folder)
        self._gauge = self._gauge.look(Amount(found.f_bfree * found.f_frsize, found.f_ffree))
        found_apps = list(self._watched())
        self._add_up(found_apps)
        due = [watched for watched in found_apps if self._is_due(watched, now)]
        free = MEASURES_MAX - len(self._measuring)
        if len(due) > free:
            due.sort(key=self._has_written, reverse=True)
        for watched in due[: max(0, free)]:
            self._measuring[watched.folders[0]] = asyncio.ensure_future(self._look(watched))
        if now - self._tidied > EVERY_SECONDS:
            self._tidied = now
            self._tidy()

    def used(self, folder: Path) -> Amount | None:
        """What the app in `folder` held when it was last measured; None if it was not, since the daemon started."""
        account = self._accounts.get(str(folder))
        return account.used if account is not None and account.last is not None else None

    async def held(self, watched: Watched) -> int:
        """Bytes that an app holds, as of the last look; where there was none, as of now."""
        folder = Path(watched.folders[0])
        if self.used(folder) is None:
            await self._look(watched)
        used = self.used(folder)
        return used.bytes if used is not None else 0

    # Private

    def _is_due(self, watched: Watched, now: float) -> bool:
        key = watched.folders[0]
        limit, account = self._limit(watched), self._accounts.get(key, Account())
        if key in self._measuring or (limit.bytes == UNLIMITED and not watched.rests):
            return False
        if watched.rests:
            return account.last is None
        return account.due(now, self._gauge.taken, limit)

    def _add_up(self, found: Iterable[Watched]) -> None:
        for watched in found:
            key = watched.folders[0]
            if watched.share is not None:
                self._shares[key] = watched.share.whose
            else:
                self._shares.pop(key, None)
        self._together = Counter()
        for key, whose in self._shares.items():
            if key in self._accounts:
                self._together[whose] += self._accounts[key].used.bytes

    def _limit(self, watched: Watched) -> Amount:
        """What it may hold now: its own limit, and what the others of its share leave of theirs."""
        share, own = watched.share, watched.limit_bytes
        if share is None or share.limit_bytes <= 0 or watched.rests:
            return allowance(own)
        used = self._accounts.get(watched.folders[0], Account()).used.bytes
        left = max(1, share.limit_bytes - self._together[share.whose] + used)
        return allowance(min(own, left) if own > 0 else left)

    async def _look(self, watched: Watched) -> None:
        """Measure one, and stop it if it holds too much."""
        key, limit = watched.folders[0], self._limit(watched)
        account, taken, began = self._accounts.get(key, Account()), self._gauge.taken, time.monotonic()
        try:
            found = await self._measured(watched, account.ceiling(limit) or Amount(UNLIMITED, UNLIMITED))
        finally:
            self._measuring.pop(key, None)
        now = time.monotonic()
        look = Look(now, now - began, taken)
        if found is None:
            self._accounts[key] = replace(account, last=look)
            return
        self._accounts[key], over = account.after(Amount(found.bytes, found.inodes), limit, look)
        if over:
            watched.stop(too_much(found, limit, watched.share if limit != allowance(watched.limit_bytes) else None))

    async def _measured(self, watched: Watched, ceiling: Amount) -> Measured | None:
        """Measured as it runs; who moves its folders about meanwhile is paused for it."""
        began = time.monotonic()
        found = await measure(self._spawn, watched, ceiling)
        moving = found is not None and not found.whole and not Amount(found.bytes, found.inodes).exceeds(ceiling)
        if not moving or time.monotonic() - began > PAUSE_SECONDS_MAX:
            return found
        watched.pause(True)
        try:
            return await measure(self._spawn, watched, ceiling, PAUSE_SECONDS_MAX)
        finally:
            watched.pause(False)

    def _has_written(self, watched: Watched) -> int:
        """Bytes since the last time that it was asked so; only to tell whom to measure first."""
        key, total = watched.folders[0], written(watched.pids())
        before, self._written[key] = self._written.get(key, 0), total
        return total - before

    def _tidy(self) -> None:
        """Forget who is gone."""
        for key in list(self._accounts):
            if not os.path.isdir(key):
                self._accounts.pop(key)
                self._written.pop(key, None)
                self._shares.pop(key, None)


async def measure(
    spawn: Spawn, watched: Watched, ceiling: Amount, seconds: float = MEASURE_SECONDS_MAX
) -> Measured | None:
    """What an app holds now; it stops counting above `ceiling`. None if that could not be found out."""
    order = {
        "folders": watched.folders,
        "uid": watched.uid,
        "pids": watched.pids(),
        "bytes": ceiling.bytes,
        "inodes": ceiling.inodes,
        "seconds": seconds,
    }
    output, output_end = os.pipe()
    try:
        command = [sys.executable, "-I", "-S", usage.__file__, json.dumps(order)]
        process = await spawn(command, {}, {1: output_end})
    except BaseException as error:
        os.close(output)
        if not isinstance(error, SteadyError):
            raise
        logger.warning("an app's disk space was not measured: %s", error.message)
        return None
    finally:
        os.close(output_end)
    collector = Collector(output)
    try:
        await asyncio.wait({process.ended}, timeout=seconds + MARGIN_SECONDS)
    finally:
        process.kill()
        await asyncio.shield(process.ended)
        said = collector.finish()
    with contextlib.suppress(ValueError, TypeError):
        return Measured(**json.loads(said))
    logger.warning("an app's disk space was not measured: %s", process.ended.result())
    return None


def written(pids: Iterable[int]) -> int:
    """Bytes that processes made the page cache write (proc(5), `/proc/PID/io`)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/io") as file:
            total += int(file.read().split("write_bytes: ")[1].split()[0])
    return total


def too_much(found: Measured, limit: Amount, share: Share | None = None) -> str:
    """Why an app was stopped: what it holds, of how much, where most of it is. `share` is what limited it."""
    if found.inodes > limit.inodes:
        what = f"it has more than {limit.inodes:,} files and folders, which is what {size(limit.bytes)} of disk allow."
    else:
        what = f"it holds {size(found.bytes)} on the disk, more than its {size(limit.bytes)}."
    if share is not None:
        what += f" A guest's apps may hold {size(share.limit_bytes)} together: delete one for good, or sign up."
    if found.held_bytes > found.bytes // 2:
        what += f" {size(found.held_bytes)} of it are in deleted files that it still has open."
    elif found.largest and found.largest_bytes > found.bytes // 2:
        what += f" {size(found.largest_bytes)} of it are in “{found.largest}”."
    return what
