"""What apps are asked and use over time: for their owners as JSON, for the operator's Prometheus as text.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta
from starlette.responses import Response

from steadyd.model import App, AppState, Scope
from steadyd.records.metrics import percentiles, total
from steadyd.web import shown
from steadyd.web.answers import NO_STORE, json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.period import parse_window
from steadyd.web.rooms import Rooms
from steadyd.web.schema import Strict

PROMETHEUS_APPS_MAX = 2_000
PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FAMILIES = (
    ("steadyd_app_state", "gauge", "What the app does now, as a label; always 1."),
    ("steadyd_app_requests_total", "counter", "Requests let in since the daemon started."),
    ("steadyd_app_memory_bytes", "gauge", "Memory of the running instance, at most seconds old."),
    ("steadyd_app_memory_limit_bytes", "gauge", "What it may use; 0 is no limit."),
    ("steadyd_app_cpu_seconds_total", "counter", "Processor time of the running instance."),
    ("steadyd_app_replica_state", "gauge", "How its databases are replicated, as a label; always 1."),
    ("steadyd_app_replica_lag_seconds", "gauge", "For how long something committed is only on this host."),
    ("steadyd_app_replica_waiting_bytes", "gauge", "What waits for a replica that cannot be reached."),
    (
        "steadyd_app_store_requests_today",
        "gauge",
        "Requests to the object store today (UTC); in part estimated.",
    ),
    ("steadyd_litestream_up", "gauge", "Whether what replicates databases runs."),
    ("steadyd_records_replica_state", "gauge", "How the records are replicated, as a label; always 1."),
)


class WindowQuery(Strict):
    window: Annotated[str, Meta(description="How far back: from `5m` to `30d`.")] = "1h"


class Percentiles(Strict):
    """In ms, by nearest rank; null of nothing."""

    p50: float | None
    p95: float | None
    p99: float | None


class MemoryUse(Strict):
    """While it ran. A limit of 0 is none."""

    now_bytes: int
    mean_bytes: int
    peak_bytes: int
    limit_bytes: int


class CpuUse(Strict):
    """`seconds` of processor time; `mean` is how many processors that is over the window."""

    seconds: float
    mean: float
    throttled_seconds: float
    limit: float


class ProcessUse(Strict):
    peak: int
    limit: int


class NetworkUse(Strict):
    """Bodies of requests and of their answers, and what the app sent to others."""

    request_bytes: int
    answer_bytes: int
    sent_bytes: int


class Metrics(Strict):
    """What was asked of an app and what it used. Latency is from a request to the head of its answer; an error is an
    answer from 500 on. `complete` is false if the request log does not reach back to `since`."""

    since: datetime
    window_seconds: float
    complete: bool
    requests: int
    errors: int
    latency_ms: Percentiles
    memory: MemoryUse
    cpu: CpuUse
    processes: ProcessUse
    network: NetworkUse
    wakes: int
    cold_start_ms: Percentiles


class MetricsAnswer(Strict):
    metrics: Metrics


async def show_metrics(call: Call) -> Response:
    seconds = parse_window(call.query(WindowQuery).window)
    return json_answer(MetricsAnswer(metrics=await gather(call.rooms, call.app, seconds)))


async def prometheus(call: Call) -> Response:
    apps = (await call.rooms.apps.everything())[:PROMETHEUS_APPS_MAX]
    return Response(exposition(call.rooms, apps), 200, NO_STORE, PROMETHEUS_TYPE)


async def gather(rooms: Rooms, app: App, seconds: float) -> Metrics:
    """All that is known of the last `seconds`."""
    since = rooms.now() - seconds
    traffic = await rooms.metrics.traffic(app.id, since)
    read = rooms.fleet.readings(frozen=True).get(app.id)
    reading = await asyncio.to_thread(read) if read else None
    used = total(await rooms.metrics.window(app.id, since, reading))
    wakes = await rooms.journal.wakes(app.id, since)
    return Metrics(
        since=shown.moment(since),
        window_seconds=seconds,
        complete=traffic.complete,
        requests=traffic.requests,
        errors=traffic.errors,
        latency_ms=percentiles_shown(traffic.latency_ms),
        memory=MemoryUse(
            now_bytes=reading.memory_bytes if reading else 0,
            mean_bytes=used.memory_bytes,
            peak_bytes=used.memory_peak_bytes,
            limit_bytes=app.limits.memory_bytes,
        ),
        cpu=CpuUse(
            seconds=round(used.cpu_seconds, 3),
            mean=round(used.cpu_seconds / seconds, 4),
            throttled_seconds=round(used.throttled_seconds, 3),
            limit=app.limits.cpus,
        ),
        processes=ProcessUse(peak=used.processes, limit=app.limits.processes),
        network=NetworkUse(
            request_bytes=traffic.request_bytes, answer_bytes=traffic.answer_bytes, sent_bytes=used.sent_bytes
        ),
        wakes=len(wakes),
        cold_start_ms=percentiles_shown(percentiles(wakes)),
    )


def percentiles_shown(ranks: Sequence[float]) -> Percentiles:
    p50, p95, p99 = [round(ms, 2) for ms in ranks] or (None, None, None)
    return Percentiles(p50=p50, p95=p95, p99=p99)


def exposition(rooms: Rooms, apps: Sequence[App]) -> str:
    """The text that Prometheus reads. Names of apps need no escaping."""
    rows: dict[str, list[str]] = {name: [] for name, _, _ in FAMILIES}
    for app in apps:
        label = f'app="{app.name}"'
        runtime, state = rooms.fleet.runtime(app.id), rooms.fleet.state(app)
        reading = rooms.metrics.latest(app.id) if state in (AppState.RUNNING, AppState.FROZEN) else None
        rows["steadyd_app_state"].append(f'{{{label},state="{state}"}} 1')
        rows["steadyd_app_requests_total"].append(f"{{{label}}} {runtime.requests if runtime else 0}")
        rows["steadyd_app_memory_limit_bytes"].append(f"{{{label}}} {app.limits.memory_bytes}")
        if reading is not None:
            rows["steadyd_app_memory_bytes"].append(f"{{{label}}} {reading.memory_bytes}")
            rows["steadyd_app_cpu_seconds_total"].append(f"{{{label}}} {reading.cpu_seconds:g}")
        replica = rooms.backups.replica
        status, requests = replica.replication.status(app.id), replica.objects.tally.today(app.id)
        waiting = sum(database.waiting_bytes for database in status.databases)
        rows["steadyd_app_replica_state"].append(f'{{{label},state="{status.health}"}} 1')
        rows["steadyd_app_replica_lag_seconds"].append(f"{{{label}}} {status.lag_seconds:g}")
        rows["steadyd_app_replica_waiting_bytes"].append(f"{{{label}}} {waiting}")
        rows["steadyd_app_store_requests_today"].append(f"{{{label}}} {requests}")
    whole = rooms.backups.replica.replication.whole()
    rows["steadyd_litestream_up"].append(f" {int(not whole.problem)}")
    rows["steadyd_records_replica_state"].append(f'{{state="{whole.records}"}} 1')
    lines = []
    for name, kind, told in FAMILIES:
        lines += [f"# HELP {name} {told}", f"# TYPE {name} {kind}", *(name + row for row in rows[name])]
    return "\n".join(lines) + "\n"


ENDPOINTS = (
    Endpoint(
        method="GET", path="/api/apps/{name}/metrics", handler=show_metrics, access=Access.OWNER,
        query=WindowQuery, answers=json_of(MetricsAnswer),
        summary="Requests, errors, latency, processor, memory, wakes and traffic of the last `window`.",
        errors=("unauthorized", "not_found", "conflict", "invalid"),
    ),
    Endpoint(
        method="GET", path="/metrics", handler=prometheus, access=Access.OPERATOR, answers={"text/plain": (str,)},
        summary="Every app for Prometheus, with the operator's token.", errors=("unauthorized", "not_found"),
        scope=Scope.READ,
    ),
)  # fmt: skip
