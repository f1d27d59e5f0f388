"""Everything that keeps apps' data, as two values, opened and closed in order: what replicates, which is open before
the first app and after the last, and what brings back, which needs the rooms that change apps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from steadyd.backup import exchange, layout, litestream, registrar
from steadyd.backup.absence import Absent
from steadyd.backup.aims import Aims
from steadyd.backup.chain import Chain
from steadyd.backup.changed import Changed
from steadyd.backup.data import Data
from steadyd.backup.drills import Drills
from steadyd.backup.durability import Barriers
from steadyd.backup.enclosure import Enclosure
from steadyd.backup.files import Files, make_files
from steadyd.backup.keeping import Keeping
from steadyd.backup.litestream import Litestream
from steadyd.backup.objects import Objects
from steadyd.backup.past import Past
from steadyd.backup.pins import Keep, Pins
from steadyd.backup.remains import Remains
from steadyd.backup.replication import SYNCS_AT_ONCE_MAX, Replication, boot_id
from steadyd.backup.report import Reports
from steadyd.backup.restore import Restores
from steadyd.backup.steady import SteadyReplica
from steadyd.backup.target import Target, TargetKind
from steadyd.model import Event
from steadyd.records.library import KEY_FILE
from steadyd.runner.comparison import Comparison
from steadyd.runner.fleet import Fleet
from steadyd.runner.folder import Place
from steadyd.runner.ground import Ground
from steadyd.runner.tool import Tools
from steadyd.runner.workshop import Workshop
from steadyd.runner.writing import Writing
from steadyd.terms import DAY_SECONDS

LAST_SYNC_SECONDS_MAX = 3.0
LAST_OF_RECORDS_SECONDS_MAX = 1.0
"""Of the 15 s in which a stop must be done."""
SENDING = "sending"
"""The folder, beside the records' database, for what waits to be sent."""
BACKUP = "backup"
"""The kind of event that tells of a backup."""


@dataclass(frozen=True, slots=True)
class Whither:
    """Where backups go, in which epoch, for how many days a moment stays reachable, how many restore points, and how
    long an answer waits that waits for the replica."""

    objects: Objects
    epoch: int
    database: Path
    """The records' own, in the daemon's data folder."""
    days: float
    points: int
    replicated_seconds: float
    superseded: bool = False
    """Another host has gone on from here: nothing is written any more."""

    @property
    def target(self) -> Target:
        return self.objects.target


@dataclass(frozen=True, slots=True)
class Replica:
    """What is kept elsewhere, while it is written."""

    whither: Whither
    objects: Objects
    replication: Replication
    files: Files


@dataclass(frozen=True, slots=True)
class Backups:
    """What can be done with it, for the control plane and the daemon."""

    replica: Replica
    keeping: Keeping
    pins: Pins
    aims: Aims
    data: Data
    restores: Restores
    reports: Reports
    changed: Changed
    absent: Absent
    remains: Remains
    drills: Drills


def make_replica(ground: Ground, whither: Whither, apart: Litestream) -> Replica:
    """The rooms; nothing runs yet."""
    library, objects = ground.library, whither.objects
    files = make_files(ground, objects, whither.database.with_name(SENDING), whither.days * DAY_SECONDS)

    def url(app_id: str, line: int) -> str:
        return whither.target.replica_url(layout.line(app_id, whither.epoch, line))

    slots, records = asyncio.Semaphore(SYNCS_AT_ONCE_MAX), (library.lines, library.stands)
    means = registrar.Means(
        apart, *records, ground.trash, url, whither.epoch, slots, whither.days, objects.tally.add, boot_id()
    )
    replication = Replication(means, lambda app_id: Place(ground.folder / app_id, None))
    return Replica(whither, objects, replication, files)


@asynccontextmanager
async def open_replica(
    ground: Ground, whither: Whither, corner: Path, means: litestream.Means
) -> AsyncIterator[Replica]:
    """Until the end of the block: by then all apps are at rest, and what is not replicated yet is. `corner` is where
    the sockets of Litestream lie."""
    as_root = means.show is not None
    apart = Litestream(_of_apps(ground, whither.target, corner, as_root), means, whither.days)
    own = Litestream(_of_records(ground, whither, corner, as_root), means, whither.days)
    place = whither.target.replica_url(layout.steady(whither.epoch))
    steady = SteadyReplica(whither.database, own, place, whither.database.with_name("trash"))
    replica = make_replica(ground, whither, apart)
    replica.replication.records = steady
    files, replication = replica.files, replica.replication
    work = (files.contents.run, files.captures.run, files.run, apart.run, own.run, replication.run)
    async with _running(*(() if whither.superseded else work)):
        async with _running(*(() if whither.superseded else (steady.run,))):
            yield replica
            closing = [replication.close(LAST_SYNC_SECONDS_MAX), *([] if whither.superseded else [files.close()])]
            await asyncio.gather(*closing)
        if not whither.superseded:
            await steady.close(LAST_OF_RECORDS_SECONDS_MAX)
    files.captures.close()


