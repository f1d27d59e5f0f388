"""A schedule in words: `*/15 * * * *` is “every 15 minutes”. No I/O.

Only what reads well is put into words; of the rest, the expression says more than a sentence would.
"""

from __future__ import annotations

import re

from steadyd.schedule import NAMED

DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = tuple("January February March April May June July August September October November December".split())
TIMES = 4
"""Times of a day that one sentence names."""

_NUMBER = re.compile(r"\d{1,2}")
_EVERY = re.compile(r"\*/(\d{1,2})")


def words(text: str) -> str:
    """What the expression `text` means, on the clock of its zone; "" where words would not help."""
    fields = NAMED.get(text.strip().lower(), text).split()
    if len(fields) != 5:
        return ""
    minute, hour, day, month, weekday = fields
    if (day, month, weekday) == ("*", "*", "*") and (often := _often(minute, hour)):
        return often
    times, days = _times(minute, hour), _days(day, month, weekday)
    return f"{days} at {times}" if times and days else ""


# Private


def _often(minute: str, hour: str) -> str:
    """More than once a day, evenly."""
    if hour == "*":
        if minute == "*":
            return "every minute"
        if (step := _step(minute, 60)) is not None:
            return "every minute" if step == 1 else f"every {step} minutes"
        if _NUMBER.fullmatch(minute):
            return "every hour" if int(minute) == 0 else f"every hour at {int(minute)} past"
    if _NUMBER.fullmatch(minute) and (step := _step(hour, 24)) is not None:
        past = "" if int(minute) == 0 else f" at {int(minute)} past"
        return ("every hour" if step == 1 else f"every {step} hours") + past
    return ""


def _step(field: str, whole: int) -> int | None:
    """Of `*/15`, where that divides the whole evenly."""
    found = _EVERY.fullmatch(field)
    step = int(found[1]) if found else 0
    return step if step and whole % step == 0 else None


def _times(minute: str, hour: str) -> str:
    """`09:00 and 17:00`."""
    minutes, hours = _numbers(minute), _numbers(hour)
    if not minutes or not hours or len(minutes) * len(hours) > TIMES:
        return ""
    return _joined([f"{each:02d}:{past:02d}" for each in hours for past in minutes])


def _days(day: str, month: str, weekday: str) -> str:
    if (day, month) == ("*", "*"):
        return "every day" if weekday == "*" else _weekdays(weekday)
    days = _numbers(day)
    if weekday != "*" or not days or len(days) > TIMES:
        return ""
    if month == "*":
        return f"on day {_joined(list(map(str, days)))} of every month"
    months = _names(month, MONTHS, 1)
    return (
        f"every year on {_joined([f'{each} {name}' for name in months for each in days])}" if len(months) == 1 else ""
    )


def _weekdays(field: str) -> str:
    first, dash, last = field.partition("-")
    if dash:
        ends = [_names(end, DAYS, 0) for end in (first, last)]
        return f"{ends[0][0]} to {ends[1][0]}" if all(ends) else ""
    found = _names(field, DAYS, 0)
    return f"every {_joined(found)}" if found else ""


def _numbers(field: str) -> list[int]:
    """Of a list of plain numbers; [] of anything else."""
    parts = field.split(",")
    return sorted(set(map(int, parts))) if all(_NUMBER.fullmatch(part) for part in parts) else []


def _names(field: str, names: tuple[str, ...], first: int) -> list[str]:
    """Of a list of numbers or short names, as whole names; [] of anything else. Sunday is 0, and 7 too."""
    short = {name[:3].upper(): name for name in names}
    found = []
    for part in field.split(","):
        if _NUMBER.fullmatch(part) and first <= int(part) <= len(names):
            found.append(names[(int(part) - first) % len(names)])
        elif part.upper() in short:
            found.append(short[part.upper()])
        else:
            return []
    return found


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
