"""API calls about an app's crons: what there is, when it fires next, how it went, and a run by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Literal, cast

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from steadyd import model
from steadyd.crontab import CRONS_MAX, KEYS, read_cron
from steadyd.errors import SteadyError
from steadyd.model import App, Version
from steadyd.records.crons import Job, Run, enabling, putting, removing
from steadyd.runner.agenda import upcoming
from steadyd.runner.errand import CRON_KEY
from steadyd.runner.start import Plan
from steadyd.store import Write
from steadyd.web import schema, shown
from steadyd.web.answers import NO_STORE, json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of

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
    found = await _find(call)
    if not said and body.enabled is not UNSET:
        if found is None:
            raise _no_such_cron(call)
        await _change(call, enabling(call.app.id, cron_id, enabled))
    elif found is not None and not found.made:
        way = "Change it there and deploy; PUT {“enabled”: false} turns it off. An id of your own is free for yours."
        raise SteadyError("conflict", f"“{cron_id}” is said by the live version's own file. {way}")
    else:
        cron = read_cron({**said, "id": cron_id})
        await _change(call, putting(call.app.id, cron, enabled, CRONS_MAX), cron)
    found = await _find(call)
    if found is None:
        raise _no_such_cron(call)
    return json_answer(CronAnswer(cron=await _cron(call, found)))


async def delete_cron(call: Call) -> Response:
    found = await _find(call)
    if found is None:
        raise _no_such_cron(call)
    if not found.made:
        said = f"“{found.cron.id}” is said by the live version's own file. PUT {{“enabled”: false}} turns it off."
        raise SteadyError("conflict", said)
    await _change(call, removing(*found.key))
    return Response(status_code=204, headers=NO_STORE)


async def run_cron(call: Call) -> Response:
    """By hand: answered when the run is over."""
    await call.body(schema.Nothing)
    found = await _find(call)
    if found is None:
        raise _no_such_cron(call)
    return json_answer(await _told(call, await call.rooms.crons.run_now(found)))


async def list_cron_runs(call: Call) -> Response:
    """Those too of one that a version's file said and no longer does."""
    found = await call.rooms.library.crons.runs(call.app.id, str(call.request.path_params["id"]))
    if not found and await _find(call) is None:
        raise _no_such_cron(call)
    return json_answer(RunsAnswer(runs=[_run(made) for made in found]))


async def show_cron_run(call: Call) -> Response:
    number = str(call.request.path_params["run"])
    run_id = int(number) if number.isascii() and number.isdigit() and len(number) < 18 else 0
    found = await call.rooms.library.crons.run(call.app.id, str(call.request.path_params["id"]), run_id)
    if found is None:
        raise SteadyError("not_found", f"“{call.request.path_params['id']}” has no run {number[:20]}.")
    return json_answer(await _told(call, found))


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


async def _find(call: Call) -> Job | None:
    jobs = await call.rooms.library.crons.of(call.app.id)
    return next((job for job in jobs if job.cron.id == call.request.path_params["id"]), None)


async def _change(call: Call, write: Write, new: model.Cron | None = None) -> None:
    """Make it true. An instance that `new` could not ask gives way to one that it can, which must start."""
    rooms, app = call.rooms, call.app

    async def plan(app: App, version: Version) -> Plan:
        made = await rooms.fleet.ground.plan(app, version)
        environ = {**made.environ, CRON_KEY: await rooms.library.crons.key(app.id)}
        return replace(made, environ=environ, calls=made.calls or (new is not None and bool(new.export)))

    needs = await rooms.library.crons.needs(app.id, app.version)
    if new is not None and (not needs.key or (new.export and not needs.calls)):
        await rooms.controller.change(call.principal, app, KIND, plan, write)
    else:
        await rooms.controller.record(call.principal, app, KIND, write)
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
    end = (made.finished_at or call.rooms.now()) + LOG_SECONDS_AFTER
    lines = await call.rooms.logs.tail(made.app_id, LINES_MAX, made.started_at, until=end)
    kept = [shown.log_line(line) for line in lines if line.version == made.version]
    return RunAnswer(run=_run(made), logs=kept)


def _no_such_cron(call: Call) -> SteadyError:
    said = str(call.request.path_params["id"])[:60].encode("utf-8", "replace").decode()
    return SteadyError("not_found", f"“{call.app.name}” has no cron “{said}”.")
