"""Whatever happens to an app while it writes: every moment that can be restored is what it claims to be."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from steadyd.backup.aims import Aim, Aims
from steadyd.backup.chain import Chain
from steadyd.backup.follower import STAND_SECONDS_MAX
from steadyd.backup.objects import Objects
from steadyd.backup.target import parse_target
from steadyd.backup.when import At, AtPoint
from steadyd.model import App
from steadyd.moment import Point, PointKind, PointState
from steadyd.records.library import Library, open_library
from steadyd.records.schema import STEADY
from steadyd.runner import engine
from steadyd.runner.folder import Place
from steadyd.runner.tool import Tools
from steadyd.runner.trash import Trash
from steadyd.store import Database
from tests.e2e.ledger import NAME, SOURCE, Found, Ledger, read, version
from tests.served import Daemon, data_folder, remove, until

SEED = 20261126
SLACK_SECONDS = 1.0
"""Between what the app's clock says when it commits and what Litestream's says when it copies."""


@pytest.mark.slow
def test_every_moment_is_a_prefix_of_what_was_committed() -> None:
    history(seconds=20.0, moments=20)


@pytest.mark.soak
def test_every_moment_of_ten_minutes() -> None:
    history(seconds=600.0, moments=100)


def history(seconds: float, moments: int) -> None:
    data = data_folder()
    daemon = Daemon(data, "--freeze", "1s")
    try:
        daemon.create(NAME, {"index.ts": SOURCE, **version(1)})
        ledger = Ledger(daemon, SEED)
        asyncio.run(ledger.write(seconds))
        assert ledger.failures == []
        until(lambda: settled(daemon), 30.0)
        assert daemon.stop() == 0
        asyncio.run(check(data, ledger, moments))
    finally:
        daemon.kill()
        remove(data)


def settled(daemon: Daemon) -> bool:
    """Every restore point has been pinned, or could not be."""
    points = daemon.api("GET", f"/apps/{NAME}/backups").json()["points"]
    return bool(points) and all(point["state"] != PointState.PENDING for point in points)


async def check(data: Path, ledger: Ledger, moments: int) -> None:
    """Restore them, and compare each with what the writers were told."""
    async with archive(data) as shelf:
        [app] = await shelf.library.apps.everything()
        points = await shelf.library.points.of(app.id)
        kinds = {point.kind for point in points}
        assert {PointKind.DEPLOY, PointKind.MANUAL} <= kinds
        for point in points:
            assert point.state is PointState.PINNED, point
            aim = await shelf.aims.at(app, AtPoint(point.id))
            exact(ledger, point, await shelf.restore(app, aim))

        choice = random.Random(ledger.seed)
        first, last = ledger.acknowledged[0].ended, ledger.acknowledged[-1].ended
        for _ in range(moments):
            at = choice.uniform(first + 2 * SLACK_SECONDS, last + SLACK_SECONDS)
            aim = await shelf.aims.at(app, At(at))
            within(ledger, aim, await shelf.restore(app, aim))
        rows, done = len(ledger.acknowledged), len(ledger.done)
        print(f"{rows:,} rows acknowledged, {done} deeds, {len(points)} points and {moments} moments restored")
        end = await shelf.restore(app, await shelf.aims.at(app, At(last + 3600.0)))
        assert set(end.ids) >= {row.id for row in ledger.acknowledged}


def prefix(found: Found) -> int:
    """How many rows there are; asserts that they are the first so many."""
    assert found.ids == list(range(1, len(found.ids) + 1))
    return len(found.ids)


def exact(ledger: Ledger, point: Point, found: Found) -> None:
    """All that was acknowledged before the point, and nothing that was asked for after it was made: where nothing runs
    meanwhile, that is the same moment."""
    count, at = prefix(found), point.mark.at
    took = 0.0 if point.kind is PointKind.DEPLOY else STAND_SECONDS_MAX
    assert count >= max((row.id for row in ledger.acknowledged if row.ended < at), default=0)
    after = at + took + SLACK_SECONDS
    assert count < min((row.id for row in ledger.acknowledged if row.began > after), default=1 << 60)


def within(ledger: Ledger, aim: Aim, found: Found) -> None:
    """What it claims: all that was acknowledged before its moment, nothing that came later, and the moment is as near
    to the one that was asked for as it says."""
    count = prefix(found)
    assert aim.at <= aim.asked
    assert count >= max((row.id for row in ledger.acknowledged if row.ended < aim.at - SLACK_SECONDS), default=0)
    assert found.newest <= aim.at + SLACK_SECONDS
    if aim.precision:
        assert aim.asked - aim.at <= aim.precision
    else:
        assert count >= max((row.id for row in ledger.acknowledged if row.ended < aim.asked), default=0)


@dataclass
class Shelf:
    """What a stopped daemon left behind."""

    library: Library
    aims: Aims
    chain: Chain
    root: Path

    async def restore(self, app: App, aim: Aim) -> Found:
        [part] = aim.databases
        place = Place(self.root / app.id, None)
        target = self.root / "restored.sqlite"
        target.unlink(missing_ok=True)
        await self.chain.restore(part.line, part.txid, target, place, part.pinned)
        return await asyncio.to_thread(read, target)


@asynccontextmanager
async def archive(data: Path) -> AsyncIterator[Shelf]:
    database = Database(data / "steady.db", STEADY)
    root = data.parent / "restored"
    root.mkdir()
    try:
        library = open_library(database)
        built = engine.prepare(data / "engine")
        tools = Tools(built, os.geteuid() == 0)
        chain = Chain(Objects(parse_target(f"file://{data}/replica")), tools, Trash(root / "trash"))
        aims = Aims(library.lines, library.points, library.journal, chain, library.captures)
        yield Shelf(library, aims, chain, root)
    finally:
        database.close()
