"""An app's life as a table: (state, event) → (next state, what to do). Nothing here waits, spawns or knows the time.

An app sleeps (STOPPED) until somebody wants it. It is STARTING until the harness says that its server listens, then
RUNNING. A death leads to BACKOFF and another start; too many deaths in a row end in FAILED, where only the owner
helps. HELD is a sleep from which no request wakes it.

Two kinds of failure are kept apart, as supervisors of the field do: an instance that lived HEALTHY_SECONDS has proven
itself, so its death is answered by a start at once; one that died earlier makes the next start wait longer.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.model import AppState

HEALTHY_SECONDS = 3.0
BACKOFF_SECONDS_FIRST = 0.1
BACKOFF_SECONDS_MAX = 10.0
STARTS_MAX = 8
"""Early deaths in a row before the app is FAILED."""


class Event(enum.Enum):
    """What can happen to an app."""

    WANTED = "a request, a cron or its owner wants it"
    READY = "its server listens"
    DIED = "the instance is gone and may be started again"
    DIED_TOO_OFTEN = "the instance is gone, once more than allowed"
    STOP = "it should sleep: idle, or its owner says so"
    GONE = "the instance that was told to stop is gone"
    RETRY = "the backoff is over"
    HOLD = "its owner keeps it down"
    ADOPT = "a deploy starts its candidate itself, and tells how that went"
    RELEASE = "its owner allows it to run again, or a deploy gives it a new chance"


class Action(enum.Enum):
    """What the shell does about it, in order."""

    SPAWN = "start an instance"
    OPEN = "let the gate's waiters through"
    REFUSE = "answer the gate's waiters with why there is no instance"
    RETIRE = "drain and stop the instance"
    RETRY_LATER = "send RETRY after the backoff"
    FORGIVE = "forget earlier deaths"


S, E, A = AppState, Event, Action

TRANSITIONS: dict[AppState, dict[Event, tuple[AppState, tuple[Action, ...]]]] = {
    S.STOPPED: {
        E.WANTED: (S.STARTING, (A.SPAWN,)),
        E.STOP: (S.STOPPED, ()),
        E.ADOPT: (S.STARTING, ()),
        E.HOLD: (S.HELD, (A.REFUSE,)),
        E.RELEASE: (S.STOPPED, (A.FORGIVE,)),
    },
    S.STARTING: {
        E.WANTED: (S.STARTING, ()),
        E.GONE: (S.STOPPED, ()),
        E.READY: (S.RUNNING, (A.OPEN,)),
        E.DIED: (S.BACKOFF, (A.RETRY_LATER,)),
        E.DIED_TOO_OFTEN: (S.FAILED, (A.REFUSE,)),
        E.STOP: (S.STOPPING, (A.RETIRE,)),
    },
    S.RUNNING: {
        E.WANTED: (S.RUNNING, ()),
        E.DIED: (S.BACKOFF, (A.RETRY_LATER,)),
        E.DIED_TOO_OFTEN: (S.FAILED, (A.REFUSE,)),
        E.STOP: (S.STOPPING, (A.RETIRE,)),
    },
    S.STOPPING: {
        E.WANTED: (S.STOPPING, ()),
        E.STOP: (S.STOPPING, ()),
        E.GONE: (S.STOPPED, ()),
        E.DIED: (S.STOPPING, ()),
        E.DIED_TOO_OFTEN: (S.STOPPING, ()),
        E.READY: (S.STOPPING, ()),
    },
    S.BACKOFF: {
        E.WANTED: (S.BACKOFF, ()),
        E.RETRY: (S.STARTING, (A.SPAWN,)),
        E.STOP: (S.STOPPED, ()),
        E.HOLD: (S.HELD, (A.REFUSE,)),
        E.RELEASE: (S.STOPPED, (A.FORGIVE,)),
    },
    S.FAILED: {
        E.WANTED: (S.FAILED, (A.REFUSE,)),
        E.STOP: (S.FAILED, ()),
        E.HOLD: (S.HELD, (A.REFUSE,)),
        E.RELEASE: (S.STOPPED, (A.FORGIVE,)),
    },
    S.HELD: {
        E.WANTED: (S.HELD, (A.REFUSE,)),
        E.STOP: (S.HELD, ()),
        E.HOLD: (S.HELD, ()),
        E.RELEASE: (S.STOPPED, (A.FORGIVE,)),
    },
}


def step(state: AppState, event: Event) -> tuple[AppState, tuple[Action, ...]]:
    """The next state and the actions to perform, in order.

    Raises:
        SteadyError: `internal` for a pair that cannot happen; the table is the list of those that can.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise SteadyError("internal", f"An app that is {state} cannot take “{event.value}”.") from None


@dataclass(frozen=True, slots=True)
class Deaths:
    """How many instances in a row died early. The decision about the next start is made here and nowhere else."""

    early: int = 0

    def after(self, uptime_seconds: float | None) -> Deaths:
        """The count after a death; `None` for an instance that never became ready."""
        if uptime_seconds is not None and uptime_seconds >= HEALTHY_SECONDS:
            return Deaths(0)
        return Deaths(self.early + 1)

    @property
    def event(self) -> Event:
        return Event.DIED_TOO_OFTEN if self.early >= STARTS_MAX else Event.DIED

    @property
    def backoff_seconds(self) -> float:
        """The wait before the next start: none after a healthy life, then 0.1 s, doubling."""
        if self.early == 0:
            return 0.0
        return min(BACKOFF_SECONDS_FIRST * 2.0 ** (self.early - 1), BACKOFF_SECONDS_MAX)
