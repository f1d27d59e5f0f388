"""Durations, sizes and switches as people write them."""

from __future__ import annotations

import click
import pytest

from steadyd.cli.quantity import duration, size, switch


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("500ms", 0.5), ("30s", 30), ("15min", 900), ("15m", 900), ("2h", 7200), ("1.5d", 129_600)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds
    assert duration(text.upper()) == seconds


def test_never_and_numbers_from_a_file() -> None:
    assert duration("never") == duration(0) == 0
    assert duration(7) == 7


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("1024", 1024), ("1k", 1024), ("2MiB", 2 << 20), ("2MB", 2 << 20), ("1.5 G", 3 << 29), ("7b", 7)],
)
def test_sizes(text: str, count: int) -> None:
    assert size(text) == count


def test_switches() -> None:
    assert switch("on") is switch(True) is switch("1") is True
    assert switch("OFF") is switch(False) is False


@pytest.mark.parametrize("convert", [duration, size, switch])
@pytest.mark.parametrize("text", ["", "x", "-1", "5q", "on off", "1e3", "٣"])
def test_anything_else_is_refused(convert: object, text: str) -> None:
    assert callable(convert)
    with pytest.raises(click.BadParameter):
        convert(text)
