"""What an app may hold on the disk, when it is time to look, and when it is too much. Decisions only.

Looking means walking over all that the app wrote, so it is done rarely, unless the host's free space falls: an app that
has 200 MiB left cannot have used them up while the whole host lost 100 MiB. What was freed meanwhile does not count
against what was taken, or one app's deletions would hide another's writing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

BYTES_PER_INODE = 10 << 10
"""Of an app's disk space, for each file, folder or link that it may have: about 100,000 for 1 GiB."""
INODES_MIN = 10_000
EVERY_SECONDS = 60.0
"""Between two looks at a quiet app."""
SHARE = 50
"""A quiet app is looked at for at most one second of so many, however long a look takes."""
URGENT_SECONDS = 0.4
URGENT_SHARE = 3
"""The same where it may have passed its limit by now."""
STEP_BYTES = 8 << 20
STEP_INODES = 500
"""What the host must have lost at least before anybody is suspected."""
SLACK_BYTES = 64 << 20
SLACK_INODES = 1_000
"""What an app that was over its limit when it started may write all the same, to clean up; half of it after each time
that it used this up."""
UNLIMITED = 1 << 60


@dataclass(frozen=True, slots=True)
class Amount:
    """Disk space: blocks in bytes, and inodes (files, folders, links and all else)."""

    bytes: int = 0
    inodes: int = 0

    def exceeds(self, other: Amount) -> bool:
        return self.bytes > other.bytes or self.inodes > other.inodes


def allowance(disk_bytes: int) -> Amount:
    """What an app with that limit may hold; 0 is no limit."""
    if disk_bytes <= 0:
        return Amount(UNLIMITED, UNLIMITED)
    return Amount(disk_bytes, max(INODES_MIN, disk_bytes // BYTES_PER_INODE))


@dataclass(frozen=True, slots=True)
class Gauge:
    """How much was ever taken from the host's free space, by whomever."""

    free: Amount | None = None
    taken: Amount = Amount()

    def look(self, free: Amount) -> Gauge:
        """What it shows now that so much is free."""
        before = self.free or free
        lost = Amount(max(0, before.bytes - free.bytes), max(0, before.inodes - free.inodes))
        return Gauge(free, Amount(self.taken.bytes + lost.bytes, self.taken.inodes + lost.inodes))


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an app: when it ended (monotonic), how long it took, what the gauge showed when it began."""

    now: float
    seconds: float
    taken: Amount


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of what one app holds."""

    used: Amount = Amount()
    last: Look | None = None
    """None: nothing is known, as after the daemon's start."""
    raised: Amount | None = None
    """What it may hold instead of its limit, because it was over it when we first looked."""
    kills: int = 0
    """How often it was stopped since it was last within its limit."""

    def due(self, now: float, taken: Amount, limit: Amount) -> bool:
        """Whether to look at it now; `taken` is what the gauge shows."""
        if self.last is None:
            return True
        since, room = now - self.last.now, self._room(limit)
        if taken.bytes - self.last.taken.bytes >= max(
            STEP_BYTES, room.bytes // 2
        ) or taken.inodes - self.last.taken.inodes >= max(STEP_INODES, room.inodes // 2):
            return since >= max(URGENT_SECONDS, URGENT_SHARE * self.last.seconds)
        return since >= max(EVERY_SECONDS, SHARE * self.last.seconds)

    def ceiling(self, limit: Amount) -> Amount | None:
        """Above what it is stopped; None where the next look only tells how much it holds."""
        if self.raised is not None:
            return Amount(max(self.raised.bytes, limit.bytes), max(self.raised.inodes, limit.inodes))
        known = self.last is not None and not self.used.exceeds(limit)
        return limit if known else None

    def after(self, used: Amount, limit: Amount, look: Look) -> tuple[Account, bool]:
        """The account after a look that found `used`, and whether the app must be stopped."""
        ceiling = self.ceiling(limit)
        if not used.exceeds(limit):
            return Account(used, look), False
        if ceiling is not None and used.exceeds(ceiling):
            return Account(used, kills=self.kills + 1), True
        raised = Amount(
            _raised(used.bytes, limit.bytes, SLACK_BYTES >> self.kills),
            _raised(used.inodes, limit.inodes, SLACK_INODES >> self.kills),
        )
        if ceiling is not None:  # what it gave back stays given back
            raised = Amount(min(raised.bytes, ceiling.bytes), min(raised.inodes, ceiling.inodes))
        return replace(self, used=used, last=look, raised=raised), False

    # Private

    def _room(self, limit: Amount) -> Amount:
        ceiling = self.ceiling(limit) or limit
        return Amount(max(0, ceiling.bytes - self.used.bytes), max(0, ceiling.inodes - self.used.inodes))


# Private


def _raised(used: int, limit: int, slack: int) -> int:
    return limit if used <= limit else used + slack
