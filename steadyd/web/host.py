"""API calls that are about no app: health, and this host."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Literal

from starlette.responses import Response

from steadyd import __version__
from steadyd.backup.epochs import farewell
from steadyd.backup.stream import Health as ReplicaHealth
from steadyd.errors import SteadyError
from steadyd.model import AppState
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.rooms import Rooms


class DomainQuery(schema.Strict):
    domain: str


class Health(schema.Strict):
    status: Literal["ok"]


class Host(schema.Strict):
    """This machine and what runs on it. `missing` says what it lacks to confine apps fully, and what mends that."""

    name: str
    steadyd: str
    control_url: str
    app_url: str
    started_at: datetime
    apps: int
    running: int
    load_average: list[float]
    guests: bool
    missing: list[str]
    superseded: str | None
    """Why nothing runs here any more: another host recovered this one's data."""
    absent: int
    """Apps of a recovered host whose data is not here yet."""
    locked: list[str]
    """Apps that cannot start, because the key of their variables is not here."""
    targets: dict[str, list[str]]
    """App's name → what the operator opened to it."""
    backup: HostBackup


class HostBackup(schema.Strict):
    """Where backups go, and how that goes: `litestream` is the version that runs, `problem` why none does. `behind` and
    `failing` count apps; `records` is the state of the replica of all records, and `records_problem` why it fails."""

    target: str
    litestream: str
    problem: str
    behind: int
    failing: int
    records: ReplicaHealth
    records_problem: str


class HostAnswer(schema.Strict):
    host: Host


class Serves(schema.Strict):
    domain: str


async def health(call: Call) -> Response:
    if call.rooms.superseded() is not None:
        raise farewell()
    return json_answer(Health(status="ok"))


async def host(call: Call) -> Response:
    rooms = call.rooms
    apps = await rooms.apps.everything()
    targets = await rooms.targets.everything()
    locked = await rooms.library.environment.locked()
    running = sum(rooms.fleet.state(app) is AppState.RUNNING for app in apps)
    return json_answer(
        HostAnswer(
            host=Host(
                name=rooms.host_name,
                steadyd=__version__,
                control_url=rooms.urls.control,
                app_url=rooms.urls.app("NAME"),
                started_at=shown.moment(rooms.started_at),
                apps=len(apps),
                running=running,
                load_average=[round(load, 2) for load in os.getloadavg()],
                guests=rooms.guests,
                missing=rooms.lacking(),
                absent=rooms.backups.absent.count,
                superseded=gone.message if (gone := rooms.superseded()) else None,
                locked=[app.name for app in apps if app.id in locked],
                backup=_backup(rooms),
                targets={app.name: list(map(str, targets[app.id])) for app in apps if app.id in targets},
            )
        )
    )


def _backup(rooms: Rooms) -> HostBackup:
    replica = rooms.backups.replica
    whole = replica.replication.whole()
    return HostBackup(
        target=str(replica.whither.target),
        litestream=whole.version,
        problem=whole.problem,
        behind=whole.behind,
        failing=whole.failing,
        records=whole.records,
        records_problem=whole.records_problem,
    )


async def serves(call: Call) -> Response:
    domain = call.query(DomainQuery).domain.lower().removesuffix(".")
    if not await _serves(call, domain):
        raise SteadyError("not_found", "This host serves no such domain.", {"domain": domain[:255]})
    return json_answer(Serves(domain=domain))


async def _serves(call: Call, domain: str) -> bool:
    urls = call.rooms.urls
    if domain == urls.control_domain or call.rooms.previews.serves(domain):
        return True
    suffix = f".{urls.app_domain}"
    if domain.endswith(suffix):
        name = domain.removesuffix(suffix)
        app = await call.rooms.apps.by_name(name)
        if app is None:
            return name in await call.rooms.names.redirects(call.rooms.now())
        return app.deleted_at is None
    return "." in domain and domain in await call.rooms.names.hostnames()


ENDPOINTS = (
    Endpoint(
        method="GET", path="/healthz", handler=health, access=Access.ANYONE, answers=json_of(Health),
        summary="200 while requests are answered.", errors=("superseded",),
    ),
    Endpoint(
        method="GET", path="/api/host", handler=host, access=Access.OPERATOR, answers=json_of(HostAnswer),
        summary="This machine and what runs on it.", errors=("unauthorized", "not_found"),
    ),
    Endpoint(
        method="GET", path="/api/host/serves", handler=serves, access=Access.ANYONE, query=DomainQuery,
        answers=json_of(Serves), errors=("not_found", "invalid"),
        summary="200 if `domain` is served here, for another proxy's on-demand certificates.",
    ),
)  # fmt: skip
