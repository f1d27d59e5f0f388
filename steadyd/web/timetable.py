"""The page of an app's crons: each in words, when it fires next, how it went, and forms that run, add, change, turn off
and remove."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.records.crons import Job, Run
from steadyd.runner.agenda import upcoming
from steadyd.web import crons, frame
from steadyd.web.body import Allowance
from steadyd.web.page import Visit, form_route, page_route
from steadyd.web.recurrence import words
from steadyd.web.rooms import Rooms
from steadyd.web.tables import owned

RUNS_SHOWN = 10
NEXT_SHOWN = 3
FIELDS = ("id", "schedule", "timezone", "path", "export", "method")
DONE: Mapping[str, str] = {
    "made": "It is in effect.",
    "on": "It is on again.",
    "off": "It is off: nothing fires until you turn it on.",
    "removed": "It is removed, with its runs.",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One cron as the page shows it."""

    job: Job
    words: str
    next: list[float]
    runs: list[Run]


def routes(rooms: Rooms, allowance: Allowance) -> list[Route]:
    here = "/apps/{name}/crons"
    forms = {"": put, "/{id}/run": run, "/{id}/turn": turn, "/{id}/remove": remove}
    return [
        page_route(here, show, rooms),
        page_route(f"{here}/{{id}}/runs/{{run}}", show_run, rooms),
        *(form_route(f"{here}{path}", handler, rooms, allowance) for path, handler in forms.items()),
    ]


async def show(visit: Visit) -> Response:
    """With `change`, the form is about that one."""
    app, said = await owned(visit), visit.request.query_params
    job = await crons.find(visit.rooms, app, said["change"]) if "change" in said else None
    typed = {name: str(getattr(job.cron, name)) for name in FIELDS} if job is not None and job.made else {}
    return await _show(visit, app, typed=typed)


async def show_run(visit: Visit) -> Response:
    """One run, with what the app's version said meanwhile."""
    app, said = await owned(visit), visit.request.path_params
    made = await crons.find_run(visit.rooms, app, str(said["id"]), str(said["run"]))
    lines = await crons.lines(visit.rooms, made)
    return await frame.show(visit, app, "crons", "cronrun.html", run=made, lines=lines)


async def put(visit: Visit) -> Response:
    """Make or change one of the owner's. What is refused is on the page again as it was typed."""
    app = await owned(visit)
    typed = {name: visit.form.get(name, "").strip() for name in FIELDS}
    said = {name: text for name, text in typed.items() if text and not (name == "method" and typed["export"])}
    try:
        made = await crons.put(visit.rooms, visit.principal, app, said)
    except SteadyError as error:
        return await _show(visit, app, error, typed)
    return _back(visit, app, made.cron.id, done="made")


async def run(visit: Visit) -> Response:
    """Once, now. The answer comes when the run is over."""
    app = await owned(visit)
    try:
        made = await visit.rooms.crons.run_now(await _job(visit, app))
    except SteadyError as error:
        return await _show(visit, app, error)
    return _back(visit, app, made.cron_id, ran=str(made.id))


async def turn(visit: Visit) -> Response:
    app, on = await owned(visit), visit.form.get("on") == "1"
    try:
        job = await _job(visit, app)
        await crons.turn(visit.rooms, visit.principal, app, job, on)
    except SteadyError as error:
        return await _show(visit, app, error)
    return _back(visit, app, job.cron.id, done="on" if on else "off")


async def remove(visit: Visit) -> Response:
    app = await owned(visit)
    try:
        await crons.remove(visit.rooms, visit.principal, app, await _job(visit, app))
    except SteadyError as error:
        return await _show(visit, app, error)
    return visit.go(f"/apps/{app.name}/crons?done=removed")


# Private


async def _job(visit: Visit, app: App) -> Job:
    cron_id = str(visit.request.path_params["id"])
    job = await crons.find(visit.rooms, app, cron_id)
    if job is None:
        raise crons.no_such_cron(app, cron_id)
    return job


def _back(visit: Visit, app: App, cron_id: str, **said: str) -> Response:
    query = "&".join(f"{name}={quote(value)}" for name, value in said.items())
    return visit.go(f"/apps/{app.name}/crons?{query}#cron-{quote(cron_id)}")


async def _show(
    visit: Visit, app: App, error: SteadyError | None = None, typed: Mapping[str, str] | None = None
) -> Response:
    rooms, said = visit.rooms, visit.request.query_params
    lines = []
    for job in await rooms.library.crons.of(app.id):
        past = await rooms.library.crons.runs(*job.key, RUNS_SHOWN)
        lines.append(Line(job, words(job.cron.schedule), upcoming(job, rooms.now(), NEXT_SHOWN), past))
    return await frame.show(
        visit, app, "crons", "crons.html", error, lines=lines, typed=typed or {}, ran=said.get("ran", ""),
        done=DONE.get(said.get("done", ""), "") if error is None else "",
    )  # fmt: skip
