"""How often each app was asked within the last hour, in memory, by the minute: for lists of many apps, where reading
each one's file would take too long. It begins with the daemon. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

MINUTE = 60.0
MINUTES_MAX = 60


class Lately:
    """Written by one thread, read by others."""

    def __init__(self) -> None:
        self._minutes: dict[str, deque[list[int]]] = {}

    def add(self, app_id: str, moments: Iterable[float]) -> None:
        """Count requests that began at `moments`, in seconds since 1970."""
        minutes = self._minutes.get(app_id)
        if minutes is None:
            minutes = self._minutes[app_id] = deque(maxlen=MINUTES_MAX)
        for at in moments:
            minute = int(at // MINUTE)
            if minutes and minutes[-1][0] >= minute:
                minutes[-1][1] += 1
            else:
                minutes.append([minute, 1])

    def of(self, app_id: str, now: float) -> int:
        """Requests of the last MINUTES_MAX minutes, this one included."""
        since = int(now // MINUTE) - MINUTES_MAX
        return sum(count for minute, count in tuple(self._minutes.get(app_id, ())) if minute > since)

    def forget(self, app_id: str) -> None:
        self._minutes.pop(app_id, None)
