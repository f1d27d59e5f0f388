"""When a group starves for memory: the kernel killed something in it, or it gets nothing done at its limit.

The second is what no limit ends soon: with nearly everything held by what cannot be given up, the kernel throws the
program's own code out of the page cache and reads it back, over and over. A Bun in 48 MiB did that for 16 seconds
before the kernel killed it, each page of its cache read again 200 times a second, 250 times a second with a thread
waiting. A group that reads or writes large files is at its limit as well, and its cache is read again as often;
but then the cache is most of what it has, or nobody waits (`tight` has both).

`Watch` sleeps until the kernel says that memory is hard to find, and then looks four times a second until it is easy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

STEP_SECONDS = 0.25
STARVING_SECONDS = 0.5
"""So long it is tight before it is told. A start or a collection of garbage may be for a moment."""
HELD_SHARE = 0.85
"""Of the limit, in memory that cannot be given up: 0.94 in that Bun, 0.05 in a reader of large files."""
MAJOR_FAULTS_PER_SECOND = 20
"""A thread waited for a page of a mapped file. 250 in that Bun on a fast disk, 0 when files are read by read(2)."""
TURNS_PER_SECOND = 10
"""How often as much as the whole page cache is read again that was thrown out before. 200 in that Bun."""
PAGE_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Reading:
    """A group's memory at one moment, in monotonic seconds; the last three count since it was made."""

    at: float
    limit_bytes: int
    held_bytes: int
    """All but the page cache of files."""
    cache_bytes: int
    kills: int
    major_faults: int
    refaults: int
    """Pages of files that were thrown out and then wanted again."""


def tight(before: Reading, after: Reading) -> bool:
    """Whether nothing got done in between for want of memory."""
    seconds = after.at - before.at
    turned = (after.refaults - before.refaults) * PAGE_BYTES
    return (
        after.held_bytes >= HELD_SHARE * after.limit_bytes > 0
        and after.major_faults - before.major_faults >= MAJOR_FAULTS_PER_SECOND * seconds
        and turned >= TURNS_PER_SECOND * seconds * max(after.cache_bytes, PAGE_BYTES)
    )


def starving(kills_before: int, readings: Sequence[Reading]) -> bool:
    """The judgement on readings of moments that follow each other: killed since, or tight for STARVING_SECONDS."""
    if readings[-1].kills > kills_before:
        return True
    lasted = readings[-1].at - readings[0].at
    return lasted >= STARVING_SECONDS and all(tight(before, after) for before, after in pairwise(readings))


class Alarm(Protocol):
    """What the kernel says: `descriptor` is readable from the moment it is hard to find memory, until `clear`."""

    descriptor: int

    def clear(self) -> None: ...

    def close(self) -> None: ...


class Watch:
    """Calls `starve` once, on the running loop, when what `read` tells is starving."""

    def __init__(self, alarm: Alarm, read: Callable[[], Reading], starve: Callable[[], None]) -> None:
        self._alarm = alarm
        self._read = read
        self._starve = starve
        self._kills_before = read().kills
        self._readings: list[Reading] = []
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(alarm.descriptor, self._begin)

    def close(self) -> None:
        """Stop watching. Idempotent."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._alarm.descriptor)
            if self._timer is not None:
                self._timer.cancel()
            self._alarm.close()

    # Private

    def _begin(self) -> None:
        """The alarm may come thousands of times a second: from now on the clock is followed, until it is calm."""
        self._loop.remove_reader(self._alarm.descriptor)
        self._readings = []
        self._look()

    def _look(self) -> None:
        try:
            self._readings.append(self._read())
        except FileNotFoundError:  # the group was removed, which is an alarm too
            self.close()
            return
        if starving(self._kills_before, self._readings):
            self.close()
            self._starve()
        elif len(self._readings) > 1 and not tight(*self._readings[-2:]):
            self._alarm.clear()
            self._loop.add_reader(self._alarm.descriptor, self._begin)
        else:
            self._timer = self._loop.call_later(STEP_SECONDS, self._look)
