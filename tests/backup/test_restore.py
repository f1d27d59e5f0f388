"""The operation; the parts that fetch from the object store have tests of their own, here they are files at hand."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from steadyd.backup.aims import Aim, Part
from steadyd.backup.exchange import operation_of
from steadyd.backup.restore import Restores, shipped
from steadyd.errors import SteadyError
from steadyd.model import App, AppState, Durability
from steadyd.moment import Line, Mark, Point, PointKind, PointState, Stand
from steadyd.runner.copies import Snapshot
from steadyd.runner.engine import Engine
from steadyd.runner.folder import FOLDER_MODE, Place, make_root
from steadyd.runner.keeper import NoKeeper
from tests.runner.conftest import World, bun, root, run, world

__all__ = ["bun", "root"]

COUNTS = """import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS t (x)");
export default {
  async fetch(request) {
    if (request.method === "POST") db.run("INSERT INTO t VALUES (1)");
    const word = await Bun.file("word").text().catch(() => "none");
    return new Response(db.query("SELECT count(*) AS n FROM t").get().n + " " + word);
  },
};
"""
PICKY = COUNTS.replace(
    "export default", "if (db.query('SELECT count(*) AS n FROM t').get().n > 5) throw 1;\nexport default"
)


@dataclass
class Shelf(NoKeeper):
    """A database with so many rows and a file that says “old”, instead of an object store."""

    rows: int = 5
    broken: bool = False
    did: list[str] = field(default_factory=list)

    def turned(self, app_id: str, state: AppState) -> None:
        pass

    async def forget(self, app_id: str) -> None:
        pass

    def pointed(self) -> None:
        pass

    def asked(self, app_id: str) -> None:
        pass

    def barrier(self, app_id: str, durability: Durability) -> None:
        return None

    async def approach(self, app: App) -> None:
        pass

    async def mark(self, app: App) -> Mark | None:
        return Mark(7.0, (Stand("data.sqlite", 1, 9),))

    @property
    def files(self) -> Shelf:
        return self

    async def put_into(self, aim: Aim, place: Place, told: Callable[[str], None]) -> Snapshot:
        make_root(place)
        place.app.mkdir()
        path = place.app / "data.sqlite"
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE t (x)")
            db.executemany("INSERT INTO t VALUES (?)", [(1,)] * self.rows)
        db.close()
        if place.uid is not None:
            place.app.chmod(FOLDER_MODE)
            os.chown(place.app, 0, place.uid)
            os.chown(path, place.uid, place.uid)
        if self.broken:
            raise SteadyError("backup_broken", "An object of “data.sqlite” is gone.")
        await self.put_back(aim.manifest, place)
        return Snapshot(aim.at)

    async def put_back(self, manifest: str, place: Place) -> int:
        (place.app / "word").write_text("old")
        return 1

    async def capture(self, app: App) -> object:
        self.did.append("capture")
        return None

    async def sync(self, app_id: str, seconds: float) -> tuple[Stand, ...]:
        self.did.append("sync")
        return ()

    async def let_go(self, app_id: str) -> None:
        self.did.append("let go")

    def follow(self, app_id: str) -> None:
        self.did.append("follow")


async def scene(here: World, code: str = COUNTS) -> tuple[Restores, Shelf, App]:
    shelf = Shelf()
    here.fleet.keeper = shelf
    await here.create(code)
    return Restores(here.controller, shelf, shelf), shelf, await here.app()


async def aim(app: App) -> Aim:
    line = Line(1, app.id, "data.sqlite", 1, 0.0)
    return Aim(100.0, (Part("data.sqlite", line, 3, 90.0, 10.0),), "ab" * 32, 80.0, 1)


def test_other_data_comes_in_and_what_was_live_is_a_restore_point(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            restores, shelf, app = await scene(here)
            lines = here.fleet.ground.library.lines
            await lines.open(app.id, "data.sqlite", 1, 50.0)
            for count in ("1", "2"):
                assert await here.ask(method="POST") == f"{count} none"
            went = await restores.restore(await here.operator(), app, aim)
            assert await here.ask() == "5 old"
            assert await here.ask(method="POST") == "6 old"
            [point] = await here.fleet.ground.library.points.of(app.id)
            assert (point.kind, went.undo) == (PointKind.RESTORE, point.id)
            assert shelf.did == ["sync", "capture", "sync", "let go", "follow"]
            assert [line.ended_at is None for line in await lines.of(app.id)] == [False]
            place = here.fleet.ground.place(app)
            assert operation_of(place) is None
            assert not list(place.scratch.iterdir())
            [done, _] = await here.journal.operations(app.id)
            assert (done.kind, done.outcome, [step["name"] for step in done.steps]) == (
                "restore", "done", ["fetch", "drain", "switch"],
            )  # fmt: skip

    run(body())


def test_a_broken_backup_or_a_start_that_fails_changes_nothing(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            restores, shelf, app = await scene(here, PICKY)
            assert await here.ask(method="POST") == "1 none"
            shelf.broken = True
            with pytest.raises(SteadyError, match="is gone") as caught:
                await restores.restore(await here.operator(), app, aim)
            assert caught.value.code == "backup_broken"
            assert shelf.did == ["follow"]
            shelf.broken, shelf.rows = False, 6
            with pytest.raises(SteadyError) as caught:
                await restores.restore(await here.operator(), app, aim)
            assert caught.value.code == "deploy_failed"
            assert "nothing was changed" in caught.value.message
            assert await here.ask() == "1 none"
            assert await here.fleet.ground.library.points.of(app.id) == []
            assert operation_of(here.fleet.ground.place(app)) is None

    run(body())


def test_a_held_app_stays_held_with_other_data(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            restores, _, app = await scene(here)
            by = await here.operator()
            await here.controller.stop(by, app, hold=True)
            await restores.restore(by, await here.app(), aim)
            runtime = here.fleet.runtime(app.id)
            assert runtime is not None
            assert runtime.state is AppState.HELD
            await here.controller.start(by, app)
            assert await here.ask() == "5 old"

    run(body())


def test_a_rollback_tries_the_code_on_the_data_it_will_find(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            restores, shelf, app = await scene(here)
            await here.deploy(PICKY)
            by = await here.operator()
            await here.deployer.rollback(by, app, 1, data=restores.preparing(aim))
            assert await here.ask() == "5 old"
            assert (await here.app()).version == 1
            shelf.rows = 6
            with pytest.raises(SteadyError) as caught:
                await here.deployer.rollback(by, app, 2, data=restores.preparing(aim))
            assert (caught.value.code, caught.value.details["step"]) == ("deploy_failed", "trial")
            assert await here.ask() == "5 old"

    run(body())


def test_no_request_fails_meanwhile(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            restores, _, app = await scene(here)
            stopped, answers = asyncio.Event(), []

            async def visit() -> None:
                while not stopped.is_set():
                    answers.append(await here.ask())

            visitors = [asyncio.create_task(visit()) for _ in range(8)]
            for _ in range(3):
                await restores.restore(await here.operator(), app, aim)
            stopped.set()
            await asyncio.gather(*visitors)
            assert set(answers) == {"0 none", "5 old"}

    run(body())


def test_a_point_that_is_on_its_way_is_waited_for() -> None:
    class Follows:
        asked = 0

        async def sync(self, app_id: str, seconds: float) -> tuple[Stand, ...]:
            self.asked += 1
            return ()

        async def let_go(self, app_id: str) -> None:
            pass

        def follow(self, app_id: str) -> None:
            pass

    follows = Follows()
    for state, asked in ((PointState.PINNED, 0), (PointState.PENDING, 1)):
        point = Point(1, "a", PointKind.MANUAL, Mark(1.0), "me", "", 1, None, state)
        asyncio.run(shipped(Aim(1.0, (), "", 0.0, 1, point), "a", follows))
        assert follows.asked == asked
    asyncio.run(shipped(Aim(1.0, (), "", 0.0), "a", follows))
    assert follows.asked == 1
