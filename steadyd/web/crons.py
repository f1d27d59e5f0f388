"""API calls about an app's crons: what there is, when it fires next, how it went, and a run by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal, cast

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from steadyd import model
from steadyd.crontab import CRONS_MAX, KEYS, read_cron
from steadyd.errors import SteadyError
from steadyd.model import App, Principal, Version
from steadyd.records.crons import Job, Run, enabling, putting, removing
from steadyd.runner.agenda import upcoming
from steadyd.runner.errand import CRON_KEY
from steadyd.runner.logs import LogLine
from steadyd.runner.start import Plan
from steadyd.store import Write
from steadyd.web import schema, shown
from steadyd.web.answers import NO_STORE, json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.rooms import Rooms

Outcome = Literal["running", "ok", "failed", "interrupted", "skipped", "missed"]

NEXT = 3
"""Moments to come that are told of each."""
RUNS_TOLD = 10
"""Past runs that are told of each, in the list of all."""
LINES_MAX = 1_000
"""Of the log, for one run."""
LOG_SECONDS_AFTER = 0.1
"""What an app said at a run's end is in its log so much later."""


class CronBody(schema.Strict):
    """A path or an exported function; with neither, the export `scheduled`. `enabled` alone turns one on or off."""

    schedule: str | UnsetType = UNSET
    timezone: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    export: str | UnsetType = UNSET
    method: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class CronRun(schema.Strict):
    """One attempt, or moments that were not run: `missed` from `scheduled_at` on, `count` of them."""

    id: int
    cron: str
    scheduled_at: datetime
    outcome: Outcome
    attempt: int
    by_hand: bool
    started_at: datetime
    finished_at: datetime | None
    version: int
    status: int
    ms: float
    count: int
    error: str


class Cron(schema.Strict):
    """`source` is `file` where the live version says it, `api` where its owner does. `runs` are the newest, first."""

    id: str
    schedule: str
    timezone: str
    path: str
    export: str
    method: str
    source: Literal["file", "api"]
    enabled: bool
    next: list[datetime]
    runs: list[CronRun]


class CronsAnswer(schema.Strict):
    crons: list[Cron]


class CronAnswer(schema.Strict):
    cron: Cron


class RunsAnswer(schema.Strict):
    runs: list[CronRun]


class RunAnswer(schema.Strict):
    """`logs` is what its version said from its start to its end."""

    run: CronRun
    logs: list[schema.LogLine]


async def list_crons(call: Call) -> Response:
    jobs = await call.rooms.library.crons.of(call.app.id)
    return json_answer(CronsAnswer(crons=[await _cron(call, job) for job in jobs]))


async def put_cron(call: Call) -> Response:
    """Make, change, or turn on or off."""
    body = await call.body(CronBody)
    said = {key: value for key, value in msgspec.structs.asdict(body).items() if value is not UNSET and key in KEYS}
    cron_id, enabled = str(call.request.path_params["id"]), body.enabled is not False
    if not said and body.enabled is not UNSET:
        found = await turn(call.rooms, call.principal, call.app, await _found(call), enabled)
    else:
        found = await put(call.rooms, call.principal, call.app, {**said, "id": cron_id}, enabled)
    return json_answer(CronAnswer(cron=await _cron(call, found)))


async def delete_cron(call: Call) -> Response:
    await remove(call.rooms, call.principal, call.app, await _found(call))
    return Response(status_code=204, headers=NO_STORE)


async def run_cron(call: Call) -> Response:
    """By hand: answered when the run is over."""
    await call.body(schema.Nothing)
    return json_answer(await _told(call, await call.rooms.crons.run_now(await _found(call))))


async def list_cron_runs(call: Call) -> Response:
    """Those too of one that a version's file said and no longer does."""
    found = await call.rooms.library.crons.runs(call.app.id, str(call.request.path_params["id"]))
    if not found:
        await _found(call)
    return json_answer(RunsAnswer(runs=[_run(made) for made in found]))


async def show_cron_run(call: Call) -> Response:
    said = call.request.path_params
    return json_answer(await _told(call, await find_run(call.rooms, call.app, str(said["id"]), str(said["run"]))))


async def find(rooms: Rooms, app: App, cron_id: str) -> Job | None:
    jobs = await rooms.library.crons.of(app.id)
    return next((job for job in jobs if job.cron.id == cron_id), None)


async def find_run(rooms: Rooms, app: App, cron_id: str, number: str) -> Run:
    """A run by its number as somebody wrote it.

    Raises:
        SteadyError: `not_found`.
    """
    run_id = int(number) if number.isascii() and number.isdigit() and len(number) < 18 else 0
    found = await rooms.library.crons.run(app.id, cron_id, run_id)
    if found is None:
        raise SteadyError("not_found", f"“{_clean(cron_id)}” has no run {number[:20]}.")
    return found


async def lines(rooms: Rooms, made: Run) -> list[LogLine]:
    """What its version said from its start to its end."""
    end = (made.finished_at or rooms.now()) + LOG_SECONDS_AFTER
    found = await rooms.logs.tail(made.app_id, LINES_MAX, made.started_at, until=end)
    return [line for line in found if line.version == made.version]


async def put(rooms: Rooms, by: Principal, app: App, said: Mapping[str, str], enabled: bool = True) -> Job:
    """Make one of the owner's, or change it.

    Raises:
        SteadyError: `invalid`, `conflict` where the live version's file says one of that id, or as a restart.
    """
    cron = read_cron(dict(said))
    found = await find(rooms, app, cron.id)
    if found is not None and not found.made:
        way = "Change it there and deploy; PUT {“enabled”: false} turns it off. An id of your own is free for yours."
        raise SteadyError("conflict", f"“{cron.id}” is said by the live version's own file. {way}")
    await _change(rooms, by, app, putting(app.id, cron, enabled, CRONS_MAX), cron)
    return await _still(rooms, app, cron.id)


