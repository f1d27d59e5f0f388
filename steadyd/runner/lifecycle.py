"""An app's life as a table: (state, event) → (next state, what to do). Nothing here waits, spawns or knows the time.

An app sleeps (STOPPED) until somebody wants it. It is STARTING until the harness says that its server listens, then
RUNNING. Unasked for some seconds it is FROZEN: in memory, without a turn on any cpu, and the next request thaws it in
less than a millisecond. A death leads to BACKOFF and another start; too many instances in a row that never listen end
in FAILED, where only the owner helps. HELD is a sleep from which no request wakes it, SUSPENDED one from which only
the operator does.

Kinds of death are kept apart, as supervisors of the field do: an instance that has answered somebody or lived for
HEALTHY_SECONDS has proven itself, and its death is answered by a start at once; one that died earlier makes the next
start wait longer; only one that never came up counts towards FAILED.
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
"""Instances in a row that never listened before the app is FAILED."""


class Event(enum.Enum):
    """What can happen to an app."""

    WANTED = "a request, a cron or its owner wants it"
    READY = "its server listens"
    DIED = "the instance is gone and may be started again"
    DIED_TOO_OFTEN = "the instance is gone, once more than allowed"
    QUIET = "nobody asked for some seconds, and it has nothing to do"
    STOP = "it should sleep: idle, or its owner says so"
    GONE = "the instance that was told to stop is gone"
    RETRY = "the backoff is over"
    HOLD = "its owner keeps it down"
    ADOPT = "a deploy starts its candidate itself, and tells how that went"
    SUSPEND = "the operator takes it out of service"
    RESUME = "the operator puts it back"
    RELEASE = "its owner allows it to run again, or a deploy gives it a new chance"


class Action(enum.Enum):
    """What the shell does about it, in order."""

    SPAWN = "start an instance"
    OPEN = "let the gate's waiters through"
    FREEZE = "close the gate, and pause the instance"
    THAW = "let the instance go on"
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
        E.SUSPEND: (S.SUSPENDED, (A.REFUSE,)),
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
        E.QUIET: (S.FROZEN, (A.FREEZE,)),
        E.DIED: (S.BACKOFF, (A.RETRY_LATER,)),
        E.DIED_TOO_OFTEN: (S.FAILED, (A.REFUSE,)),
        E.STOP: (S.STOPPING, (A.RETIRE,)),
    },
    S.FROZEN: {
        E.WANTED: (S.RUNNING, (A.THAW, A.OPEN)),
        E.DIED: (S.BACKOFF, (A.RETRY_LATER,)),
        E.DIED_TOO_OFTEN: (S.FAILED, (A.REFUSE,)),
        E.STOP: (S.STOPPING, (A.THAW, A.RETIRE)),
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
        E.SUSPEND: (S.SUSPENDED, (A.REFUSE,)),
        E.RELEASE: (S.STOPPED, (A.FORGIVE,)),
    },
    S.FAILED: {
        E.WANTED: (S.FAILED, (A.REFUSE,)),
        E.STOP: (S.FAILED, ()),
        E.HOLD: (S.HELD, (A.REFUSE,)),
        E.SUSPEND: (S.SUSPENDED, (A.REFUSE,)),
        E.RELEASE: (S.STOPPED, (A.FORGIVE,)),
    },
    S.HELD: {
        E.WANTED: (S.HELD, (A.REFUSE,)),
        E.STOP: (S.HELD, ()),
        E.HOLD: (S.HELD, ()),
        E.SUSPEND: (S.SUSPENDED, ()),
        E.RELEASE: (S.STOPPED, (A.FORGIVE,)),
    },
    S.SUSPENDED: {
        E.WANTED: (S.SUSPENDED, (A.REFUSE,)),
        E.STOP: (S.SUSPENDED, ()),
        E.SUSPEND: (S.SUSPENDED, ()),
        E.RESUME: (S.STOPPED, (A.FORGIVE,)),
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
    """What the last deaths in a row were like. The decision about the next start is made here and nowhere else."""

    early: int = 0
    """Instances that died before they had proven themselves: the next start waits longer."""
    unborn: int = 0
    """Of the last of these, those that never listened: past STARTS_MAX the app is FAILED."""

    def after(self, uptime_seconds: float | None, proven: bool = False) -> Deaths:
        """The count after a death; `None` for an instance that never listened, `proven` if it had answered."""
        if uptime_seconds is None:
            return Deaths(self.early + 1, self.unborn + 1)
        if proven or uptime_seconds >= HEALTHY_SECONDS:
            return Deaths()
        return Deaths(self.early + 1)

    @property
    def event(self) -> Event:
        return Event.DIED_TOO_OFTEN if self.unborn >= STARTS_MAX else Event.DIED

    @property
    def backoff_seconds(self) -> float:
        """The wait before the next start: none after a proven life, then 0.1 s, doubling."""
        if self.early == 0:
            return 0.0
        return min(BACKOFF_SECONDS_FIRST * 2.0 ** (self.early - 1), BACKOFF_SECONDS_MAX)
