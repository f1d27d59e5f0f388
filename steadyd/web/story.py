"""The timeline page of an app: all that became of it on one axis, and from any moment of it to code, rows, a fork or
back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.responses import Response
from starlette.routing import Route

from steadyd.backup.when import At, AtPoint, read_when
from steadyd.errors import SteadyError
from steadyd.model import App, Death, Event
from steadyd.moment import Point, PointState
from steadyd.records.crons import Run
from steadyd.records.history import Entry
from steadyd.records.journal import Operation
from steadyd.web import charts, frame
from steadyd.web.activity import title
from steadyd.web.charts import BYTES, COUNT, Column, Curve
from steadyd.web.lanes import LANE_HEIGHT, Lane, Mark, lanes
from steadyd.web.page import Visit, page_route
from steadyd.web.period import WINDOWS, Period, read_period, stamp
from steadyd.web.rooms import Rooms
from steadyd.web.series import Series, gather
from steadyd.web.tables import owned

RUNS_TOLD = 1_000
"""Of crons, the newest."""
LISTED = 200
"""Marks that are told as text too, the newest."""
CODE = ("create", "deploy", "rollback", "retreat", "upgrade")
DATA = ("restore", "sql", "fork", "archive")
LIFE = ("wake", "sleep", "death", "failed", "paused", "pressure", "start", "stop", "restart", "deploy_failed")


@dataclass(frozen=True, slots=True)
class Slot:
    """A piece of the axis that can be chosen: its middle."""

    x: float
    width: float
    at: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """A moment, and what was true then. `version` is 0 where that is not known any more; `paths` are the databases."""

    asked: str
    at: float
    x: float | None
    version: int
    paths: list[str]
    before: Mark | None
    after: Mark | None


@dataclass(frozen=True, slots=True)
class Shown:
    period: Period
    lanes: list[Lane]
    slots: list[Slot]
    moments: list[charts.Moment]
    errors: list[Column]
    memory: Curve
    most_requests: str
    most_memory: str
    listed: list[Mark]
    total: int
    complete: bool

    @property
    def height(self) -> float:
        return len(self.lanes) * LANE_HEIGHT


def routes(rooms: Rooms) -> list[Route]:
    return [page_route("/apps/{name}/timeline", show, rooms)]


async def show(visit: Visit) -> Response:
    """With `at`, that moment is chosen."""
    app, rooms, said = await owned(visit), visit.rooms, visit.request.query_params
    now, error, chosen = rooms.now(), None, None
    try:
        period = read_period(said, now, "1d")
    except SteadyError as refused:
        period, error = read_period({}, now, "1d"), refused
    marks = await told(rooms, app, period)
    if asked := said.get("at", "").strip():
        try:
            chosen = await choose(rooms, app, period, asked, marks)
        except SteadyError as refused:
            error = error or refused
    view = drawn(period, marks, await gather(rooms, app, period))
    return await frame.show(
        visit, app, "timeline", "timeline.html", error, view=view, chosen=chosen, asked=asked, windows=WINDOWS,
    )  # fmt: skip


async def told(rooms: Rooms, app: App, period: Period) -> list[Mark]:
    """Everything that happened in the period, the first first."""
    entries = await rooms.library.history.between(app.id, period.start, period.end)
    points = await rooms.library.points.of(app.id)
    runs = await rooms.library.crons.runs(app.id, limit=RUNS_TOLD)
    marks = [*map(of_entry, entries), *map(of_point, points), *map(of_run, runs)]
    return sorted((mark for mark in marks if period.start <= mark.at <= period.end), key=lambda mark: mark.at)


async def choose(rooms: Rooms, app: App, period: Period, asked: str, marks: Sequence[Mark]) -> Chosen:
    """What was true at a moment as somebody says it.

    Raises:
        SteadyError: `invalid`, `not_found` of a restore point that is not there.
    """
    at = await _time(rooms, app, asked)
    lines = [line for line in await rooms.library.lines.of(app.id) if line.began_at <= at]
    paths = sorted({line.path for line in lines if line.ended_at is None or line.ended_at > at})
    within = period.start <= at <= period.end
    return Chosen(
        asked=asked if not isinstance(_when(rooms, asked), At) else stamp(at),
        at=at,
        x=charts.across(period, at) if within else None,
        version=await rooms.journal.live_at(app.id, at),
        paths=paths,
        before=next((mark for mark in reversed(marks) if mark.at <= at), None),
        after=next((mark for mark in marks if mark.at > at), None),
    )


def drawn(period: Period, marks: Sequence[Mark], series: Series) -> Shown:
    """All of the page but the chosen moment."""
    requests = charts.scale(max(bucket.requests for bucket in series.buckets), COUNT)
    memory = [(bucket.at.timestamp(), float(bucket.memory_bytes)) for bucket in series.buckets if bucket.memory_bytes]
    limit = series.memory_limit_bytes or max((value for _, value in memory), default=0.0)
    columns = (
        charts.column(
            period, bucket.at.timestamp(), requests,
            (("ok", bucket.requests - bucket.errors), ("errors", bucket.errors)),
        )
        for bucket in series.buckets
    )  # fmt: skip
    return Shown(
        period=period,
        lanes=lanes(period, marks),
        slots=[_slot(period, at) for at in period.buckets],
        moments=charts.moments(period),
        errors=[column for column in columns if column.parts],
        memory=charts.area(period, "mean", charts.scale(limit, BYTES), memory),
        most_requests=requests.marks[-1].label,
        most_memory=charts.say_bytes(limit) if limit else "",
        listed=list(marks[::-1][:LISTED]),
        total=len(marks),
        complete=series.complete,
    )


def of_entry(entry: Entry) -> Mark:
    """An event, an operation or a death as a mark."""
    what = entry.what
    if isinstance(what, Death):
        return Mark(entry.at, "life", "bad", what.message, f"activity/death/{entry.id}")
    if isinstance(what, Event):
        kind = "quiet" if entry.sort == "wake" else "bad" if what.kind.endswith("failed") else "plain"
        return Mark(entry.at, _lane(what.kind), kind, what.message, f"activity?show={_list(entry)}#event-{entry.id}")
    said = title(what, entry.version)
    said += "" if what.outcome == "done" else f": {what.outcome or 'running'}"
    return Mark(entry.at, _lane(what.kind), _kind(what), said, f"activity/operation/{entry.id}")


def of_point(point: Point) -> Mark:
    note = f": {point.note}" if point.note else f", {point.kind}"
    kind = "bad" if point.state is PointState.BROKEN else "good"
    return Mark(point.mark.at, "data", kind, f"Restore point {point.id}{note}", f"backups?at=point:{point.id}")


def of_run(run: Run) -> Mark:
    kind = {"ok": "good", "failed": "bad", "interrupted": "bad"}.get(run.outcome, "quiet")
    said = f"Cron {run.cron_id}: {run.outcome or 'running'}" + (f". {run.error}" if run.error else "")
    return Mark(run.started_at, "crons", kind, said, f"crons/{run.cron_id}/runs/{run.id}")


# Private


def _lane(kind: str) -> str:
    if kind in CODE:
        return "code"
    if kind in DATA or kind.startswith("backup"):
        return "data"
    return "life" if kind in LIFE else "crons" if kind.startswith("cron_") else "changes"


def _kind(operation: Operation) -> str:
    return {"done": "good", "": "plain", "failed": "bad"}.get(operation.outcome, "quiet")


def _list(entry: Entry) -> str:
    return "wakes" if entry.sort == "wake" else "events"


def _slot(period: Period, begins: float) -> Slot:
    x, width = charts.slot(period, begins)
    middle = (max(begins, period.start) + min(begins + period.width, period.end)) / 2
    return Slot(x, width, middle)


def _when(rooms: Rooms, asked: str) -> object:
    return read_when(asked, datetime.fromtimestamp(rooms.now(), UTC))


async def _time(rooms: Rooms, app: App, asked: str) -> float:
    when = _when(rooms, asked)
    if isinstance(when, At):
        return when.time
    points = await rooms.library.points.of(app.id)
    if isinstance(when, AtPoint):
        found = next((point.mark.at for point in points if point.id == when.point), None)
    else:
        version = getattr(when, "version", 0)
        made = await rooms.journal.made_live(app.id, version)
        found = next((point.mark.at for point in points if made and point.operation == made[0]), None)
    if found is None:
        raise SteadyError("not_found", f"“{app.name}” has no restore point for “{asked[:60]}”.")
    return found
