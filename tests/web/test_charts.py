"""Chart geometry: everything inside the box, ticks round and ascending."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.web.charts import (
    BYTES,
    COUNT,
    HEIGHT,
    INTERVALS,
    MILLISECONDS,
    MOMENTS,
    SHARE,
    WIDTH,
    Unit,
    across,
    area,
    column,
    curve,
    moments,
    scale,
    slot,
)
from steadyd.web.period import (
    BACK_SECONDS_MAX,
    WINDOW_SECONDS_MAX,
    WINDOW_SECONDS_MIN,
    WINDOWS,
    Period,
    period,
    read_period,
)

NOW = 1_800_000_123.5
VALUES = st.floats(0, 1e12)
UNITS = st.sampled_from([COUNT, MILLISECONDS, BYTES, SHARE])
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


@st.composite
def periods(draw: st.DrawFn) -> Period:
    seconds = draw(st.floats(WINDOW_SECONDS_MIN + 1, WINDOW_SECONDS_MAX - 1))
    start = NOW - seconds - draw(st.floats(0, 1)) * (BACK_SECONDS_MAX - seconds)
    return period(start, start + seconds, NOW)


@given(VALUES, UNITS)
def test_ticks_rise_from_zero_to_the_highest_value(most: float, unit: Unit) -> None:
    made = scale(most, unit)
    ticks = made.ticks
    assert ticks[0] == 0
    assert list(ticks) == sorted(set(ticks))
    assert 2 <= len(ticks) <= INTERVALS + 1
    assert made.top >= most * (1 - 1e-6)
    assert made.top > 0
    labels = [tick.label for tick in made.marks]
    assert len(set(labels)) == len(labels), labels
    assert all(0 <= tick.place <= HEIGHT for tick in made.marks)
    assert [tick.place for tick in made.marks] == sorted((tick.place for tick in made.marks), reverse=True)


@pytest.mark.parametrize(
    ("most", "unit", "labels"),
    [
        (0, COUNT, ["0", "1"]),
        (7, COUNT, ["0", "2", "4", "6", "8"]),
        (12_345, COUNT, ["0", "5,000", "10,000", "15,000"]),
        (0.8, MILLISECONDS, ["0 ms", "0.2 ms", "0.4 ms", "0.6 ms", "0.8 ms"]),
        (3_100, MILLISECONDS, ["0 ms", "1 s", "2 s", "3 s", "4 s"]),
        (256 << 20, BYTES, ["0 B", "64 MiB", "128 MiB", "192 MiB", "256 MiB"]),
        (1, SHARE, ["0 %", "50 %", "100 %"]),
    ],
)
def test_ticks_are_round(most: float, unit: Unit, labels: list[str]) -> None:
    assert [tick.label for tick in scale(most, unit).marks] == labels


@given(periods())
def test_marks_of_time_are_few_and_in_order(period: Period) -> None:
    found = moments(period)
    assert len(found) <= MOMENTS + 1
    places = [moment.place for moment in found]
    assert places == sorted(set(places))
    assert all(0 <= place <= WIDTH for place in places)
    assert all(period.start <= moment.at <= period.end for moment in found)


@pytest.mark.parametrize("window", WINDOWS)
def test_each_window_has_marks_of_time(window: str) -> None:
    labels = [moment.label for moment in moments(read_period({"window": window}, NOW))]
    assert 5 <= len(labels) <= 9
    assert len(set(labels)) == len(labels)


@given(periods(), st.lists(st.floats(0, 1e6), max_size=130), UNITS)
def test_everything_is_inside_the_box(period: Period, values: list[float], unit: Unit) -> None:
    made = scale(max(values, default=0.0), unit)
    points = [(float(at), value) for at, value in zip(period.buckets, values, strict=False)]
    end = 0.0
    for at, value in points:
        drawn = column(period, at, made, [("ok", value / 2), ("errors", value / 2)])
        assert end <= drawn.x + 1e-6
        assert drawn.width >= 0
        end = drawn.x + drawn.width
        assert end <= WIDTH + 1e-6
        for part in drawn.parts:
            assert 0 <= part.y < HEIGHT
            assert 0 < part.height <= HEIGHT - part.y + 0.02
    for shape in (curve(period, "p50", made, points), area(period, "mean", made, points)):
        numbers = [float(found) for found in NUMBER.findall(shape.path)]
        assert len(numbers) % 2 == 0
        assert all(0 <= x <= WIDTH for x in numbers[::2])
        assert all(0 <= y <= HEIGHT for y in numbers[1::2])


def test_a_line_breaks_where_nothing_is_known() -> None:
    hour = read_period({"window": "1h"}, NOW)
    first, second, _, fourth, *_ = (float(at) for at in hour.buckets)
    path = curve(hour, "p50", scale(10, COUNT), [(first, 1), (second, 2), (fourth, 3)]).path
    assert path.count("M") == 2
    alone = path.rpartition("M")[2].split("L")
    x, width = slot(hour, fourth)
    assert (float(alone[0].split()[0]), float(alone[-1].split()[0])) == pytest.approx((x, x + width))
    assert curve(hour, "p50", scale(10, COUNT), []).path == ""


def test_what_is_outside_of_the_period_lies_at_its_edge() -> None:
    hour = read_period({"window": "1h"}, NOW)
    assert (across(hour, NOW - 9_999), across(hour, NOW + 9)) == (0.0, WIDTH)
