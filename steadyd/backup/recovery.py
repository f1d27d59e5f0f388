"""A lost host, from its backup target: first the next epoch, then the records. The apps' data follows (`absence`).

What is done is visible in two places that a crash leaves as they are: the epoch's object, and steady.db, which appears
whole. So whoever starts again goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from steadyd.backup import layout, ltx
from steadyd.backup.arrival import Arrival
from steadyd.backup.chain import Chain
from steadyd.backup.epochs import Epoch
from steadyd.errors import SteadyError
from steadyd.moment import Line
from steadyd.records import absences, epochs
from steadyd.records.schema import STEADY
from steadyd.runner.folder import Place
from steadyd.runner.ground import PLUMBER_UID
from steadyd.runner.tool import Tools
from steadyd.runner.trash import Trash
from steadyd.store import Database, one

FOLDER = "recovery"
"""In the data folder, while it lasts."""
MOMENTS_MAX = 3
"""Of the records: where the newest is damaged, one before it does."""

logger = logging.getLogger("steadyd.backup")


@dataclass(frozen=True, slots=True)
class Recovered:
    """What came back: under which epoch this host goes on, from which one, as of which moment, and how much it is."""

    epoch: int
    source: int
    at: float
    apps: int
    versions: int
    people: int

    def __str__(self) -> str:
        at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.at))
        return (
            f"recovered epoch {self.source} as epoch {self.epoch}: {self.apps} apps, {self.versions} versions and "
            f"{self.people} people, as of {at}"
        )


async def recover(arrival: Arrival, database: Path, tools: Tools) -> Recovered | None:
    """Bring steady.db back where there is none and the target holds a host's; None where there is nothing to do. An
    existing one is never touched.

    Raises:
        SteadyError: `replica_away` or `replica_refused` where the target cannot be asked: an empty host may be one that
            is to be recovered; `cannot_start` where it holds an epoch of another host and no records; `backup_broken`.
    """
    if await asyncio.to_thread(database.exists):
        return None
    try:
        newest = await arrival.epochs.newest()
    except SteadyError as error:
        raise _unasked(error) from None
    if newest is None:
        return None
    folder = database.parent / FOLDER
    place = Place(folder, PLUMBER_UID if os.geteuid() == 0 else None)
    await asyncio.to_thread(_fresh, folder)
    chain = Chain(arrival.objects, tools, Trash(database.parent / "trash", tools.spawn))
    source = await _source(chain, newest)
    if source is None:
        if arrival.epochs.is_ours(newest):
            return None  # the first start was interrupted before anything was replicated
        raise _nothing(str(arrival.objects.target), newest)
    if arrival.epochs.is_ours(newest) and newest.recovers and newest.number > source.epoch:
        arrival.epochs.number = newest.number
    else:
        await arrival.epochs.claim(newest.number, time.time(), source.epoch)
    part = folder / "steady.db"
    at = await _restore(chain, source, part, place)
    recovered = await _settled(part, arrival, source.epoch, at)
    await asyncio.to_thread(_appear, part, database)
    return recovered


# Private


async def _source(chain: Chain, newest: Epoch) -> Line | None:
    """The line of the records in the newest epoch that has one."""
    for number in range(newest.number, 0, -1):
        line = Line(0, "", "steady.db", number, 0.0)
        if ltx.moments(await chain.pieces(line)):
            return line
    return None


async def _restore(chain: Chain, line: Line, target: Path, place: Place) -> float:
    """The newest moment of the records that comes back whole."""
    found = ltx.moments(await chain.pieces(line))
    for moment in reversed(found[-MOMENTS_MAX:]):
        try:
            return (await chain.restore(line, moment.txid, target, place)).moment.at
        except SteadyError as error:
            if error.code != "backup_broken" or moment is found[-MOMENTS_MAX:][0]:
                raise
            logger.warning("the newest records are damaged, an earlier moment is tried: %s", error.message)
    raise AssertionError("a line has moments")


async def _settled(part: Path, arrival: Arrival, source: int, at: float) -> Recovered:
    """The records know before anybody reads them whose they are now, and that no app's data is here."""
    now, target, epoch = time.time(), str(arrival.objects.target), arrival.epochs.number
    with contextlib.closing(Database(part, STEADY)) as database:
        await database.write(lambda db: [epochs.adding(epoch, target, now)(db), absences.everybody(now)(db)])
        counts = await database.read(
            lambda db: [one(db, f"SELECT count(*) FROM {table}") for table in ("apps", "versions", "principals")]
        )
    apps, versions, people = (int(row[0]) if row else 0 for row in counts)
    return Recovered(epoch, source, at, apps, versions, people)


def _fresh(folder: Path) -> None:
    """An empty folder, where the program that puts the records together can enter."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o711, parents=True)
    folder.chmod(0o711)


def _appear(part: Path, database: Path) -> None:
    """steady.db is there, whole, and durable."""
    os.chown(part, os.geteuid(), os.getegid())
    part.chmod(0o600)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.rename(part, database)
    descriptor = os.open(database.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    shutil.rmtree(part.parent, ignore_errors=True)


def _unasked(error: SteadyError) -> SteadyError:
    """Whoever began anew here, where there is a host to recover, could not be brought together with it later."""
    if error.code != "replica_away":
        return error
    what = error.message.partition(". ")[0]
    message = f"{what}, and the data folder is empty, so this may be a host to recover. Start again once it answers."
    return SteadyError("replica_away", message)


def _nothing(target: str, newest: Epoch) -> SteadyError:
    message = (
        f"{target} holds epoch {newest.number} of another host and no records below {layout.steady(newest.number)}, so "
        "there is nothing to recover. Choose another --replica."
    )
    return SteadyError("cannot_start", message)
