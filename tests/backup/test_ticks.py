from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from steadyd.backup.litestream import LEVELS
from steadyd.backup.ticks import FILES_MAX, INTERVALS, SLACK_SECONDS, TIMES, stay_seconds


def test_few_files_need_no_stay() -> None:
    assert stay_seconds(FILES_MAX, 0, 1000.0) == 0.0
    assert stay_seconds(FILES_MAX + 1, 0, 1000.0) == 20.0 + SLACK_SECONDS


@given(st.integers(min_value=0), st.floats(min_value=0, max_value=1e10))
def test_it_ends_soon_after_a_tick(stays: int, now: float) -> None:
    seconds = stay_seconds(FILES_MAX + 1, stays, now)
    assert any(abs((now + seconds - SLACK_SECONDS + 1e-3) % interval) < 1e-2 for interval in INTERVALS)
    assert SLACK_SECONDS <= seconds <= INTERVALS[-1] + SLACK_SECONDS


def test_every_level_is_met_at_times() -> None:
    found = [stay_seconds(FILES_MAX + 1, stays, 0.0) - SLACK_SECONDS for stays in range(TIMES**2)]
    assert [found.count(interval) for interval in INTERVALS] == [TIMES**2 - TIMES, TIMES - 1, 1]


def test_the_ticks_are_litestreams() -> None:
    units = {"s": 1, "m": 60, "h": 3600}
    assert tuple(float(level[:-1]) * units[level[-1]] for level in LEVELS) == INTERVALS
