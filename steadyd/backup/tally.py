"""How often the object store was asked, for each app and day: what a backup costs, and that sleep costs nothing."""

from __future__ import annotations

import time
from collections import Counter

DAYS_MAX = 8
"""Days that are remembered, today among them."""
DAY_SECONDS = 86_400


class Tally:
    """Counts since the daemon started. An app's id is "" for what is the host's own. Days are those of UTC."""

    def __init__(self) -> None:
        self._days: dict[int, Counter[str]] = {}

    def add(self, app_id: str, requests: int = 1, now: float | None = None) -> None:
        """So many more requests, at `now` in seconds since 1970."""
        day = int((time.time() if now is None else now) // DAY_SECONDS)
        if day not in self._days:
            self._days[day] = Counter()
            while len(self._days) > DAYS_MAX:
                del self._days[min(self._days)]
        self._days[day][app_id] += requests

    def of(self, app_id: str) -> dict[int, int]:
        """Requests of one app by day, in days since 1970; the oldest first."""
        return {day: counts[app_id] for day, counts in sorted(self._days.items()) if counts[app_id]}

    def today(self, app_id: str, now: float | None = None) -> int:
        """Of one app, on the day of `now`."""
        day = int((time.time() if now is None else now) // DAY_SECONDS)
        return self._days.get(day, Counter())[app_id]
