"""Which events are worth a notice, and how often. Decisions only: time is an argument, in monotonic seconds."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping

from steadyd.model import Event

QUIET_SECONDS = 3_600.0
"""One notice about one cause of one app in this time."""
CAUSES_MAX = 16_384
"""Causes of apps told within QUIET_SECONDS; past it nobody is told of another one until some are old."""
DEATHS_REPEATED = 3
DEATHS_SECONDS = 600.0
"""So many deaths within this time are a notice of their own."""
DYING_APPS_MAX = 4_096
"""Apps whose deaths are counted; past it the one that was quiet for longest is forgotten."""

TITLES: Mapping[str, str] = {
    "failed": "{} is not started any more",
    "deaths": "{} died again and again",
    "memory": "{} needed more memory than it may use",
    "processes": "{} wanted more processes than it may have",
    "disk": "{} has used up its disk space",
    "network": "{} has used up its network for today",
    "bun_refused": "{} does not run with this Bun",
    "auto_rollback": "{} is back at an earlier version",
    "suspended": "{} was taken out of service",
    "cron": "A cron of {} failed",
    "backup": "The backup of {} could not be restored",
    "host_bun": "An app on {} does not run with its new Bun",
    "host_disk": "The disk of {} is nearly full",
    "test": "A test notice about {}",
}
"""Every kind of notice: what is said of the app (or the host) in its title."""
LIMIT_DEATHS = frozenset({"memory", "processes", "disk"})
ONES_OWN_END = frozenset({"stop_timeout"})
"""Causes of ends that somebody asked for: they are recorded, and no sign of trouble by their number."""


class Alarm:
    """Looks at an app's events for what its owner would want to know now."""

    def __init__(self) -> None:
        self._deaths: OrderedDict[str, deque[float]] = OrderedDict()

    def kinds(self, app_id: str, event: Event, now: float) -> list[str]:
        """The kinds of notice that `event` asks for, mostly none."""
        if event.kind in ("failed", "auto_rollback", "bun_refused"):
            return [event.kind]
        if event.kind == "suspend":
            return ["suspended"]
        if event.kind == "cron_failed":
            return ["cron"]
        if event.kind == "drill_failed":
            return ["backup"]
        if event.kind == "limit":
            limit = str(event.details.get("limit", ""))
            return [limit] if limit in TITLES else []
        if event.kind != "death":
            return []
        cause = str(event.details.get("cause", ""))
        found = [cause] if cause in LIMIT_DEATHS else []
        if cause not in ONES_OWN_END and self._again(app_id, now):
            found.append("deaths")
        return found

    def _again(self, app_id: str, now: float) -> bool:
        times = self._deaths.setdefault(app_id, deque(maxlen=DEATHS_REPEATED))
        self._deaths.move_to_end(app_id)
        times.append(now)
        if len(self._deaths) > DYING_APPS_MAX:
            self._deaths.popitem(last=False)
        return len(times) == DEATHS_REPEATED and now - times[0] <= DEATHS_SECONDS


class Cadence:
    """At most one notice per cause per app per hour, whatever happens."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._told)

    def admit(self, app_id: str, kind: str, now: float) -> bool:
        """Whether a notice of `kind` may go out at `now`; if so, it counts as told."""
        while self._told and now - next(iter(self._told.values())) >= QUIET_SECONDS:
            self._told.popitem(last=False)
        if (app_id, kind) in self._told or len(self._told) >= CAUSES_MAX:
            return False
        self._told[app_id, kind] = now
        return True
