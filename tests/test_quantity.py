"""Durations and sizes, read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.quantity import duration, size, written_duration, written_size


@given(st.integers(0, 1 << 49))
def test_a_written_size_reads_as_itself(count: int) -> None:
    assert size(written_size(count)) == count


@given(st.integers(0, 10**9) | st.floats(0.001, 1e9))
def test_a_written_duration_reads_as_itself(seconds: float) -> None:
    assert duration(written_duration(seconds)) == pytest.approx(seconds, abs=1e-3)


def test_they_are_written_as_people_do() -> None:
    assert [written_size(count) for count in (0, 1000, 256 << 20, 3 << 29)] == ["0", "1000", "256MiB", "1536MiB"]
    assert [written_duration(seconds) for seconds in (0, 0.5, 900, 7200)] == ["never", "0.500s", "15min", "2h"]


@pytest.mark.parametrize("value", ["", "x", "-1", "5q", "1e3", "٣", True, None, [], "9" * 40, float("nan")])
@pytest.mark.parametrize("reader", [duration, size])
def test_anything_else_is_refused(reader: object, value: object) -> None:
    with pytest.raises(SteadyError) as caught:
        reader(value)  # type: ignore[operator]
    assert caught.value.code == "invalid"
