"""The page of an app's metrics: what it uses of what it may, in numbers, and charts over a range of time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.records.tallies import whole
from steadyd.web import charts, frame
from steadyd.web.charts import BYTES, COUNT, MILLISECONDS, SHARE, Column, Curve, Moment, Tick, Unit
from steadyd.web.page import Visit, page_route
from steadyd.web.period import WINDOWS, Period, read_period, stamp
from steadyd.web.rooms import Rooms
from steadyd.web.series import Bucket, Series, gather
from steadyd.web.tables import owned
from steadyd.web.templates import when

DAY = 86_400.0
LINES = {"p99": "p99", "p95": "p95", "p50": "median"}


@dataclass(frozen=True, slots=True)
class Now:
    """What it uses at this moment, and what happened today (UTC). A limit of 0 is none; `disk_bytes` is None where it
    was not measured since the daemon started."""

    memory_bytes: int
    disk_bytes: int | None
    requests: int
    errors: int
    wakes: int
    cold_start_ms: float | None


@dataclass(frozen=True, slots=True)
class Hit:
    """The place of one bucket in every chart, and what the page of requests is asked about it."""

    x: float
    width: float
    start: float
    when: str
    query: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawing. `says` has a sentence for each bucket, `legend` a name for each colour."""

    name: str
    title: str
    said: str
    marks: list[Tick]
    says: list[str]
    legend: dict[str, str]
    columns: Sequence[Column] = ()
    areas: Sequence[Curve] = ()
    curves: Sequence[Curve] = ()
    limit: Tick | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """All of the page."""

    period: Period
    now: Now
    series: Series
    peak_bytes: int
    cpus: float
    moments: list[Moment]
    hits: list[Hit]
    charts: list[Chart]
    table: list[Bucket]


def routes(rooms: Rooms) -> list[Route]:
    return [page_route("/apps/{name}/metrics", show, rooms)]


async def show(visit: Visit) -> Response:
    app, rooms, now, error = await owned(visit), visit.rooms, visit.rooms.now(), None
    try:
        period = read_period(visit.request.query_params, now)
    except SteadyError as refused:
        period, error = read_period({}, now), refused
    view = drawn(await gather(rooms, app, period), period, await at_present(rooms, app, now))
    return await frame.show(visit, app, "metrics", "metrics.html", error, view=view, windows=WINDOWS)


async def at_present(rooms: Rooms, app: App, now: float) -> Now:
    midnight = now // DAY * DAY
    read = rooms.fleet.readings(frozen=True).get(app.id)
    reading = await asyncio.to_thread(read) if read else None
    asked, _ = await rooms.metrics.series(app.id, midnight, now + 1, 900)
    wakes, _ = await rooms.journal.woken(app.id, midnight, now + 1)
    disk = rooms.workshop.quota.used(rooms.fleet.ground.place(app).app)
    requests, errors = whole(asked)
    slowest = max((ms for _, ms in wakes), default=None)
    return Now(
        reading.memory_bytes if reading else 0, disk.bytes if disk else None, requests, errors, len(wakes), slowest
    )


def drawn(series: Series, period: Period, now: Now) -> Shown:
    """Everything that the page shows of a series."""
    buckets = series.buckets
    spent = sum((bucket.cpus or 0.0) * series.bucket_seconds for bucket in buckets)
    return Shown(
        period=period,
        now=now,
        series=series,
        peak_bytes=max((bucket.memory_peak_bytes or 0 for bucket in buckets), default=0),
        cpus=spent / period.seconds,
        moments=charts.moments(period),
        hits=[_hit(period, bucket) for bucket in buckets],
        charts=[
            _requests(series, period),
            _latency(series, period),
            _memory(series, period),
            _cpu(series, period),
            _wakes(series, period),
        ],
        table=[bucket for bucket in buckets[::-1] if bucket.requests or bucket.wakes or bucket.cpus is not None],
    )


# Private


