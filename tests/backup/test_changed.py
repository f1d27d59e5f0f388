"""Two moments of a real database compared, and rows brought back after a restore point."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from steadyd.backup.changed import Changed, Side
from steadyd.backup.past import Past
from steadyd.backup.when import At, AtPoint
from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.moment import Mark, Point, PointKind, PointState
from steadyd.runner.comparison import Comparison, Wish
from steadyd.runner.engine import Engine
from steadyd.runner.keeper import NoKeeper
from steadyd.runner.writing import Writing
from tests.backup.files import Files
from tests.runner.conftest import HELLO, run, world
from tests.runner.conftest import bun as bun
from tests.runner.conftest import root as root

THEN = "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'one'), (2, 'two')"


def test_rows_come_back_within_one_operation_with_its_restore_point(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            app = await here.app()
            (root / "states").mkdir()
            files = Files(root / "states")
            files.add(1, THEN)
            files.add(2, f"{THEN}; DELETE FROM t WHERE id = 1")
            live = here.fleet.ground.place(app).app / "data.sqlite"
            live.write_bytes((root / "states" / "2").read_bytes())
            live.chmod(0o666)
            pointed: list[tuple[PointKind, str, str]] = []
            slots: list[str] = []

            class Pointing(NoKeeper):
                async def point(self, app: App, kind: PointKind, by: str, note: str = "") -> Point | None:
                    pointed.append((kind, by, note))
                    point = Point(0, app.id, kind, Mark(5.0), by, note, 1, None, PointState.PENDING)
                    return await here.fleet.ground.library.points.add(point)

            @asynccontextmanager
            async def slot() -> AsyncIterator[None]:
                slots.append("had")
                yield

            past = Past(here.fleet.ground, files.at, files)
            here.fleet.keeper = Pointing()
            writing = Writing(here.workshop.controller)
            room = Changed(past, Comparison(here.fleet.ground, here.tools), writing, now=lambda: 9.0)
            sides, changes = await room.counts(app, "data.sqlite", At(1.0), AtPoint(2))
            assert (sides.before, sides.after) == (Side(1.0, 1.5, None), Side(2.0, 1.5, 2))
            assert changes.tables[0].deleted == 1
            sides, page = await room.page(app, "data.sqlite", (AtPoint(1), None), "t")
            assert (sides.after, page.rows[0].key) == (Side(9.0), [1])

            by = await here.operator()
            back = await room.bring_back(by, app, "data.sqlite", AtPoint(1), Wish({"t": [[1]]}), slot)
            assert (back.brought.inserted, back.side.point, slots) == (1, 1, ["had"])
            assert pointed == [(PointKind.SQL, by.name, "Rows of “t” brought back from 1970-01-01 00:00:01 UTC")]
            assert back.point is not None
            assert sqlite3.connect(live).execute("SELECT a FROM t WHERE id = 1").fetchall() == [("one",)]

            with pytest.raises(SteadyError):
                await room.bring_back(by, app, "data.sqlite", AtPoint(1), Wish({"none": None}), slot)
            kept = await here.fleet.ground.library.points.of(app.id)
            assert [point.id for point in kept] == [back.point.id], "of what was refused nothing is kept"
            await past.close()

    run(body())
