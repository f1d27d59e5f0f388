"""Metrics through the API, for Prometheus and on the page."""

from __future__ import annotations

import re

import httpx
import pytest

from steadyd.errors import SteadyError
from steadyd.records.requests import Request
from steadyd.sampler import Sampler
from steadyd.web import metrics as module
from steadyd.web.period import parse_window
from tests.web.conftest import HELLO, Stage, Web, code

BUSY = b"const end = Date.now() + 60; while (Date.now() < end);\n" + HELLO
PATH = "/api/apps/hello/metrics"


async def used(stage: Stage) -> None:
    """An app that was asked, and looked at twice."""
    app = await stage.app("hello", content=BUSY)
    now = stage.rooms.now()
    rows = [
        Request(0, now - ago, "id", "GET", "/", status, "", "127.0.0.1", 10, 1_000, 500, 1_500, 9_000_000)
        for ago, status in ((1, 200), (2, 200), (3, 500), (4_000, 200))
    ]
    stage.rooms.requests.store(app.id, rows)
    sampler = Sampler(stage.rooms.metrics, stage.rooms.fleet.readings)
    await sampler.tick(now - 10)
    await sampler.tick(now)
    await stage.rooms.controller.restart(stage.operator, app)
    await stage.settled()


def test_the_last_hour_of_an_app(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await used(stage)
        async with stage.client(stage.operator_token) as client:
            found = (await client.get(PATH)).json()["metrics"]
            assert (found["window_seconds"], found["complete"]) == (3_600.0, True)
            assert (found["requests"], found["errors"]) == (3, 1)
            assert found["latency_ms"] == {"p50": 2.0, "p95": 2.0, "p99": 2.0}
            assert found["network"] == {"request_bytes": 30, "answer_bytes": 3_000, "sent_bytes": 0}
            assert found["memory"]["limit_bytes"] == 256 << 20
            assert found["memory"]["peak_bytes"] >= found["memory"]["mean_bytes"] > 1 << 20
            assert found["memory"]["now_bytes"] > 1 << 20
            assert (found["cpu"]["limit"], found["cpu"]["seconds"] > 0) == (1.0, True)
            assert found["wakes"] == 1
            assert found["cold_start_ms"]["p99"] > 0
            assert (await client.get(PATH, params={"window": "2h"})).json()["metrics"]["requests"] == 4

    web(body)


def test_an_app_that_was_never_asked(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            found = (await client.get(PATH)).json()["metrics"]
            assert (found["requests"], found["wakes"], found["complete"]) == (0, 0, True)
            assert found["memory"]["peak_bytes"] == found["memory"]["now_bytes"] > 1 << 20, "also before it is sampled"
            assert found["latency_ms"] == found["cold_start_ms"] == {"p50": None, "p95": None, "p99": None}

    web(body)


@pytest.mark.parametrize("window", ["4m", "31d", "never", "x", "0", "nan"])
def test_a_window_has_its_bounds(web: Web, window: str) -> None:
    with pytest.raises(SteadyError) as caught:
        parse_window(window)
    assert caught.value.code == "invalid"
    assert (parse_window("5m"), parse_window("30d")) == (300.0, 30 * 86_400.0)

    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            assert code(await client.get(PATH, params={"window": window})) == "invalid"

    if window == "4m":
        web(body)


def test_metrics_are_the_owners_business(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(await stage.guest()) as client:
            assert (await client.get(PATH)).status_code == (await client.get("/metrics")).status_code == 404

    web(body)


async def scrape(client: httpx.AsyncClient) -> list[str]:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text.splitlines()


def test_prometheus_reads_every_app(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await used(stage)
        await stage.app("other")
        async with stage.client(stage.operator_token) as client:
            await client.post("/api/apps/other/stop", json={})
            lines = await scrape(client)
            assert 'steadyd_app_state{app="hello",state="running"} 1' in lines
            assert 'steadyd_app_state{app="other",state="stopped"} 1' in lines
            assert 'steadyd_app_memory_limit_bytes{app="other"} 268435456' in lines
            values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
            assert float(values['steadyd_app_memory_bytes{app="hello"}']) > 1 << 20
            assert 'steadyd_app_memory_bytes{app="other"}' not in values
            assert values["steadyd_litestream_up"] == "0", "none runs here, and that is told"
            assert 'steadyd_app_replica_state{app="other",state="unknown"} 1' in lines
            assert values['steadyd_app_replica_lag_seconds{app="hello"}'] == "0"
            assert values['steadyd_app_replica_waiting_bytes{app="hello"}'] == "0"
            assert float(values['steadyd_app_store_requests_today{app="hello"}']) >= 0
            assert 'steadyd_records_replica_state{state="unknown"} 1' in lines
            families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
            assert {re.split("[{ ]", line)[0] for line in lines if not line.startswith("#")} <= set(families)

    web(body)


def test_prometheus_gets_so_many_apps(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROMETHEUS_APPS_MAX", 1)

    async def body(stage: Stage) -> None:
        await stage.app("hello")
        await stage.app("other")
        async with stage.client(stage.operator_token) as client:
            assert not any("other" in line for line in await scrape(client))

    web(body)
