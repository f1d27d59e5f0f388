"""One database on its way to the replica: what was seen of it, what the replica has, and so how far that is behind.

That a sync succeeded is Litestream's word. Whether the replica is up to date we see ourselves: a database stands where
it stood before the last good sync began, or it does not. No I/O.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from steadyd.backup.standing import Log, Seen
from steadyd.moment import Line, Stand

BEHIND_SECONDS = 5.0
"""A replica that is so far behind is told to be; until then it is on its way."""
RETRY_SECONDS = 1.0
RETRY_SECONDS_MAX = 60.0
"""After a failure; doubled with each, and spread (full jitter, half of it at least)."""


class Health(StrEnum):
    """UNKNOWN: not compared yet; OK: it has what was committed, or will in a moment; BEHIND: it has not; FAILING: the
    last try failed; STALLED: nothing answers, or what was said to be there is not."""

    UNKNOWN = "unknown"
    OK = "ok"
    BEHIND = "behind"
    FAILING = "failing"
    STALLED = "stalled"


WORST_FIRST = (Health.STALLED, Health.FAILING, Health.BEHIND, Health.UNKNOWN, Health.OK)


@dataclass(slots=True)
class Stream:
    """What is known of one database. Times are monotonic seconds, but for `good_at`."""

    path: str
    line: Line | None = None
    generation: int = 0
    """Of the Litestream in which it is registered; 0: in none."""
    live: Seen | None = None
    """As it was seen last."""
    replicated: Seen | str | None = None
    """As it was seen before the last good sync began; a str is what a former daemon noted (`noted`)."""
    txid: int = 0
    """Of the last good sync."""
    differs_since: float | None = None
    good_at: float | None = None
    """Seconds since 1970."""
    problem: str = ""
    """Of the last try, "" if it went well."""
    stalled: bool = False
    failures: int = 0
    again_at: float = 0.0
    """Not tried before, unless somebody asks."""
    asked: int = 0
    """Number of the last call for a sync."""
    covered: int = 0
    """The last call before which the last good sync began."""
    counted_at: float = 0.0
    asked_for: int = 0
    """Up to when, and to which transaction, requests to the store were counted."""
    log: Log | None = None
    """As it was seen last since the first good sync of what is registered."""
    cut: bool = False
    """Its log was cut by somebody while it was registered. Litestream takes that for its own doing, and goes on without
    what was committed since it looked last; so all of the database must follow anew."""
    stays: int = 0
    """How often it stayed registered although its app rested (`ticks`)."""
    waiting_files: int = 0
    waiting_bytes: int = 0
    """Of what was committed and is not in the replica, as was seen at the last failure."""

    def saw(self, live: Seen, note: str, now: float) -> None:
        """It stands there now; `note` is the same as a former daemon would have noted it."""
        self.live = live
        if isinstance(self.replicated, str) and self.replicated == note:
            self.replicated = live
        if self.replicated == live:
            self.differs_since = None
        elif self.differs_since is None:
            self.differs_since = now

    def saw_log(self, log: Log | None, first: bool = False) -> None:
        """Its log is like that now. `first`: it was just synced, so this is what the next ones are compared with."""
        if not self.generation:
            self.log = None
        elif self.log is None:
            self.log = log if first else None
        else:
            self.cut = self.cut or (log is not None and log.was_cut(self.log))
            self.log = log or self.log

    def went_well(self, before: Seen | None, txid: int, ticket: int, wall: float) -> None:
        """A sync that began when it stood at `before` is complete."""
        self.replicated, self.txid, self.good_at = before, txid, wall
        self.covered = max(self.covered, ticket)
        self.problem, self.stalled, self.failures, self.again_at = "", False, 0, 0.0
        self.waiting_files = self.waiting_bytes = 0
        if self.live == before:
            self.differs_since = None

    def went_wrong(self, problem: str, stalled: bool, now: float) -> None:
        """A sync failed, or did not end."""
        self.problem, self.stalled = problem, stalled
        self.failures += 1
        self.again_at = now + retry_seconds(self.failures)

    @property
    def current(self) -> bool:
        """Whether the replica has what was seen last."""
        return self.live is not None and self.live == self.replicated

    def lag(self, now: float) -> float:
        """Seconds for which something committed has not been in the replica."""
        return 0.0 if self.differs_since is None else max(0.0, now - self.differs_since)

    def health(self, now: float) -> Health:
        if self.problem:
            return Health.STALLED if self.stalled else Health.FAILING
        if self.live is None or self.replicated is None:
            return Health.UNKNOWN if self.lag(now) < BEHIND_SECONDS else Health.BEHIND
        return Health.OK if self.lag(now) < BEHIND_SECONDS else Health.BEHIND

    @property
    def stand(self) -> Stand:
        """Where it stands in its line."""
        assert self.line is not None
        return Stand(self.path, self.line.id, self.txid)


def retry_seconds(failures: int) -> float:
    """How long to wait after so many failures in a row."""
    longest = min(RETRY_SECONDS * 2.0 ** min(failures - 1, 16), RETRY_SECONDS_MAX)
    return longest * (0.5 + random.random() / 2)


def worst(found: list[Health]) -> Health:
    """What is said of several together; OK where there is none: nothing can be behind."""
    return next((health for health in WORST_FIRST if health in found), Health.OK)
