"""What became of an app, drawn over time: marks in lanes, and which of them are drawn as one. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from steadyd.web.charts import across
from steadyd.web.period import WINDOW_SECONDS_MIN, Period, between

LANES: Mapping[str, str] = {
    "code": "Code",
    "changes": "Environment and settings",
    "data": "Data: restore points, restores, writes",
    "life": "Wakes, sleeps and deaths",
    "crons": "Crons",
}
"""From above, and what each is called."""
LANE_HEIGHT = 36.0
CENTRE = 24.0
"""Of a lane, where its marks lie."""
NEAR = 1.2
"""Percent of the width: marks nearer than this to the first of them are drawn as one."""
KINDS = ("quiet", "plain", "good", "bad")
"""How a mark looks; of several in one, the last of these counts."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened. `path` is where it is told in full, below the app's pages."""

    at: float
    lane: str
    kind: str
    title: str
    path: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """One or several marks at one place: where, how, what is said, and where it leads to."""

    x: float
    kind: str
    marks: tuple[Mark, ...]
    path: str

    @property
    def title(self) -> str:
        if len(self.marks) == 1:
            return self.marks[0].title
        return f"{len(self.marks)} at once, the last: {self.marks[-1].title}"


@dataclass(frozen=True, slots=True)
class Lane:
    name: str
    title: str
    y: float
    drawn: list[Drawn]


def lanes(period: Period, marks: Sequence[Mark]) -> list[Lane]:
    """Every lane with its marks within the period."""
    return [
        Lane(name, title, number * LANE_HEIGHT, gathered(period, [mark for mark in marks if mark.lane == name]))
        for number, (name, title) in enumerate(LANES.items())
    ]


def gathered(period: Period, marks: Sequence[Mark]) -> list[Drawn]:
    """The marks of one lane, those that would lie upon one another as one. Several lead to a narrower range."""
    groups: list[list[Mark]] = []
    within = [mark for mark in marks if period.start <= mark.at <= period.end]
    for mark in sorted(within, key=lambda mark: mark.at):
        if groups and across(period, mark.at) - across(period, groups[-1][0].at) < NEAR:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return [_drawn(period, group) for group in groups]


# Private


def _drawn(period: Period, group: Sequence[Mark]) -> Drawn:
    kind = max((mark.kind for mark in group), key=KINDS.index)
    first, last = group[0].at, group[-1].at
    x = round((across(period, first) + across(period, last)) / 2, 3)
    return Drawn(x, kind, tuple(group), group[0].path if len(group) == 1 else _closer(period, first, last))


def _closer(period: Period, first: float, last: float) -> str:
    """The address of a range around both, if there is a narrower one."""
    length = max((last - first) * 3, WINDOW_SECONDS_MIN + 2)
    if length >= period.seconds:
        return "activity"
    end = min((first + last + length) / 2, period.end)
    return "timeline?" + urlencode(between(end - length, end))
