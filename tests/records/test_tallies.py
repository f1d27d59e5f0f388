"""Requests are counted as they are logged, and read back by the bucket."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.records import requests as log
from steadyd.records import tallies
from steadyd.records.requests import Request, Requests
from steadyd.records.tallies import KEPT_SECONDS, Tally, level_of, ranks, read, whole

NOW = 1_800_000_000.0
"""On a boundary of every level."""


@pytest.fixture
def requests(tmp_path: Path) -> Iterator[Requests]:
    requests = Requests(lambda app_id: tmp_path / app_id)
    (tmp_path / "a").mkdir()
    yield requests
    requests.close()


def found(requests: Requests, start: float, end: float, width: int) -> list[Tally]:
    return asyncio.run(_read(requests, start, end, width))


async def _read(requests: Requests, start: float, end: float, width: int) -> list[Tally]:
    return await requests.read("a", lambda db: read(db, start, end, width)) or []


def asked(at: float, ms: float = 1.0, status: int = 200) -> Request:
    return Request(0, at, "id", "GET", "/", status, "", "127.0.0.1", 0, 0, 0, int(ms * 1000), 9_000_000)


@pytest.mark.parametrize("width", [60, 300, 900, 3_600, 7_200, 28_800])
def test_every_width_counts_the_same_requests(requests: Requests, width: int) -> None:
    for batch in range(3):
        rows = [asked(NOW + batch * 500 + number * 97, status=500 if number % 5 == 0 else 200) for number in range(50)]
        requests.store("a", rows)
    buckets = found(requests, NOW, NOW + 28_800, width)
    assert whole(buckets) == (150, 30)
    assert all(bucket.at % width == 0 for bucket in buckets)
    assert [bucket.at for bucket in buckets] == sorted({bucket.at for bucket in buckets})


def test_a_bucket_has_the_percentiles_of_what_was_asked_in_it(requests: Requests) -> None:
    requests.store("a", [asked(NOW + 1, ms) for ms in range(1, 101)] + [asked(NOW + 61, 7.0)])
    first, second = found(requests, NOW, NOW + 120, 60)
    assert (first.at, first.requests, second.at, second.requests) == (NOW, 100, NOW + 60, 1)
    for shown, true in zip(first.latency_ms, (50.0, 95.0, 99.0), strict=True):
        assert shown == pytest.approx(true, rel=0.05)
    assert second.latency_ms == pytest.approx((7.0, 7.0, 7.0), rel=0.05)
    assert found(requests, NOW + 60, NOW + 120, 60) == [second]


@given(st.lists(st.integers(1, 60_000_000), min_size=1, max_size=200))
def test_a_percentile_is_right_to_a_twentieth(microseconds: list[int]) -> None:
    kinds = sorted(int(tallies.CLASSES_PER_DOUBLING * math.log2(us)) for us in microseconds)
    shown = ranks([(kind, len(list(same))) for kind, same in groupby(kinds)])
    ordered = sorted(microseconds)
    for percent, ms in zip(tallies.PERCENTS, shown, strict=True):
        true = ordered[(len(ordered) * percent + 99) // 100 - 1] / 1000
        assert true / 1.05 <= ms <= true * 1.05


def test_nothing_has_no_percentile() -> None:
    assert ranks([]) == ()


def test_the_counts_outlive_the_log(requests: Requests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "ROWS_PER_APP_MAX", 10)
    monkeypatch.setattr(log, "TRIM_EVERY_ROWS", 10)
    for number in range(10):
        requests.store("a", [asked(NOW + number * 60 + second) for second in range(10)])
    assert whole(found(requests, NOW, NOW + 900, 60)) == (100, 0)


@pytest.mark.parametrize("level", KEPT_SECONDS)
def test_each_level_is_kept_for_so_long(requests: Requests, level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "TRIM_EVERY_ROWS", 1)
    kept = KEPT_SECONDS[level]
    requests.store("a", [asked(NOW - kept - level), asked(NOW - kept + level)])
    requests.store("a", [asked(NOW)])
    assert whole(found(requests, 0, NOW + level, level)) == (2, 0)


def test_a_width_is_made_of_the_coarsest_level_that_divides_it() -> None:
    assert [level_of(width) for width in (60, 300, 900, 3_600, 7_200, 28_800)] == [60, 60, 900, 900, 7_200, 7_200]
