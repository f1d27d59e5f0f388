"""Charts as geometry: scales with round ticks, columns, curves. No I/O.

Across, places are percent of the width, so that one drawing fits every screen while its text keeps its size; down, they
are pixels of HEIGHT.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from steadyd.web.period import Period

HEIGHT = 120.0
WIDTH = 100.0
HEADROOM = 10.0
"""Pixels above the highest value."""
INTERVALS = 4
MOMENTS = 8
TIMES = (60, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 432_000, 604_800)
"""Seconds between two marks of time."""
GAP = 0.2
"""Of a column's place, that stays free between two."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What is measured. `step` is the next round step from a size on; `say` writes a value."""

    step: Callable[[float], float]
    say: Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Tick:
    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A mark of time: where, when, and whether the day is what changes between two."""

    place: float
    at: float
    daily: bool

    @property
    def label(self) -> str:
        return datetime.fromtimestamp(self.at, UTC).strftime("%d %b" if self.daily else "%H:%M").lstrip("0") or "0"


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    x: float
    width: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """`path` is in a box of WIDTH by HEIGHT, for `d` of an SVG path."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from 0 to `top`, the last of its `ticks`."""

    ticks: tuple[float, ...]
    unit: Unit

    @property
    def top(self) -> float:
        return self.ticks[-1]

    @property
    def marks(self) -> list[Tick]:
        return [Tick(self.y(value), self.unit.say(value)) for value in self.ticks]

    def y(self, value: float) -> float:
        """Pixels from above."""
        share = min(max(value / self.top, 0.0), 1.0)
        return round(HEIGHT - share * (HEIGHT - HEADROOM), 2)


def scale(most: float, unit: Unit) -> Scale:
    """Round ticks from 0 to the first that is not below `most`."""
    step = unit.step(max(most, 0.0) / INTERVALS)
    count = max(1, math.ceil(max(most, 0.0) / step - 1e-9))
    return Scale(tuple(step * number for number in range(count + 1)), unit)


def across(period: Period, at: float) -> float:
    """Where a moment lies, in percent of the width; outside of the period at its edge."""
    return round(min(max((at - period.start) / period.seconds, 0.0), 1.0) * WIDTH, 3)


def moments(period: Period, most: int = MOMENTS) -> list[Moment]:
    """Round moments within the period, the first step of TIMES that gives at most so many."""
    step = next((each for each in TIMES if period.seconds / each <= most), TIMES[-1])
    first = math.ceil(period.start / step) * step
    found = range(int(first), int(period.end) + 1, step)
    return [Moment(across(period, at), float(at), step >= 86_400) for at in found]


def slot(period: Period, begins: float) -> tuple[float, float]:
    """Of the bucket that begins then, where it lies and how wide it is; at the period's ends it is cut."""
    x = across(period, begins)
    return x, round(across(period, begins + period.width) - x, 3)


def column(period: Period, begins: float, scale: Scale, parts: Sequence[tuple[str, float]]) -> Column:
    """Parts by name, each upon the one before it."""
    x, width = slot(period, begins)
    made, below = [], 0.0
    for name, value in parts:
        y, foot = scale.y(below + value), scale.y(below)
        if foot > y:
            made.append(Part(name, y, round(foot - y, 2)))
        below += value
    return Column(round(x + width * GAP / 2, 3), round(width * (1 - GAP), 3), tuple(made))


def curve(period: Period, name: str, scale: Scale, values: Sequence[tuple[float, float]]) -> Curve:
    """A line through (beginning of a bucket, value), ascending. Where a bucket is missing, it breaks; one that stands
    alone is a dash as wide as itself."""
    return Curve(name, " ".join(_line(period, scale, run) for run in _runs(period, values)))


def area(period: Period, name: str, scale: Scale, values: Sequence[tuple[float, float]]) -> Curve:
    """What is under such a line."""
    return Curve(name, " ".join(_filled(period, scale, run) for run in _runs(period, values)))


def say_count(value: float) -> str:
    """`12,000`, or `1.2M` from a million on."""
    return f"{value:,.0f}" if value < 1e6 else f"{value / 1e6:.3g}M"


def say_ms(value: float) -> str:
    return f"{value:.3g} ms" if value < 1_000 else f"{value / 1_000:.3g} s"


def say_bytes(value: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if value < 1_024:
            return f"{value:.3g} {unit}" if value < 1_000 else f"{value:.0f} {unit}"
        value /= 1_024
    return f"{value:.4g} GiB"


def say_share(value: float) -> str:
    return f"{value * 100:.3g} %"


# Private


def _round_step(size: float) -> float:
    """1, 2 or 5 times a power of ten, not below `size`."""
    if size <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(size))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= size * (1 - 1e-9))


def _whole_step(size: float) -> float:
    return max(1.0, _round_step(size))


def _binary_step(size: float) -> float:
    return float(2 ** math.ceil(math.log2(size) - 1e-9)) if size > 1 else 1.0


def _share_step(size: float) -> float:
    return max(0.005, _round_step(size)) if size > 0 else 0.05


def _runs(period: Period, values: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Values of buckets that follow one another."""
    runs: list[list[tuple[float, float]]] = []
    for at, value in values:
        if runs and at - runs[-1][-1][0] <= period.width:
            runs[-1].append((at, value))
        else:
            runs.append([(at, value)])
    return runs


def _corners(period: Period, scale: Scale, run: Sequence[tuple[float, float]]) -> list[str]:
    """The middle of each bucket; the first begins and the last ends at its bucket's edge."""
    slots = [slot(period, at) for at, _ in run]
    places = [x + width / 2 for x, width in slots]
    heights = [scale.y(value) for _, value in run]
    corners = [(slots[0][0], heights[0]), *zip(places, heights, strict=True), (sum(slots[-1]), heights[-1])]
    return [f"{min(x, WIDTH):g} {y:g}" for x, y in corners]


def _line(period: Period, scale: Scale, run: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(_corners(period, scale, run))


def _filled(period: Period, scale: Scale, run: Sequence[tuple[float, float]]) -> str:
    corners = _corners(period, scale, run)
    first, last = corners[0].split()[0], corners[-1].split()[0]
    return f"M{first} {HEIGHT:g}L" + "L".join(corners) + f"L{last} {HEIGHT:g}Z"


COUNT = Unit(_whole_step, say_count)
MILLISECONDS = Unit(_round_step, say_ms)
BYTES = Unit(_binary_step, say_bytes)
SHARE = Unit(_share_step, say_share)
"""Of one processor."""
