"""API calls that are about no app: health, and this host."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime
from typing import Literal

from starlette.responses import Response

from steadyd import __version__
from steadyd.backup.epochs import farewell
from steadyd.backup.stream import Health as ReplicaHealth
from steadyd.errors import SteadyError
from steadyd.model import App, AppState
from steadyd.runner.burden import Burden, look
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.rooms import Rooms

FULL_SHARE = 0.9
SHORT_SHARE = 0.1
"""Above the one and below the other something is said of it."""


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
    bun: str
    states: dict[str, int]
    """How many apps are in each state."""
    load: HostLoad
    red_backups: dict[str, str]
    """App's name → why its backup is none now."""
    problems: list[str]
    """What is wrong, a sentence each. `steadyd doctor` looks deeper."""


class HostLoad(schema.Strict):
    """Bytes. `stalled` is in how many percent of the last ten seconds somebody waited for `cpu`, `memory` or `io`:
    empty where the kernel does not tell."""

    memory_bytes: int
    memory_available_bytes: int
    cpus: int
    disk_bytes: int
    disk_free_bytes: int
    stalled: dict[str, float]


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
    return json_answer(HostAnswer(host=await gather(call.rooms, await call.rooms.apps.everything())))


async def gather(rooms: Rooms, apps: list[App]) -> Host:
    """All that is known of this machine. `apps` are all that there are."""
    targets = await rooms.targets.everything()
    locked = await rooms.library.environment.locked()
    burden = await asyncio.to_thread(look, rooms.fleet.ground.folder)
    red = await rooms.backups.reports.red(apps)
    states = Counter(str(rooms.fleet.state(app)) for app in apps)
    told = Host(
        name=rooms.host_name,
        steadyd=__version__,
        control_url=rooms.urls.control,
        app_url=rooms.urls.app("NAME"),
        started_at=shown.moment(rooms.started_at),
        apps=len(apps),
        running=states[AppState.RUNNING],
        load_average=[round(load, 2) for load in burden.load],
        guests=rooms.guests,
        missing=rooms.lacking(),
        absent=rooms.backups.absent.count,
        superseded=gone.message if (gone := rooms.superseded()) else None,
        locked=[app.name for app in apps if app.id in locked],
        backup=_backup(rooms),
        targets={app.name: list(map(str, targets[app.id])) for app in apps if app.id in targets},
        bun=rooms.fleet.ground.starter.engine.bun_version,
        states=dict(states),
        load=_load(burden),
        red_backups={app.name: red[app.id].message for app in apps if app.id in red},
        problems=[],
    )
    told.problems = problems(told)
    return told


def problems(host: Host) -> list[str]:
    """What is wrong with a host, as sentences."""
    load, backup = host.load, host.backup
    used = 1 - load.disk_free_bytes / max(1, load.disk_bytes)
    free = load.memory_available_bytes / max(1, load.memory_bytes)
    locked, red = len(host.locked), len(host.red_backups)
    said = (
        (used >= FULL_SHARE, f"{used:.0%} of the disk are used. When it is full, no app can write."),
        (free <= SHORT_SHARE, f"{free:.0%} of the memory are available. Idle apps are put to sleep early."),
        (locked, f"{locked} apps cannot start: the key of their variables is not here."),
        (host.absent, f"{host.absent} apps wait for their data, which comes from the backup target."),
        (backup.problem, f"Backups: {backup.problem}"),
        (backup.records_problem, f"The replica of all records fails: {backup.records_problem}"),
        (red, f"{red} {'app has' if red == 1 else 'apps have'} a backup that is none now."),
    )
    return [*host.missing, *(sentence for wrong, sentence in said if wrong)]


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


def _load(burden: Burden) -> HostLoad:
    return HostLoad(
        memory_bytes=burden.memory_bytes,
        memory_available_bytes=burden.memory_available_bytes,
        cpus=burden.cpus,
        disk_bytes=burden.disk_bytes,
        disk_free_bytes=burden.disk_free_bytes,
        stalled=dict(burden.stalled),
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
