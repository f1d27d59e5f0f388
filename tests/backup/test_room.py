"""All of it together over a real fleet, real Litestream and a folder: written, kept, and brought back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from steadyd.backup.litestream import Means
from steadyd.backup.objects import Objects
from steadyd.backup.room import Backups, Whither, open_backups, open_replica, settle
from steadyd.backup.target import Target, TargetKind
from steadyd.backup.truth import State
from steadyd.backup.when import At, AtPoint
from steadyd.moment import PointKind, PointState
from steadyd.runner import process
from steadyd.runner.engine import Engine
from tests.runner.conftest import World, bun, root, run, world

__all__ = ["bun", "root"]

COUNTS = """import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS t (x)");
export default {
  async fetch(request) {
    if (request.method === "POST") {
      db.run("INSERT INTO t VALUES (1)");
      await Bun.write("uploads/word", String(db.query("SELECT count(*) AS n FROM t").get().n));
    }
    const word = await Bun.file("uploads/word").text().catch(() => "none");
    return new Response(db.query("SELECT count(*) AS n FROM t").get().n + " " + word);
  },
};
"""
DEADLINE_SECONDS = 20.0


@asynccontextmanager
async def kept(here: World) -> AsyncIterator[Backups]:
    ground = here.fleet.ground
    objects = Objects(Target(TargetKind.FILE, here.root / "replica"))
    whither = Whither(objects, 1, here.root / "steady.db", 30.0, 100, 5.0)
    means = Means(process.spawn)
    async with (
        open_replica(ground, whither, here.root / "litestream", means) as replica,
        open_backups(replica, here.workshop, here.tools) as backups,
    ):
        yield backups
        await here.workshop.close()
        await here.fleet.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.02)


def test_what_was_written_is_kept_and_comes_back_whole(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here, kept(here) as backups:
            await here.create(COUNTS)
            app, by = await here.app(), await here.operator()
            assert await here.ask(method="POST") == "1 1"
            point = await backups.keeping.point(app, PointKind.MANUAL, by.name, "one row")
            points = here.fleet.ground.library.points

            async def pinned() -> bool:
                return all(one.state is PointState.PINNED for one in await points.of(app.id))

            await until(pinned)
            then = time.time()
            assert await here.ask(method="POST") == "2 2"
            went = await backups.restores.restore(by, app, lambda app: backups.aims.at(app, AtPoint(point.id)))
            assert await here.ask() == "1 1"
            assert await here.ask(method="POST") == "2 2"  # the app goes on from there

            assert went.undo is not None
            await until(pinned)
            await backups.restores.restore(by, app, lambda app: backups.aims.at(app, AtPoint(went.undo or 0)))
            assert await here.ask() == "2 2"
            report = await backups.reports.of(app)
            assert [point.kind for point in report.points] == [PointKind.RESTORE, PointKind.RESTORE, PointKind.MANUAL]
            assert report.truth.state is State.WAITING

            async def drilled() -> bool:  # once something of the new history is there
                drill = await backups.drills.drill(app)
                assert drill is None or drill.ok, drill.problem
                return drill is not None

            await until(drilled)
            assert (await backups.reports.of(app)).truth.state is State.OK
            assert report.summary.startswith("1 database: to the second; 1 file: as of ")

            async def three() -> bool:  # one for each history
                return len(await here.fleet.ground.library.lines.of(app.id)) == 3

            await until(three)
            now = await backups.aims.at(app, At(then))
            assert [part.path for part in now.databases] == ["data.sqlite"]

    run(body())


def test_a_crash_between_two_folders_is_settled_before_anything_runs(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(COUNTS)
            place = here.fleet.ground.place(await here.app())
            (place.root / "exchange.json").write_text('{"operation": 99, "other": "/nowhere", "inode": 1}')
            await settle(here.fleet.ground)
            assert not (place.root / "exchange.json").exists()
            assert await here.ask() == "0 none"

    run(body())
