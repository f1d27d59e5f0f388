from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.backup.ltx import Span
from steadyd.moment import Mark, Point, PointKind, PointState
from steadyd.web.timeline import OLDEST_SECONDS_MIN, WIDTH, drawn, grade, place

AGES = st.floats(0, 1e9)


@given(AGES, AGES, st.floats(OLDEST_SECONDS_MIN, 1e9))
def test_the_younger_lies_to_the_right_and_all_lies_within(one: float, other: float, oldest: float) -> None:
    one, other = min(one, oldest), min(other, oldest)
    places = [place(age, oldest) for age in (one, other)]
    assert all(-1e-6 <= x <= WIDTH for x in places)
    assert (places[0] >= places[1]) == (one <= other) or abs(places[0] - places[1]) < 1e-6
    assert place(0, oldest) == WIDTH
    assert place(oldest, oldest) == pytest.approx(0)


@pytest.mark.parametrize(("precision", "name"), [(1.0, "fine"), (30.0, "good"), (300.0, "fair"), (3_600.0, "coarse")])
def test_precision_has_a_grade(precision: float, name: str) -> None:
    assert grade(precision) == name


def test_spans_and_points_are_drawn_on_one_scale() -> None:
    now = 1e9
    spans = [("data.sqlite", [Span(now - 300, now, 1.0), Span(now - 7_200, now - 300, 30.0)]), ("other", [])]
    point = Point(7, "a", PointKind.DEPLOY, Mark(now - 7_200), "ada", "", 1, None, PointState.PINNED)
    found = drawn(spans, [point], now)
    (_, (newest, older)), (_, none) = found.rows
    assert (newest.grade, older.grade, none) == ("fine", "good", [])
    assert older.x == found.dots[0].x == 0
    assert newest.x + newest.width == pytest.approx(WIDTH, abs=0.2)
    assert older.x + older.width == pytest.approx(newest.x, abs=0.2)
    assert [tick.label for tick in found.ticks] == ["1 min", "10 min", "1 h"]
    assert drawn([], [], now).ticks[-1].label == "1 h"
