"""The page of an app's backups: whether there is one, which moments can be had, and forms that go back, fork or keep
one."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from steadyd.backup.aims import Aim
from steadyd.backup.data import Former
from steadyd.backup.ltx import Span
from steadyd.backup.report import Report
from steadyd.backup.truth import Truth
from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.moment import Point, PointKind, PointState
from steadyd.web import auth, frame
from steadyd.web.body import Allowance
from steadyd.web.changed import moment
from steadyd.web.launch import check_creation
from steadyd.web.page import Visit, form_route, page_route
from steadyd.web.rooms import Rooms
from steadyd.web.tables import owned
from steadyd.web.timeline import Timeline, drawn

POINTS_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Shown:
    """All that the page tells. `report` is None where the object store is away; `undo` is the restore point that was
    made by the last restore, where nothing was restored since."""

    truth: Truth
    report: Report | None
    points: list[Point]
    timeline: Timeline
    undo: Point | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A moment that somebody asked for, and what it means."""

    asked: str
    aim: Aim | None = None


def routes(rooms: Rooms, allowance: Allowance) -> list[Route]:
    here = "/apps/{name}/backups"
    forms = {"point": make_point, "restore": restore, "fork": fork}
    return [
        page_route(here, show_backups, rooms),
        *(form_route(f"{here}/{verb}", handler, rooms, allowance) for verb, handler in forms.items()),
    ]


async def show_backups(visit: Visit) -> Response:
    """With `at` it says what that moment means, and asks."""
    app, said = await owned(visit), visit.request.query_params
    asked = said.get("at", "").strip()
    try:
        plan = Plan(asked, await visit.rooms.backups.aims.at(app, moment(visit.rooms, asked))) if asked else None
    except SteadyError as error:
        return await _show(visit, app, Plan(asked), error)
    return await _show(visit, app, plan)


async def make_point(visit: Visit) -> Response:
    app = await owned(visit)
    note = visit.form.get("note", "").strip()
    try:
        point = await visit.rooms.backups.keeping.point(app, PointKind.MANUAL, visit.principal.name, note)
    except SteadyError as error:
        return await _show(visit, app, None, error)
    return visit.go(f"/apps/{app.name}/backups?made={point.id}#points")


async def restore(visit: Visit) -> Response:
    app, backups, asked = await owned(visit), visit.rooms.backups, visit.form.get("at", "")
    try:
        when = moment(visit.rooms, asked)
        went = await backups.restores.restore(visit.principal, app, lambda now: backups.aims.at(now, when))
    except SteadyError as error:
        return await _show(visit, app, None, error)
    said = {"restored": f"{went.aim.at:.3f}", **({"undo": went.undo} if went.undo else {})}
    return visit.go(f"/apps/{app.name}/backups?{urlencode(said)}")


async def fork(visit: Visit) -> Response:
    """Another app, with the data of a moment, or of now."""
    app, rooms, asked = await owned(visit), visit.rooms, visit.form.get("at", "").strip()
    name = visit.form.get("name", "").strip()
    try:
        when = moment(rooms, asked) if asked and asked.lower() != "now" else None
        past = Former(rooms.backups.data, await rooms.backups.aims.at(app, when)) if when else None
        if not visit.principal.is_operator:
            await check_creation(rooms, auth.client_address(visit.request))
        forked = await rooms.forks.fork(visit.principal, app, name, past)
    except SteadyError as error:
        return await _show(visit, app, Plan(asked) if asked else None, error)
    return visit.go(f"/apps/{forked.app.name}")


# Private


async def _show(visit: Visit, app: App, plan: Plan | None = None, error: SteadyError | None = None) -> Response:
    shown, away = await _gather(visit.rooms, app)
    error = error or away
    said = visit.request.query_params if visit.request.method == "GET" else {}
    done = next((point for point in shown.points if str(point.id) == said.get("undo")), None)
    made = next((point for point in shown.points if str(point.id) == said.get("made")), None)
    return await frame.show(
        visit, app, "backups", "backups.html", error, shown=shown, plan=plan, made=made,
        done=done, restored=_time(said.get("restored", "")), target=str(visit.rooms.backups.replica.whither.target)
        if visit.principal.is_operator else "",
    )  # fmt: skip


async def _gather(rooms: Rooms, app: App) -> tuple[Shown, SteadyError | None]:
    """What is told, and why not all of it is."""
    reports, report, away = rooms.backups.reports, None, None
    try:
        report = await reports.of(app)
        truth = report.truth
    except SteadyError as error:
        truth, away = await reports.truth(app), error
    points = (await rooms.library.points.of(app.id))[:POINTS_SHOWN]
    spans: dict[str, list[Span]] = {}
    for line, reachable in report.timelines if report else ():
        spans.setdefault(line.path, []).extend(reachable.spans)
    return Shown(truth, report, points, drawn(sorted(spans.items()), points, rooms.now()), _undo(points)), away


def _undo(points: list[Point]) -> Point | None:
    """What undoes the last restore: the point that it made, until data goes another way."""
    last = next((point for point in points if point.kind in (PointKind.RESTORE, PointKind.ROLLBACK)), None)
    return last if last and last.kind is PointKind.RESTORE and last.state is not PointState.BROKEN else None


def _time(text: str) -> float | None:
    try:
        at = float(text)
    except ValueError:
        return None
    return at if 0 <= at < 1e11 else None
