"""The moments of an app's data, drawn: how far back each database reaches, how precisely, and restore points. No I/O.

What is young is drawn large, since that is what people want back: the place of a moment falls with the logarithm of its
age.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from steadyd.backup.ltx import Span
from steadyd.moment import Point

WIDTH = 600.0
FINEST_SECONDS = 60.0
"""What is younger than this lies within the last step."""
OLDEST_SECONDS_MIN = 3_600.0
"""As much is drawn at least."""
TICKS = (
    ("1 min", 60.0), ("10 min", 600.0), ("1 h", 3_600.0), ("6 h", 21_600.0), ("1 day", 86_400.0), ("1 week", 604_800.0),
    ("1 month", 2_592_000.0), ("1 year", 31_536_000.0),
)  # fmt: skip
PRECISIONS = ((2.0, "fine"), (60.0, "good"), (900.0, "fair"))
"""Up to so many seconds, and what that is called; the rest is coarse."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One span: from x to x + width, of WIDTH."""

    x: float
    width: float
    grade: str
    span: Span


@dataclass(frozen=True, slots=True)
class Dot:
    """One restore point."""

    x: float
    point: Point


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """All of it, ready to be drawn. Of each database its bars."""

    rows: list[tuple[str, list[Bar]]]
    dots: list[Dot]
    ticks: list[Tick]


def drawn(spans: Sequence[tuple[str, Sequence[Span]]], points: Sequence[Point], now: float) -> Timeline:
    """`spans` by database."""
    ages = [now - span.start for _, each in spans for span in each] + [now - point.mark.at for point in points]
    oldest = max([OLDEST_SECONDS_MIN, *ages])
    rows = []
    for path, each in spans:
        bars = []
        for span in each:
            x, end = place(now - span.start, oldest), place(now - span.end, oldest)
            bars.append(Bar(round(x, 1), round(max(end - x, 2.0), 1), grade(span.precision), span))
        rows.append((path, bars))
    dots = [Dot(round(place(now - point.mark.at, oldest), 1), point) for point in points]
    return Timeline(rows, dots, [Tick(round(place(age, oldest), 1), label) for label, age in TICKS if age <= oldest])


def place(age: float, oldest: float) -> float:
    """Where a moment lies that is `age` seconds old: WIDTH is now, 0 the oldest."""
    return WIDTH * (1 - math.log1p(max(age, 0.0) / FINEST_SECONDS) / math.log1p(oldest / FINEST_SECONDS))


def grade(precision: float) -> str:
    return next((name for most, name in PRECISIONS if precision <= most), "coarse")
