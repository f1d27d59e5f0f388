"""A moment as people say it. No I/O.

    now · 90s ago · 5m ago · 2h ago · 3d ago · 14:00 · yesterday 14:00 · today 9:30 · 2026-11-25 · 2026-11-25 14:00
    2026-11-25T14:00:00Z · 7 or point:7 (a restore point) · before:deploy:12 (what was, before version 12 went live)

A time without a zone is in the zone of whoever says it: the command line reads it on the user's machine, the API reads
UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from steadyd.errors import SteadyError

TEXT_CHARACTERS_MAX = 64
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
WORDS = {"sec": "s", "second": "s", "min": "m", "minute": "m", "hour": "h", "day": "d", "week": "w"}
AGO = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([a-z]+) ago")
CLOCK = re.compile(r"(?:(today|yesterday|\d{4}-\d\d-\d\d)[ T])?(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d{1,6})?))?")
POINT = re.compile(r"(?:point:)?(\d{1,18})")
BEFORE = re.compile(r"before:(?:deploy|version):(\d{1,9})")
EXAMPLES = "Write 2h ago, yesterday 14:00, 2026-11-25T14:00:00Z, a restore point's number, or before:deploy:12."


@dataclass(frozen=True, slots=True)
class At:
    """A time, seconds since 1970."""

    time: float


@dataclass(frozen=True, slots=True)
class AtPoint:
    """A restore point by its number."""

    point: int


@dataclass(frozen=True, slots=True)
class BeforeVersion:
    """The restore point that was made when this version went live."""

    version: int


When = At | AtPoint | BeforeVersion


def read_when(text: str, now: datetime) -> When:
    """What `text` means at `now`, whose zone is that of times without one.

    Raises:
        SteadyError: `invalid` for anything else, and for a time to come.
    """
    said = " ".join(text.split())
    if len(said) > TEXT_CHARACTERS_MAX:
        raise SteadyError("invalid", f"That is not a moment. {EXAMPLES}")
    if found := BEFORE.fullmatch(said.lower()):
        return BeforeVersion(int(found[1]))
    if found := POINT.fullmatch(said.lower()):
        return AtPoint(int(found[1]))
    try:
        at = _time(said, now)
    except (ValueError, OverflowError):
        at = None
    if at is None:
        raise SteadyError("invalid", f"“{said}” is not a moment. {EXAMPLES}")
    if at > now:
        raise SteadyError("invalid", f"“{said}” is {at.isoformat(timespec='seconds')}, and that is still to come.")
    return At(at.timestamp())


# Private


def _time(said: str, now: datetime) -> datetime | None:
    lower = said.lower()
    if lower == "now":
        return now
    if found := AGO.fullmatch(lower):
        unit = found[2] if found[2] in UNITS else WORDS.get(found[2].removesuffix("s"), "")
        return now - timedelta(seconds=float(found[1]) * UNITS[unit]) if unit else None
    if found := CLOCK.fullmatch(said):
        return _clock(found, now)
    return _zoned(datetime.fromisoformat(said), now.tzinfo)


def _clock(found: re.Match[str], now: datetime) -> datetime:
    """A time of a day; without a day, the last such time."""
    seconds = float(found[4] or 0)
    clock = time(int(found[2]), int(found[3]), int(seconds), round(seconds % 1 * 1e6))
    day = found[1]
    if day is None or day in ("today", "yesterday"):
        on = now.date() - timedelta(days=day == "yesterday")
        at = datetime.combine(on, clock, now.tzinfo)
        return at - timedelta(days=1) if day is None and at > now else at
    return datetime.combine(date.fromisoformat(day), clock, now.tzinfo)


def _zoned(at: datetime, zone: tzinfo | None) -> datetime:
    return at if at.tzinfo is not None else at.replace(tzinfo=zone)
