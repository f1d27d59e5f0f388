"""Who waits for which sync of an app's databases, and what the end of one means to whom. No I/O.

A position is **safe** once a sync that began after it was seen has ended well. One sync is under way at a time and
serves all who came before it began. Who comes while it runs waits for it too if the position is still the one that it
began with, and for the next one otherwise.
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

WITHHELD_BYTES_MAX = 64 << 20
"""Of one app's answers that wait at once."""

Who = TypeVar("Who")


class Verdict(Enum):
    """What becomes of a piece of an answer."""

    PASS = auto()
    WAIT = auto()
    REFUSE = auto()


@dataclass(frozen=True, slots=True)
class _Wait:
    came: float
    sync: int
    """Number of the sync that must end well."""
    size: int


class Waiting(Generic[Who]):
    """The queue of one app. Times are monotonic seconds; everybody waits for `seconds` at most. Of a position only
    matters whether it is empty (there is no database) and whether it equals another."""

    def __init__(self, seconds: float, bytes_max: int = WITHHELD_BYTES_MAX) -> None:
        self.away = False
        """True once a whole wait was in vain, until a sync ends well: meanwhile nobody waits."""
        self._seconds = seconds
        self._bytes_max = bytes_max
        self._safe: Sized | None = None
        self._under_way: Sized | None = None
        self._syncs = 0
        """How many have begun."""
        self._waits: dict[Who, _Wait] = {}
        """In the order in which they came, so of their deadlines too."""
        self._bytes = 0
        self._succeeded_at = float("-inf")

    def __len__(self) -> int:
        return len(self._waits)

    @property
    def wants_sync(self) -> bool:
        """Whether another one is to begin when none is under way."""
        return bool(self._waits) or self.away

    @property
    def deadline(self) -> float | None:
        """When somebody's time is up next."""
        return next((wait.came + self._seconds for wait in self._waits.values()), None)

    def is_safe(self, position: Sized) -> bool:
        """Whether the replica has all of it."""
        return not position or position == self._safe

    def arrive(self, who: Who, position: Sized, size: int, now: float) -> Verdict:
        """A piece of `size` bytes came while the databases stood at `position`."""
        if self.is_safe(position):
            return Verdict.PASS
        if self.away or self._bytes + size > self._bytes_max:
            return Verdict.REFUSE
        serves = self._under_way is not None and position == self._under_way
        self._waits[who] = _Wait(now, self._syncs if serves else self._syncs + 1, size)
        self._bytes += size
        return Verdict.WAIT

    def leave(self, who: Who) -> None:
        """It does not wait any more."""
        if (wait := self._waits.pop(who, None)) is not None:
            self._bytes -= wait.size

    def begin(self, position: Sized) -> None:
        """A sync begins, with everything that was committed up to `position`."""
        self._syncs += 1
        self._under_way = position

    def fail(self) -> None:
        """It ended badly: who waited for it waits for the next one."""
        self._under_way = None

    def succeed(self, now: float) -> list[Who]:
        """It ended well: these may pass."""
        self._safe, self._under_way = self._under_way, None
        self._succeeded_at, self.away = now, False
        return self._take([who for who, wait in self._waits.items() if wait.sync <= self._syncs])

    def expire(self, now: float) -> list[Who]:
        """These have waited their time. Where no sync ended well in it, the replica is away, and these are all."""
        late = [who for who, wait in self._waits.items() if wait.came + self._seconds <= now]
        if late and self._waits[late[0]].came >= self._succeeded_at:
            self.away = True
            late = list(self._waits)
        return self._take(late)

    def clear(self) -> list[Who]:
        """All who wait."""
        return self._take(list(self._waits))

    # Private

    def _take(self, gone: list[Who]) -> list[Who]:
        for who in gone:
            self.leave(who)
        return gone
