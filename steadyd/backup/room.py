"""Everything that keeps apps' data, as one value, opened and closed in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from steadyd.backup import layout, litestream, registrar
from steadyd.backup.enclosure import Enclosure
from steadyd.backup.litestream import Litestream
from steadyd.backup.replication import SYNCS_AT_ONCE_MAX, Replication, boot_id
from steadyd.backup.target import Target, TargetKind
from steadyd.runner.folder import Place
from steadyd.runner.ground import Ground
from steadyd.runner.workshop import Workshop

LAST_SYNC_SECONDS_MAX = 3.0
"""Of the 15 s in which a stop must be done."""


@dataclass(frozen=True, slots=True)
class Whither:
    """Where replicas go, in which epoch, and for how many days a moment stays reachable."""

    target: Target
    epoch: int
    days: float


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
    library = ground.library
    apart = Litestream(_enclosure(ground, whither.target, corner, means.show is not None), means, whither.days)

    def url(app_id: str, line: int) -> str:
        return whither.target.replica_url(layout.line(app_id, whither.epoch, line))

    slots = asyncio.Semaphore(SYNCS_AT_ONCE_MAX)
    shared = registrar.Means(apart, library.lines, library.stands, ground.trash, url, whither.epoch, slots, boot_id())
    replication = Replication(shared, lambda app_id: Place(ground.folder / app_id, None))
    tasks = [asyncio.create_task(work) for work in (apart.run(), replication.run())]
    try:
        yield replication
        await replication.close(LAST_SYNC_SECONDS_MAX)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


# Private


def _enclosure(ground: Ground, target: Target, corner: Path, as_root: bool) -> Enclosure:
    replica = None
    if target.kind is TargetKind.FILE:
        replica = target.path
        replica.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Enclosure(
        name="apps",
        program=ground.starter.engine.litestream,
        corner=corner,
        folder=ground.folder,
        replica=replica,
        environ=target.litestream_environment,
        as_root=as_root,
        sandboxed=ground.starter.sandboxed,
    )