async def turn(rooms: Rooms, by: Principal, app: App, job: Job, enabled: bool) -> Job:
    """On or off, whoever said it."""
    await _change(rooms, by, app, enabling(app.id, job.cron.id, enabled))
    return await _still(rooms, app, job.cron.id)


async def remove(rooms: Rooms, by: Principal, app: App, job: Job) -> None:
    """Forget one of the owner's, with its runs.

    Raises:
        SteadyError: `conflict` where the live version's file says it.
    """
    if not job.made:
        said = f"“{job.cron.id}” is said by the live version's own file. PUT {{“enabled”: false}} turns it off."
        raise SteadyError("conflict", said)
    await _change(rooms, by, app, removing(*job.key))


def no_such_cron(app: App, cron_id: str) -> SteadyError:
    return SteadyError("not_found", f"“{app.name}” has no cron “{_clean(cron_id)}”.")


KIND = "crons"
ALL = "/api/apps/{name}/crons"
ONE = f"{ALL}/{{id}}"
KNOWN = ("unauthorized", "not_found", "conflict")
CHANGES = tuple("bad_request invalid unsupported_media_type too_large disk_full overloaded shutting_down".split())
ENDPOINTS = (
    Endpoint(
        method="GET", path=ALL, handler=list_crons, access=Access.OWNER, answers=json_of(CronsAnswer), errors=KNOWN,
        summary="The app's crons, when each fires next, and how it went.",
    ),
    Endpoint(
        method="PUT", path=ONE, handler=put_cron, access=Access.OWNER, body=CronBody, answers=json_of(CronAnswer),
        summary="Make or change one that stays across versions; `enabled` alone turns any on or off.",
        errors=(*KNOWN, *CHANGES, "deploy_failed", "cancelled"),
    ),
    Endpoint(
        method="DELETE", path=ONE, handler=delete_cron, access=Access.OWNER, status=204, answers={},
        summary="Delete one that the API made, with its runs.", errors=(*KNOWN, *CHANGES),
    ),
    Endpoint(
        method="POST", path=f"{ONE}/run", handler=run_cron, access=Access.OWNER, body=schema.Nothing,
        answers=json_of(RunAnswer), errors=(*KNOWN, *CHANGES),
        summary="Run it now, whatever its schedule; answers with the run when it is over.",
    ),
    Endpoint(
        method="GET", path=f"{ONE}/runs", handler=list_cron_runs, access=Access.OWNER, answers=json_of(RunsAnswer),
        summary="The last hundred runs of one, newest first.", errors=KNOWN,
    ),
    Endpoint(
        method="GET", path=f"{ONE}/runs/{{run}}", handler=show_cron_run, access=Access.OWNER,
        summary="One run, with what the app's version said meanwhile.", answers=json_of(RunAnswer), errors=KNOWN,
    ),
)  # fmt: skip


# Private


async def _found(call: Call) -> Job:
    cron_id = str(call.request.path_params["id"])
    found = await find(call.rooms, call.app, cron_id)
    if found is None:
        raise no_such_cron(call.app, cron_id)
    return found


async def _still(rooms: Rooms, app: App, cron_id: str) -> Job:
    """As it is now; somebody may have removed it in this moment."""
    found = await find(rooms, app, cron_id)
    if found is None:
        raise no_such_cron(app, cron_id)
    return found


async def _change(rooms: Rooms, by: Principal, app: App, write: Write, new: model.Cron | None = None) -> None:
    """Make it true. An instance that `new` could not ask gives way to one that it can, which must start."""

    async def plan(app: App, version: Version) -> Plan:
        made = await rooms.fleet.ground.plan(app, version)
        environ = {**made.environ, CRON_KEY: await rooms.library.crons.key(app.id)}
        return replace(made, environ=environ, calls=made.calls or (new is not None and bool(new.export)))

    needs = await rooms.library.crons.needs(app.id, app.version)
    if new is not None and (not needs.key or (new.export and not needs.calls)):
        await rooms.controller.change(by, app, KIND, plan, write)
    else:
        await rooms.controller.record(by, app, KIND, write)
    rooms.crons.poke()


async def _cron(call: Call, job: Job) -> Cron:
    past = await call.rooms.library.crons.runs(*job.key, RUNS_TOLD)
    cron = job.cron
    return Cron(
        id=cron.id,
        schedule=cron.schedule,
        timezone=cron.timezone,
        path=cron.path,
        export=cron.export,
        method="" if cron.export else cron.method,
        source="api" if job.made else "file",
        enabled=job.enabled,
        next=[shown.moment(at) for at in upcoming(job, call.rooms.now(), NEXT)],
        runs=[_run(made) for made in past],
    )


def _run(made: Run) -> CronRun:
    return CronRun(
        id=made.id,
        cron=made.cron_id,
        scheduled_at=shown.moment(made.scheduled_at),
        outcome=cast(Outcome, made.outcome or "running"),
        attempt=made.attempt,
        by_hand=made.by_hand,
        started_at=shown.moment(made.started_at),
        finished_at=None if made.finished_at is None else shown.moment(made.finished_at),
        version=made.version,
        status=made.status,
        ms=made.ms,
        count=made.count,
        error=made.error,
    )


async def _told(call: Call, made: Run) -> RunAnswer:
    return RunAnswer(run=_run(made), logs=[shown.log_line(line) for line in await lines(call.rooms, made)])


def _clean(text: str) -> str:
    return text[:60].encode("utf-8", "replace").decode()
