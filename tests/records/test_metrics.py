"""Readings become samples, and samples and requests sums over a window."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.records import metrics as module
from steadyd.records.metrics import SAMPLE_SECONDS, Metrics, Reading, Sample, Traffic, percentiles, total
from steadyd.records.requests import Request, Requests
from steadyd.records.tallies import PERCENTS

NOW = 1_000_000.0
MIB = 1 << 20


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[Metrics]:
    requests = Requests(lambda app_id: tmp_path / app_id)
    (tmp_path / "a").mkdir()
    yield Metrics(requests)
    requests.close()


def window(metrics: Metrics, since: float = 0.0, app_id: str = "a") -> list[Sample]:
    return asyncio.run(metrics.window(app_id, since))


def traffic(metrics: Metrics, since: float = 0.0, app_id: str = "a") -> Traffic:
    return asyncio.run(metrics.traffic(app_id, since))


def request(ms: float, status: int = 200, at: float = NOW) -> Request:
    return Request(0, at, "id", "GET", "/", status, "", "127.0.0.1", 10, 20, 0, int(ms * 1000), 9_000_000)


def test_a_minute_of_readings_becomes_one_row(metrics: Metrics) -> None:
    for number in range(7):
        metrics.observe("a", Reading((10 + number) * MIB, number * 0.5, 1.0, 0, 3 + number % 2), NOW + number * 10)
        metrics.settle(["a"], NOW + number * 10)
    assert window(metrics) == [Sample(NOW, 7, 13 * MIB, 16 * MIB, 3.0, 0.0, 4, 0)]
    metrics.observe("a", Reading(20 * MIB, 3.5, 1.0), NOW + 70)
    assert [sample.cpu_seconds for sample in window(metrics)] == [3.0, 0.5], "the unfinished one counts too"
    assert [sample.cpu_seconds for sample in window(metrics, NOW + 1)] == [0.5]


def test_a_reading_of_this_moment_counts_from_the_last_one(metrics: Metrics) -> None:
    metrics.observe("a", Reading(MIB, 0.5, 1.0), NOW)
    now = asyncio.run(metrics.window("a", 0.0, Reading(3 * MIB, 0.75, 1.0)))
    assert (total(now).cpu_seconds, total(now).memory_peak_bytes, total(now).readings) == (0.75, 3 * MIB, 2)
    assert total(window(metrics)).readings == 1, "it is not kept"


def test_the_load_is_what_was_used_between_the_last_two_readings(metrics: Metrics) -> None:
    loads = []
    for number, cpu in enumerate((5.0, 10.0, 10.0, 12.0)):
        metrics.observe("a", Reading(MIB, cpu, 1.0), NOW + number * 10)
        loads.append(metrics.load("a"))
    assert loads == [0.0, 0.5, 0.0, 0.2]
    metrics.observe("a", Reading(MIB, 1.0, 2.0), NOW + 40)  # a fresh instance began at nothing
    assert (metrics.load("a"), metrics.load("b")) == (0.1, 0.0)


def test_a_peak_between_two_readings_counts_once(metrics: Metrics) -> None:
    for number, peak in enumerate((90, 90, 95)):
        metrics.observe("a", Reading(10 * MIB, 1.0, 1.0, peak * MIB), NOW + number * 60)
        metrics.settle([], NOW)
    assert [sample.memory_peak_bytes // MIB for sample in window(metrics)] == [90, 10, 95]


def test_an_app_that_stops_leaves_what_it_used(metrics: Metrics) -> None:
    metrics.observe("a", Reading(MIB, 0.5, 1.0), NOW)
    metrics.settle([], NOW)
    assert (metrics._begun, len(window(metrics))) == ({}, 1)


def test_a_fresh_instance_counts_from_zero_and_a_thawed_one_goes_on(metrics: Metrics) -> None:
    metrics.observe("a", Reading(MIB, 5.0, 1.0, sent_bytes=100), NOW)
    metrics.settle([], NOW)
    metrics.observe("a", Reading(MIB, 6.0, 1.0, sent_bytes=150), NOW + 500)
    metrics.settle([], NOW + 500)
    metrics.observe("a", Reading(MIB, 7.0, 2.0, sent_bytes=190), NOW + 900)
    assert [(sample.cpu_seconds, sample.sent_bytes) for sample in window(metrics)] == [(5.0, 100), (1.0, 50), (7.0, 40)]


def test_an_app_that_is_gone_costs_nothing(metrics: Metrics) -> None:
    metrics.observe("gone", Reading(MIB, 1.0), NOW)
    metrics.settle([], NOW)
    assert (window(metrics, app_id="gone"), traffic(metrics, app_id="gone")) == ([], Traffic())


def test_only_so_many_samples_are_kept(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLES_PER_APP_MAX", 5)
    for number in range(9):
        metrics.observe("a", Reading(MIB, 0.0), NOW + number * SAMPLE_SECONDS)
        metrics.settle([], NOW + number * SAMPLE_SECONDS)
    assert [sample.at for sample in window(metrics)] == [NOW + number * SAMPLE_SECONDS for number in range(4, 9)]


def test_only_so_many_last_readings_are_remembered(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_MAX", 3)
    for number in range(5):
        metrics.observe(f"x{number}", Reading(MIB, 0.0), NOW)
    metrics.settle(["x1"], NOW)
    assert metrics.latest("x0") is None
    assert metrics.latest("x1") == Reading(MIB, 0.0)


def test_requests_are_summed_with_their_nearest_ranks(metrics: Metrics) -> None:
    metrics.requests.store("a", [request(ms, 500 if ms > 98 else 499 if ms > 97 else 200) for ms in range(1, 101)])
    metrics.requests.store("a", [request(1_000, at=NOW - 1)])
    assert traffic(metrics, NOW) == Traffic(100, 2, (50.0, 95.0, 99.0), 1_000, 2_000, True)
    assert traffic(metrics, NOW + 1) == Traffic()
    assert traffic(metrics, NOW - 2).requests == 101


def test_the_latency_of_what_reached_no_instance_is_its_whole_time(metrics: Metrics) -> None:
    metrics.requests.store("a", [replace(request(0, 503), total_us=7_000)])
    assert traffic(metrics).latency_ms == (7.0, 7.0, 7.0)


def test_a_log_that_was_cut_says_so(metrics: Metrics) -> None:
    metrics.requests.store("a", [request(1, at=NOW + number) for number in range(10)])
    metrics.requests.write_now("a", lambda db: db.execute("DELETE FROM requests WHERE id < 5"))
    assert (traffic(metrics, NOW).complete, traffic(metrics, NOW + 6).complete) == (False, True)


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_at_least_so_many_percent_are_no_slower(values: list[float]) -> None:
    for percent, rank in zip(PERCENTS, percentiles(sorted(values)), strict=True):
        assert sum(value <= rank for value in values) * 100 >= percent * len(values)
        assert sum(value < rank for value in values) * 100 < percent * len(values)
    assert percentiles([]) == ()


def test_nothing_sums_to_nothing() -> None:
    assert total([]) == Sample(0.0, 0, 0, 0, 0.0, 0.0, 0, 0)