def _hit(period: Period, bucket: Bucket) -> Hit:
    at = bucket.at.timestamp()
    start, end = max(at, period.start), min(at + period.width, period.end)
    query = urlencode({"since": stamp(start // 1), "until": stamp(-(-end // 1))})
    return Hit(*charts.slot(period, at), start, when(start), query)


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _asked(requests: int, errors: int) -> str:
    return _plural(requests, "request") + (f", {_plural(errors, 'error')}" if errors else "")


def _points(series: Series, value: Callable[[Bucket], float | None]) -> list[tuple[float, float]]:
    """(beginning, value) of the buckets that have one."""
    found = ((bucket.at.timestamp(), value(bucket)) for bucket in series.buckets)
    return [(at, each) for at, each in found if each is not None]


def _columns(
    series: Series, period: Period, scale: charts.Scale, parts: Callable[[Bucket], Sequence[tuple[str, float]]]
) -> list[Column]:
    made = (charts.column(period, bucket.at.timestamp(), scale, parts(bucket)) for bucket in series.buckets)
    return [column for column in made if column.parts]


def _requests(series: Series, period: Period) -> Chart:
    scale = charts.scale(max(bucket.requests for bucket in series.buckets), COUNT)
    requests, errors = (sum(getattr(bucket, name) for bucket in series.buckets) for name in ("requests", "errors"))
    return Chart(
        "requests", "Requests", _asked(requests, errors) + f", by {_length(period)}", scale.marks,
        [_asked(bucket.requests, bucket.errors) for bucket in series.buckets],
        {"ok": "answered", "errors": "errors (500 and above)"},
        _columns(series, period, scale, lambda one: (("ok", one.requests - one.errors), ("errors", one.errors))),
    )  # fmt: skip


def _latency(series: Series, period: Period) -> Chart:
    lines = {name: _points(series, lambda one, name=name: getattr(one.latency_ms, name)) for name in LINES}  # type: ignore[misc]
    scale = charts.scale(max((ms for line in lines.values() for _, ms in line), default=0.0), MILLISECONDS)
    return Chart(
        "latency", "Latency", "to the head of an answer", scale.marks,
        [_latencies(bucket) for bucket in series.buckets], LINES,
        curves=[charts.curve(period, name, scale, line) for name, line in lines.items()],
    )  # fmt: skip


def _latencies(bucket: Bucket) -> str:
    found = bucket.latency_ms
    if found.p50 is None or found.p95 is None or found.p99 is None:
        return "no request"
    return ", ".join(
        f"{charts.say_ms(ms)} {name}" for ms, name in ((found.p50, "median"), (found.p95, "p95"), (found.p99, "p99"))
    )


def _memory(series: Series, period: Period) -> Chart:
    peaks = _points(series, lambda one: one.memory_peak_bytes)
    means = _points(series, lambda one: one.memory_bytes)
    limit = series.memory_limit_bytes
    scale = charts.scale(limit or max((value for _, value in peaks), default=0.0), BYTES)
    return Chart(
        "memory", "Memory", f"of {charts.say_bytes(limit)}" if limit else "no limit", scale.marks,
        [_memories(bucket) for bucket in series.buckets],
        {name: name for name in ("mean", "peak", "limit") if limit or name != "limit"},
        areas=[charts.area(period, "mean", scale, means)],
        curves=[charts.curve(period, "peak", scale, peaks)],
        limit=_limit(scale, limit, BYTES),
    )  # fmt: skip


def _memories(bucket: Bucket) -> str:
    if bucket.memory_bytes is None or bucket.memory_peak_bytes is None:
        return "asleep"
    return f"{charts.say_bytes(bucket.memory_bytes)} mean, {charts.say_bytes(bucket.memory_peak_bytes)} peak"


def _cpu(series: Series, period: Period) -> Chart:
    spent = _points(series, lambda one: one.cpus)
    most = max((value for _, value in spent), default=0.0)
    scale = charts.scale(most, SHARE)
    limit = series.cpus_limit
    said = f"of {limit:g} processor{'' if limit == 1 else 's'}" if limit else "of one processor; no limit"
    return Chart(
        "cpu", "Processor", said, scale.marks,
        ["asleep" if bucket.cpus is None else charts.say_share(bucket.cpus) for bucket in series.buckets],
        {},
        areas=[charts.area(period, "mean", scale, spent)],
        curves=[charts.curve(period, "line", scale, spent)],
        limit=_limit(scale, limit, SHARE) if limit <= scale.top else None,
    )  # fmt: skip


def _wakes(series: Series, period: Period) -> Chart:
    scale = charts.scale(max(bucket.cold_start_ms or 0.0 for bucket in series.buckets), MILLISECONDS)
    wakes = sum(bucket.wakes for bucket in series.buckets)
    said = _plural(wakes, "wake") + ("" if series.complete else "; earlier ones are not kept")
    return Chart(
        "wakes", "Wakes", f"{said}, the slowest start by {_length(period)}", scale.marks,
        [_woken(bucket) for bucket in series.buckets], {},
        _columns(series, period, scale, lambda one: [("wakes", one.cold_start_ms or 0.0)]),
    )  # fmt: skip


def _woken(bucket: Bucket) -> str:
    if bucket.cold_start_ms is None:
        return "no wake"
    slowest = charts.say_ms(bucket.cold_start_ms)
    return f"one wake in {slowest}" if bucket.wakes == 1 else f"{bucket.wakes:,} wakes, the slowest in {slowest}"


def _limit(scale: charts.Scale, limit: float, unit: Unit) -> Tick | None:
    return Tick(scale.y(limit), unit.say(limit)) if limit else None


def _length(period: Period) -> str:
    """How long a bucket is, in words."""
    if period.width < 3_600:
        return "minute" if period.width == 60 else f"{period.width // 60} minutes"
    return "hour" if period.width == 3_600 else f"{period.width // 3_600} hours"
