"""Everything that keeps apps' data, as one value, opened and closed in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from steadyd.backup import layout, litestream, registrar
from steadyd.backup.enclosure import Enclosure
from steadyd.backup.litestream import Litestream
from steadyd.backup.replication import SYNCS_AT_ONCE_MAX, Replication, boot_id
from steadyd.backup.steady import SteadyReplica
from steadyd.backup.target import Target, TargetKind
from steadyd.records.library import KEY_FILE
from steadyd.runner.folder import Place
from steadyd.runner.ground import Ground
from steadyd.runner.workshop import Workshop

LAST_SYNC_SECONDS_MAX = 3.0
LAST_OF_RECORDS_SECONDS_MAX = 1.0
"""Of the 15 s in which a stop must be done."""


@dataclass(frozen=True, slots=True)
class Whither:
    """Where replicas go, in which epoch, for how many days a moment stays reachable, and which is the records' own
    database."""

    target: Target
    epoch: int
    days: float
    database: Path


@dataclass(frozen=True, slots=True)
class Backups:
    """The rooms, for the control plane and the daemon."""

    workshop: Workshop


@asynccontextmanager
async def open_backups(workshop: Workshop) -> AsyncIterator[Backups]:
    """The rooms over `workshop`, until the end of the block: then what is not replicated yet is."""
    yield Backups(workshop)


@asynccontextmanager
async def open_replication(
    ground: Ground, whither: Whither, corner: Path, means: litestream.Means
) -> AsyncIterator[Replication]:
    """Replication of the apps' databases, until the end of the block: by then all apps are at rest, and what is not
    replicated yet is. `corner` is where its socket lies."""
    library, as_root = ground.library, means.show is not None
    apart = Litestream(_of_apps(ground, whither.target, corner, as_root), means, whither.days)
    own = Litestream(_of_records(ground, whither, corner, as_root), means, whither.days)
    place = whither.target.replica_url(layout.steady(whither.epoch))
    steady = SteadyReplica(whither.database, own, place, whither.database.with_name("trash"))

    def url(app_id: str, line: int) -> str:
        return whither.target.replica_url(layout.line(app_id, whither.epoch, line))

    slots = asyncio.Semaphore(SYNCS_AT_ONCE_MAX)
    shared = registrar.Means(apart, library.lines, library.stands, ground.trash, url, whither.epoch, slots, boot_id())
    replication = Replication(shared, lambda app_id: Place(ground.folder / app_id, None))
    replication.records = steady
    tasks = [asyncio.create_task(work) for work in (apart.run(), own.run(), replication.run(), steady.run())]
    try:
        yield replication
        await replication.close(LAST_SYNC_SECONDS_MAX)
        tasks.pop().cancel()
        await steady.close(LAST_OF_RECORDS_SECONDS_MAX)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


# Private


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
