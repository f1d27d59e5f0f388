"""From our nouns to what the API shows of them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET

from steadyd import model
from steadyd.records.requests import Request
from steadyd.runner.logs import LogLine
from steadyd.web import schema
from steadyd.web.rooms import Rooms


def moment(seconds: float) -> datetime:
    """UTC, to the millisecond."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def moment_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else moment(seconds)


def state(rooms: Rooms, app: model.App) -> model.AppState:
    """What the app does now; a deleted one is deleted whatever its last process did."""
    return model.AppState.DELETED if app.deleted_at is not None else rooms.fleet.state(app)


async def me(rooms: Rooms, principal: model.Principal) -> schema.MeAnswer:
    """Somebody as they see themselves."""
    account = await rooms.library.accounts.of(principal.id) if principal.kind is model.Kind.USER else None
    return schema.MeAnswer(
        user=schema.Me(
            name=principal.name,
            kind=principal.kind.value,
            created_at=moment(principal.created_at),
            notify=principal.notify,
            email=clean(account.email) if account else UNSET,
        )
    )


async def app(rooms: Rooms, app: model.App) -> schema.App:
    """The owner's view."""
    last = await rooms.fleet.last_death(app.id)
    limits, usage = app.limits, rooms.fleet.usage(app.id)
    return schema.App(
        name=app.name,
        url=rooms.url_of(app),
        state=state(rooms, app),
        version=app.version,
        owner=app.owner_name,
        temporary=app.temporary,
        expires_at=None if app.expires_at is None else moment(app.expires_at),
        created_at=moment(app.created_at),
        updated_at=moment(app.updated_at),
        settings=schema.Settings(
            visibility=app.settings.visibility,
            idle_seconds=app.settings.idle_seconds,
            network=app.settings.network,
            notify=app.settings.notify,
            trial=trial(app.settings.trial),
            auto_rollback=app.settings.auto_rollback,
            durability=app.settings.durability,
        ),
        limits=schema.Limits(
            memory_bytes=limits.memory_bytes,
            cpus=limits.cpus,
            processes=limits.processes,
            disk_bytes=limits.disk_bytes,
        ),
        usage=schema.Usage(
            memory_bytes=usage.memory_bytes, cpu_seconds=round(usage.cpu_seconds, 3), requests=usage.requests
        ),
        deleted_at=UNSET if app.deleted_at is None else moment(app.deleted_at),
        kept_until=UNSET if app.deleted_at is None else moment_or_none(rooms.apps.terms.collected_at(app)),
        suspended=app.suspended or UNSET,
        last_death=UNSET if last is None else death(last),
    )


def trial(trial: model.Trial) -> schema.Trial:
    return schema.Trial(network=trial.network, health=trial.health or False, mode=trial.mode, test=trial.test)


def seen_app(rooms: Rooms, app: model.App) -> schema.SeenApp:
    """Everybody else's view."""
    return schema.SeenApp(name=app.name, url=rooms.urls.app(app.name), state=state(rooms, app))


def deploy(deploy: model.Deploy) -> schema.Deploy:
    finished = deploy.finished_at
    return schema.Deploy(
        id=deploy.id,
        version=deploy.version,
        kind=deploy.kind,
        status=deploy.status,  # type: ignore[arg-type]  # the table has a CHECK on it
        steps=[step(done) for done in deploy.steps],
        started_at=moment(deploy.started_at),
        finished_at=None if finished is None else moment(finished),
        ms=None if finished is None else round((finished - deploy.started_at) * 1000, 1),
        reason=deploy.reason,
    )


def step(done: dict[str, Any]) -> schema.Step:
    """A step that ended."""
    return schema.Step(
        name=str(done.get("name", "")),
        ms=round(float(done.get("ms", 0.0)), 3),
        ok=bool(done.get("ok", True)),
        hosts=[clean(host) for host in done["hosts"]] if "hosts" in done else UNSET,
        differences=[clean(said) for said in done["differences"]] if "differences" in done else UNSET,
    )


def log_line(line: LogLine) -> schema.LogLine:
    return schema.LogLine(
        id=line.place or UNSET,
        at=moment(line.at),
        version=line.version,
        source=line.source,
        text=clean(line.text),
    )


def request(request: Request) -> schema.Request:
    return schema.Request(
        id=request.id,
        at=moment(request.at),
        request_id=request.request_id,
        method=clean(request.method),
        path=clean(request.path),
        status=request.status,
        error=request.error,
        client=request.client,
        request_bytes=request.request_bytes,
        response_bytes=request.response_bytes,
        gate_us=request.gate_us,
        app_us=request.app_us,
        total_us=request.total_us,
        version=request.version,
    )


def event(event: model.Event) -> schema.Event:
    return schema.Event(at=moment(event.at), kind=event.kind, message=clean(event.message), details=event.details)


def death(death: model.Death) -> schema.Death:
    return schema.Death(
        at=moment(death.at),
        version=death.version,
        cause=death.cause,  # type: ignore[arg-type]  # the runner's own words
        exit_code=death.exit_code,
        signal=death.signal,
        memory_peak_bytes=death.memory_peak_bytes,
        memory_limit_bytes=death.memory_limit_bytes,
        uptime_seconds=round(death.uptime_seconds, 3),
        in_flight=death.in_flight,
        log_tail=[clean(line) for line in death.log_tail],
        message=clean(death.message),
        requests=[schema.Asked(method=clean(asked.method), path=clean(asked.path)) for asked in death.requests],
        reached=schema.Reached(**asdict(death.reached)),
    )


def clean(text: str) -> str:
    """Text that UTF-8 can carry: a lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace").decode()
