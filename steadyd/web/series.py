"""What apps are asked and use, over a range of time in buckets: for charts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from steadyd.model import App
from steadyd.records.metrics import Sample
from steadyd.records.tallies import Tally
from steadyd.web import shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.metrics import Percentiles, percentiles_shown
from steadyd.web.period import Period, read_period
from steadyd.web.rooms import Rooms
from steadyd.web.schema import Strict


class SeriesQuery(Strict):
    """`from` and `to` go before `window`."""

    window: Annotated[str, Meta(description="How far back: from `5m` to `30d`.")] = "1h"
    from_: Annotated[str, Meta(description="A moment as people say it; times are UTC.")] = msgspec.field(
        name="from", default=""
    )
    to: Annotated[str, Meta(description="The same; without it, now.")] = ""


class Bucket(Strict):
    """What happened from `at` on. Null where it did not run, or was not asked, or did not wake. `cpus` is how many
    processors it used in the mean; `cold_start_ms` is the slowest start."""

    at: datetime
    requests: int
    errors: int
    latency_ms: Percentiles
    memory_bytes: int | None
    memory_peak_bytes: int | None
    cpus: float | None
    wakes: int
    cold_start_ms: float | None


class Series(Strict):
    """Buckets of `bucket_seconds`, oldest first, without a gap; latencies are right to a twentieth. `complete` is false
    if there were more events since than are kept, so that wakes are missing."""

    from_: datetime = msgspec.field(name="from")
    to: datetime
    bucket_seconds: int
    complete: bool
    memory_limit_bytes: int
    cpus_limit: float
    buckets: list[Bucket]


class SeriesAnswer(Strict):
    series: Series


async def show_series(call: Call) -> Response:
    query = call.query(SeriesQuery)
    said = {"window": query.window, "from": query.from_, "to": query.to}
    return json_answer(SeriesAnswer(series=await gather(call.rooms, call.app, read_period(said, call.rooms.now()))))


async def gather(rooms: Rooms, app: App, period: Period) -> Series:
    """All buckets of a period, in a few reads whose work does not grow with what was asked."""
    asked, used = await rooms.metrics.series(app.id, period.first, period.end, period.width)
    wakes, complete = await rooms.journal.woken(app.id, period.first, period.end)
    asked_at, used_at = {tally.at: tally for tally in asked}, {sample.at: sample for sample in used}
    woken: dict[float, list[float]] = {}
    for at, ms in wakes:
        woken.setdefault(float(at // period.width * period.width), []).append(ms)
    return Series(
        from_=shown.moment(period.start),
        to=shown.moment(period.end),
        bucket_seconds=period.width,
        complete=complete,
        memory_limit_bytes=app.limits.memory_bytes,
        cpus_limit=app.limits.cpus,
        buckets=[
            _bucket(at, period.width, asked_at.get(at), used_at.get(at), woken.get(at, [])) for at in period.buckets
        ],
    )


ENDPOINTS = (
    Endpoint(
        method="GET", path="/api/apps/{name}/metrics/series", handler=show_series, access=Access.OWNER,
        query=SeriesQuery, answers=json_of(SeriesAnswer),
        summary="Requests, errors, latency, memory, processor and wakes over a range of time, in at most 120 buckets.",
        errors=("unauthorized", "not_found", "conflict", "invalid"),
    ),
)  # fmt: skip


# Private


def _bucket(at: int, width: int, asked: Tally | None, used: Sample | None, wakes: list[float]) -> Bucket:
    return Bucket(
        at=shown.moment(at),
        requests=asked.requests if asked else 0,
        errors=asked.errors if asked else 0,
        latency_ms=percentiles_shown(asked.latency_ms if asked else ()),
        memory_bytes=used.memory_bytes if used else None,
        memory_peak_bytes=used.memory_peak_bytes if used else None,
        cpus=round(used.cpu_seconds / width, 5) if used else None,
        wakes=len(wakes),
        cold_start_ms=max(wakes, default=None),
    )
