"""When a cron fires: an expression of five fields in a time zone, and the moments that it names. No I/O but zone files.

`cronsim` reads the expression and finds matches on a wall clock that never jumps; where a zone's clock does jump, the
rules are ours, and those of Debian's cron(8):

- A fixed time (neither the minute nor the hour begins with `*`) that the clock skips fires once, when the gap ends; one
  that the clock repeats fires once, the first time.
- Everything else follows the wall clock: what it skips does not fire, what it repeats fires again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from steadyd.errors import SteadyError

TEXT_CHARACTERS_MAX = 100
FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")
NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
EXAMPLE = "write five fields such as “0 9 * * MON-FRI” (minute hour day-of-month month day-of-week), or @hourly"
LOOK = timedelta(days=1)
"""No zone changes its offset twice within this."""
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+\-/]{0,63}\Z")
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """An expression, and the zone whose clock it means. Made by `parse`."""

    text: str
    timezone: str
    fields: str
    """The five fields that `text` stands for."""
    zone: tzinfo

    def after(self, moment: float) -> float:
        """The first moment after `moment` at which it fires; both are seconds since 1970."""
        at = datetime.fromtimestamp(int(moment), UTC)
        found = self._fixed(at) if self._is_fixed() else self._wandering(at)
        return found.timestamp()

    # Private

    def _is_fixed(self) -> bool:
        minute, hour, *_ = self.fields.split()
        return not minute.startswith("*") and not hour.startswith("*")

    def _fixed(self, at: datetime) -> datetime:
        for wall in CronSim(self.fields, at.astimezone(self.zone).replace(tzinfo=None)):
            moment = self._first(wall)
            if moment > at:
                return moment
        raise AssertionError("it fires for ever")

    def _first(self, wall: datetime) -> datetime:
        """When the zone's clock first shows `wall`, or the end of the gap in which it would have."""
        before = wall.replace(tzinfo=self.zone, fold=0)
        moment = before.astimezone(UTC)
        if moment.astimezone(self.zone).replace(tzinfo=None) == wall:
            return moment
        return self._change(moment - LOOK, moment + LOOK) or moment

    def _wandering(self, at: datetime) -> datetime:
        """Match by match, from one change of the zone's offset to the next."""
        start = at + _SECOND
        while True:
            wall = start.astimezone(self.zone).replace(tzinfo=None)
            match = next(CronSim(self.fields, wall - _SECOND))
            target = start + (match - wall)
            change = self._change(start, target)
            if change is None:
                return target
            start = change

    def _change(self, start: datetime, end: datetime) -> datetime | None:
        """The first moment after `start`, and not after `end`, at which the zone has another offset."""
        offset = self._offset(start)
        while start < end:
            then = min(start + LOOK, end)
            if self._offset(then) != offset:
                while then - start > _SECOND:
                    middle = start + timedelta(seconds=(then - start) // _SECOND // 2)
                    start, then = (middle, then) if self._offset(middle) == offset else (start, middle)
                return then
            start = then
        return None

    def _offset(self, at: datetime) -> timedelta | None:
        return at.astimezone(self.zone).utcoffset()


def parse(text: str, timezone: str = "UTC") -> Schedule:
    """`text` as a schedule on the clock of `timezone`.

    Raises:
        SteadyError: `invalid`, naming the field that cannot be read, with `details` {field}.
    """
    fields = NAMED.get(text.strip().lower(), text)
    shown = text[:TEXT_CHARACTERS_MAX]
    if len(text) > TEXT_CHARACTERS_MAX or len(fields.split()) != len(FIELDS):
        raise _invalid("schedule", f"“{shown}” is not a schedule: {EXAMPLE}.")
    zone = _zone(timezone)
    try:
        next(CronSim(fields, datetime(2024, 1, 1)))
    except CronSimError as error:
        name = str(error).removeprefix("Bad ")
        part = fields.split()[FIELDS.index(name)] if name in FIELDS else shown
        raise _invalid("schedule", f"The {name} “{part}” of “{shown}” cannot be read: {EXAMPLE}.") from None
    except StopIteration:
        raise _invalid("schedule", f"“{shown}” never fires: no year has such a day.") from None
    return Schedule(text.strip(), timezone, fields, zone)


# Private


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        if not _ZONE.match(name):
            raise ValueError(name)
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # a folder of zones is an OSError, an unknown zone a KeyError
        said = f"“{name[:64]}” is not a time zone; write one such as Europe/Berlin, or UTC."
        raise _invalid("timezone", said) from None


def _invalid(field: str, message: str) -> SteadyError:
    return SteadyError("invalid", message, {"field": field})
