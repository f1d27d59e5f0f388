"""A range of time is read from an address, and cut into buckets."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.records.tallies import KEPT_SECONDS, level_of
from steadyd.web.period import (
    BACK_SECONDS_MAX,
    BUCKETS_MAX,
    WINDOW_SECONDS_MAX,
    WINDOW_SECONDS_MIN,
    WINDOWS,
    period,
    read_period,
)

NOW = 1_800_000_123.5


@pytest.mark.parametrize(
    ("window", "width", "buckets"),
    [("1h", 60, 61), ("6h", 300, 73), ("1d", 900, 97), ("7d", 7_200, 85), ("30d", 28_800, 91)],
)  # fmt: skip
def test_each_window_has_its_buckets(window: str, width: int, buckets: int) -> None:
    found = read_period({"window": window}, NOW)
    assert (found.width, len(found.buckets), found.window) == (width, buckets, window)
    assert found.end == NOW
    assert found.query == f"window={window}"


def test_what_is_said_in_words_is_read_and_said_again() -> None:
    found = read_period({"from": "2h ago", "to": "1h ago"}, NOW)
    assert (found.start, found.end, found.window) == (NOW - 7_200, NOW - 3_600, "")
    again = read_period(dict(parse_qsl(found.query)), NOW)
    assert (again.start, again.end) == (int(found.start), int(found.end))
    assert read_period({"from": "2h ago"}, NOW).end == NOW
    assert read_period({}, NOW).window == "1h"
    assert read_period({"window": "2h"}, NOW).window == ""
    assert set(WINDOWS) >= {"1h", "30d"}


@pytest.mark.parametrize(
    "said",
    [
        {"window": "4m"}, {"window": "31d"}, {"window": "x"}, {"from": "now"}, {"from": "point:3"}, {"from": "<b>"},
        {"from": "40d ago", "to": "35d ago"}, {"from": "2h ago", "to": "tomorrow"}, {"from": "1h ago", "to": "2h ago"},
        {"from": "2026-01-01", "to": "now"},
    ],
)  # fmt: skip
def test_what_is_no_range_is_refused(said: dict[str, str]) -> None:
    with pytest.raises(SteadyError) as caught:
        read_period(said, NOW)
    assert caught.value.code == "invalid"


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_buckets_cover_the_range_and_are_few(long: float, early: float) -> None:
    seconds = WINDOW_SECONDS_MIN + 1 + long * (WINDOW_SECONDS_MAX - WINDOW_SECONDS_MIN - 2)
    start = NOW - seconds - early * (BACK_SECONDS_MAX - seconds)
    found = period(start, start + seconds, NOW)
    buckets = found.buckets
    assert 1 <= len(buckets) <= BUCKETS_MAX
    assert buckets[0] <= found.start < buckets[0] + found.width
    assert buckets[-1] < found.end <= buckets[-1] + found.width
    assert found.start >= NOW - KEPT_SECONDS[level_of(found.width)]