def make_backups(replica: Replica, keeping: Keeping, workshop: Workshop, tools: Tools) -> Backups:
    """The rooms; nothing runs yet."""
    fleet, library, whither = workshop.fleet, workshop.fleet.ground.library, replica.whither
    chain = Chain(replica.objects, tools, fleet.ground.trash)
    keep = Keep(whither.days * DAY_SECONDS, whither.points)
    pins = Pins(chain, replica.objects, library.lines, library.points, keep, fleet.note)
    keeping.on_point = pins.pointed
    remains = Remains(library.remains, replica.objects, replica.replication)
    keeping.on_gone = remains.leave
    data = Data(chain, replica.files.captures)
    aims = Aims(library.lines, library.points, library.journal, chain, library.captures)
    restores = Restores(workshop.controller, data, replica.replication)
    drills = Drills(fleet.ground, chain, replica.replication, tools, fleet.note)
    drills.prove = replica.files.prove
    reports = Reports(library, replica.replication, replica.files, chain, drills, replica.objects.tally)
    past = Past(fleet.ground, aims.at, data)
    changed = Changed(past, Comparison(fleet.ground, tools), Writing(workshop.controller))
    absent = Absent(fleet.ground, chain, data, replica.files.contents, fleet.note)
    return Backups(replica, keeping, pins, aims, data, restores, reports, changed, absent, remains, drills)


@asynccontextmanager
async def open_backups(replica: Replica, workshop: Workshop, tools: Tools) -> AsyncIterator[Backups]:
    """What brings back, until the end of the block. From now on the fleet tells its keeper what becomes of its apps;
    none is known yet. What was replicated by an earlier daemon is looked at once, and apps of a recovered host are
    brought before anything begins with them."""
    fleet = workshop.fleet
    backups = make_backups(replica, keeper(replica, fleet), workshop, tools)
    fleet.keeper, absent = backups.keeping, backups.absent
    fleet.prepare, fleet.present = absent.preparing(fleet.prepare), absent.bring
    await absent.load()
    started = partial(replica.replication.start, fleet.ground.library.apps)
    work = (backups.pins.run, backups.drills.run, started, absent.run, backups.remains.run)
    async with _running(*(() if replica.whither.superseded else work)):
        yield backups
        backups.keeping.close()
    await absent.close()


def keeper(replica: Replica, fleet: Fleet) -> Keeping:
    """Whom the fleet tells what becomes of its apps."""

    def tell(app_id: str, said: str) -> None:
        fleet.note(app_id, Event(time.time(), BACKUP, said))

    barriers = Barriers(replica.replication, fleet.ground.folder, tell, replica.whither.replicated_seconds)
    if replica.replication.records is not None:
        barriers.records = replica.replication.records.sync
    return Keeping(fleet.ground.library.points, replica.replication, replica.files, tell, barriers)


async def settle(ground: Ground) -> None:
    """After a start, before anything else settles operations: data that a crash left half changed is whole again."""
    for app in await ground.apps.everything():
        place = ground.place(app)
        operation = await asyncio.to_thread(exchange.operation_of, place)
        if operation is not None:
            found = await ground.journal.operation(operation)
            await asyncio.to_thread(exchange.settle, place, found is not None and found.committed)


# Private


@asynccontextmanager
async def _running(*work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(begin()) for begin in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _of_apps(ground: Ground, target: Target, corner: Path, as_root: bool) -> Enclosure:
    """What the Litestream sees that opens the files of apps."""
    return Enclosure(
        name="apps",
        program=ground.starter.engine.litestream,
        corner=corner / "apps",
        folder=ground.folder,
        replica=_folder(target),
        environ=target.litestream_environment,
        as_root=as_root,
        sandboxed=ground.starter.sandboxed,
    )


def _of_records(ground: Ground, whither: Whither, corner: Path, as_root: bool) -> Enclosure:
    """What the Litestream sees that opens steady.db, and nothing of any app's."""
    data = whither.database.parent
    masked = [path for name in (KEY_FILE, "operator.token") if (path := data / name).exists()]
    hidden = [path for path in (ground.folder, data / "blobs") if path.is_dir()]
    apps = _of_apps(ground, whither.target, corner, as_root)
    return replace(
        apps, name="steady", corner=corner / "steady", folder=data, linkless=False, hidden=hidden, masked=masked
    )


def _folder(target: Target) -> Path | None:
    if target.kind is not TargetKind.FILE:
        return None
    target.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return target.path
