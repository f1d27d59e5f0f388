"""What an app is asked and uses, in buckets, through the API."""

from __future__ import annotations

from typing import Any

import pytest

from steadyd.model import Event
from steadyd.records import journal
from steadyd.records.journal import WAKE
from steadyd.records.metrics import Reading
from steadyd.records.requests import Request
from tests.web.conftest import Stage, Web, code

PATH = "/api/apps/hello/metrics/series"
NOW = 1_800_000_030.0


def asked(at: float, status: int = 200, ms: float = 2.0) -> Request:
    return Request(0, at, "id", "GET", "/", status, "", "127.0.0.1", 0, 0, 0, int(ms * 1000), 9_000_000)


async def past(stage: Stage) -> Stage:
    """An app with an hour behind it, on a stage where it is NOW."""
    app = await stage.app("hello")
    await stage.settled()
    rooms = stage.rooms
    rooms.requests.store(app.id, [asked(NOW - 90), asked(NOW - 89, 500), asked(NOW - 3_000, ms=40.0)])
    for ago, cpu in ((600, 0.0), (590, 6.0)):
        rooms.metrics.observe(app.id, Reading(64 << 20, cpu, 1.0), NOW - ago)
    rooms.metrics.settle([], NOW)
    for ago, ms in ((900, 80.0), (899, 120.0)):
        await rooms.journal.add_event(app.id, Event(NOW - ago, WAKE, "Started.", {"ms": ms}))
    return stage.rebuilt(now=lambda: NOW)


async def series(stage: Stage, **query: str) -> dict[str, Any]:
    async with stage.client(stage.operator_token) as client:
        answer = await client.get(PATH, params=query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["series"])


def test_an_hour_is_told_by_the_minute(web: Web) -> None:
    async def body(stage: Stage) -> None:
        found = await series(await past(stage))
        buckets = found["buckets"]
        assert (found["bucket_seconds"], len(buckets), found["complete"]) == (60, 61, True)
        assert found["memory_limit_bytes"] == 256 << 20
        assert sum(bucket["requests"] for bucket in buckets) == 3
        at = {bucket["at"]: bucket for bucket in buckets}
        busy = at["2027-01-15T07:59:00Z"]
        assert (busy["requests"], busy["errors"]) == (2, 1)
        assert busy["latency_ms"]["p99"] == pytest.approx(2.0, rel=0.05)
        used = [bucket for bucket in buckets if bucket["cpus"] is not None]
        assert [(bucket["memory_bytes"], bucket["cpus"]) for bucket in used] == [(64 << 20, 0.1)]
        woken = [bucket for bucket in buckets if bucket["wakes"]]
        assert [(bucket["wakes"], bucket["cold_start_ms"]) for bucket in woken] == [(2, 120.0)]
        quiet = at["2027-01-15T07:30:00Z"]
        assert quiet["latency_ms"] == {"p50": None, "p95": None, "p99": None}
        assert (quiet["requests"], quiet["memory_bytes"], quiet["cold_start_ms"]) == (0, None, None)

    web(body)


def test_a_range_goes_before_a_window(web: Web) -> None:
    async def body(stage: Stage) -> None:
        there = await past(stage)
        found = await series(there, **{"from": "1h ago", "to": "30m ago", "window": "30d"})
        assert (found["from"], found["to"]) == ("2027-01-15T07:00:30Z", "2027-01-15T07:30:30Z")
        assert sum(bucket["requests"] for bucket in found["buckets"]) == 1
        week = await series(there, window="7d")
        assert sum(bucket["requests"] for bucket in week["buckets"]) == 3
        async with there.client(there.operator_token) as client:
            assert code(await client.get(PATH, params={"from": "in a while"})) == "invalid"

    web(body)


def test_wakes_that_are_not_kept_are_said_to_be_missing(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "EVENTS_PER_APP_MAX", 2)

    async def body(stage: Stage) -> None:
        assert not (await series(await past(stage)))["complete"]

    web(body)
