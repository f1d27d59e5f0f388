"""Where requests wait while an app is cold, deploying or restarting: bounded, in order, each with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from steadyd.errors import SteadyError
from steadyd.proxy.service import Holder

WAITERS_MAX = 2_048
RETRY_AFTER_SECONDS = 2


class Gate:
    """The queue of one app; without a limit where `waiters_max` is 0. Every method is synchronous: deciding and letting
    through cannot be interrupted."""

    def __init__(self, waiters_max: int = WAITERS_MAX) -> None:
        self._waiters: dict[Holder, float] = {}
        self._waiters_max = waiters_max
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0  # the loop's handle does not always know: uvloop's for 0 s has no when()

    def __len__(self) -> int:
        return len(self._waiters)

    def wait(self, holder: Holder, seconds: float) -> None:
        """Queue `holder` for at most `seconds`; refuse it at once with `gate_full` past the limit."""
        if self._waiters_max and len(self._waiters) >= self._waiters_max:
            message = f"{self._waiters_max} requests wait for this app already. Try again soon."
            holder.refused(SteadyError("gate_full", message, retry_after=RETRY_AFTER_SECONDS))
            return
        loop = asyncio.get_running_loop()
        self._waiters[holder] = loop.time() + seconds
        if self._timer is not None and self._waiters[holder] < self._due:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._due = self._waiters[holder]
            self._timer = loop.call_later(seconds, self._expire)

    def forget(self, holder: Holder) -> None:
        """The client went away."""
        self._waiters.pop(holder, None)

    def open(self, grant: Callable[[Holder], None]) -> None:
        """Let everyone through, first come first served."""
        for holder in self._take_all():
            grant(holder)

    def refuse(self, error: SteadyError) -> None:
        """Answer everyone with `error`."""
        for holder in self._take_all():
            holder.refused(error)

    # Private

    def _take_all(self) -> list[Holder]:
        waiters, self._waiters = list(self._waiters), {}
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return waiters

    def _expire(self) -> None:
        """Refuse whoever waited too long, and set the timer for the next."""
        loop = asyncio.get_running_loop()
        self._timer = None
        now = loop.time()
        late = [holder for holder, deadline in self._waiters.items() if deadline <= now]
        for holder in late:
            del self._waiters[holder]
            message = "The app did not become ready in time. Try again; its owner finds the reason in its log."
            holder.refused(SteadyError("gate_timeout", message, retry_after=RETRY_AFTER_SECONDS))
        if self._waiters and self._timer is None:
            self._due = min(self._waiters.values())
            self._timer = loop.call_later(max(self._due - now, 0.001), self._expire)
