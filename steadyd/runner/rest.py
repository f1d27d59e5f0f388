"""When an app that nobody asks may rest: frozen after seconds, stopped after minutes. A decision without I/O.

An app without a request may still be at work: it computes, or it talks to somebody. Such work delays the freezing, but
not for ever: what must go on without requests says `"idle": "never"`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

BUSY_CORES = 0.02
"""More than this is work: an idle Bun uses 0.0006 of a core, one with a timer each second 0.002."""
BUSY_SECONDS_MAX = 5 * 60.0
"""How long work or an open connection delays the freezing after the last request."""


class Rest(enum.Enum):
    """What to do with an app now."""

    NONE = "leave it as it is"
    FREEZE = "pause it in memory"
    STOP = "end its process"


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds without a request; 0 is never."""

    freeze_seconds: float = 10.0
    idle_seconds: float = 15 * 60.0

    def wants_to_know(self, quiet_seconds: float) -> bool:
        """Whether it matters by now if the app is at work. Asked a little early: use of cpu is a difference."""
        return 0 < self.freeze_seconds <= quiet_seconds + 2 and self.idle_seconds > 0


@dataclass(frozen=True, slots=True)
class Quiet:
    """What is known of an app on which no request holds a claim."""

    seconds: float
    """Since the last request ended, or since it started or thawed."""
    frozen: bool = False
    cores: float | None = None
    """What it used lately; None is not known yet."""
    talks: bool = False
    """It has a connection open to somebody outside."""


def rest(quiet: Quiet, patience: Patience) -> Rest:
    """The next step towards sleep. `idle_seconds` 0 means that the app never rests: it has work of its own."""
    if patience.idle_seconds <= 0:
        return Rest.NONE
    if quiet.seconds >= patience.idle_seconds:
        return Rest.STOP
    if quiet.frozen or patience.freeze_seconds <= 0 or quiet.seconds < patience.freeze_seconds:
        return Rest.NONE
    works = quiet.talks or quiet.cores is None or quiet.cores > BUSY_CORES
    return Rest.NONE if works and quiet.seconds < BUSY_SECONDS_MAX else Rest.FREEZE


class Pulse:
    """An app's use of cpu as a rate, from two readings."""

    def __init__(self) -> None:
        self._at = 0.0
        self._cpu_seconds: float | None = None

    def cores(self, now: float, cpu_seconds: float) -> float | None:
        """Cores used since the last reading; None at the first."""
        before, since = self._cpu_seconds, now - self._at
        self._at, self._cpu_seconds = now, cpu_seconds
        return None if before is None or since <= 0 else (cpu_seconds - before) / since

    def forget(self) -> None:
        self._cpu_seconds = None
