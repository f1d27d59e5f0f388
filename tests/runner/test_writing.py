"""Writing to a database beside its app: one transaction after a restore point, through SQLite's own locks."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from steadyd.errors import SteadyError
from steadyd.model import App, AppState
from steadyd.moment import Mark, Point, PointKind, PointState
from steadyd.records.library import Library
from steadyd.runner import query
from steadyd.runner.controller import Turn
from steadyd.runner.engine import Engine
from steadyd.runner.keeper import NoKeeper
from steadyd.runner.query import Databases, Task, several
from steadyd.runner.query import query as request
from steadyd.runner.writing import How, Writing, Written
from tests.runner.conftest import BOTH, COUNTER, HELLO, World, run, world

WRITER = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL"); db.run("PRAGMA busy_timeout = 5000");
db.run("CREATE TABLE IF NOT EXISTS t (who)");
export default { fetch() { db.run("INSERT INTO t VALUES ('app')"); return new Response("written"); } };
"""

REFUSED = ("Not possible here", "not authorized", "within a transaction")


class Keeping(NoKeeper):
    """A keeper that has only points."""

    def __init__(self, library: Library, away: bool = False) -> None:
        self.points = library.points
        self.away = away
        self.looked: list[str] = []

    def asked(self, app_id: str) -> None:
        self.looked.append(app_id)

    async def point(self, app: App, kind: PointKind, by: str, note: str = "") -> Point | None:
        if self.away:
            raise SteadyError("conflict", "Nobody knows where it stands.")
        mark = Mark(float(len(self.looked)))
        return await self.points.add(Point(0, app.id, kind, mark, by, note, app.version, None, PointState.PENDING))


async def write(here: World, sql: str, params: Any = (), hold: bool = False, point: bool = True) -> Written:
    databases = Databases(here.fleet.ground, here.tools)

    async def work(turn: Turn) -> dict[str, Any]:
        wanted = request("data.sqlite", several(sql), params)
        return await databases.ask(turn.app, Task("write", wanted, query.QUERY_SECONDS_MAX))

    writing = Writing(here.controller)
    return await writing.write(await here.operator(), await here.app(), work, How(sql[:50], hold, point))


async def refused(here: World, sql: str, params: Any = ()) -> SteadyError:
    with pytest.raises(SteadyError) as caught:
        await write(here, sql, params)
    return caught.value


async def points(here: World) -> list[Point]:
    return await here.library.points.of((await here.app()).id)


async def folder(here: World) -> Path:
    return here.fleet.ground.place(await here.app()).app


@BOTH
def test_it_writes_beside_a_running_app_and_a_sleeping_one(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            here.fleet.keeper = keeper = Keeping(here.library)
            await here.create(COUNTER)
            assert await here.ask("/", "POST") == "1 1"
            written = await write(here, "INSERT INTO visits (at) VALUES (?) RETURNING id, at", ["then"])
            assert (written.answer["rows"], written.answer["changes"]) == ([[2, "then"]], 1)
            assert await here.ask("/", "POST") == "1 3"
            await here.routes["hello.localhost"].sleep()
            await write(here, "DELETE FROM visits WHERE id < 3; INSERT INTO visits (at) VALUES ('later')")
            assert here.routes["hello.localhost"].state is AppState.STOPPED
            assert await here.ask() == "1 2"
            owners = {path.stat().st_uid for path in (await folder(here)).glob("data.sqlite*")}
            assert owners == {here.fleet.ground.place(await here.app()).uid or os.geteuid()}
            assert [(point.kind, point.note[:6], point.by) for point in await points(here)] == [
                (PointKind.SQL, "DELETE", "operator"), (PointKind.SQL, "INSERT", "operator"),
            ]  # fmt: skip
            assert len(keeper.looked) >= 2
            found = [each for each in await here.journal.operations((await here.app()).id) if each.kind == "sql"]
            assert [(each.outcome, [step["name"] for step in each.steps]) for each in found] == [
                ("done", ["point", "write"])
            ] * 2

    run(body())


@BOTH
def test_all_of_it_or_nothing(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            here.fleet.keeper = Keeping(here.library)
            await here.create(COUNTER)
            error = await refused(here, "INSERT INTO visits (at) VALUES (1);\nINSERT INTO none VALUES (1)")
            assert (error.code, "Statement 2, line 2" in error.message) == ("sql_error", True)
            for sql in (
                "INSERT INTO visits (at) VALUES (1); COMMIT", "BEGIN", "VACUUM", "ATTACH 'x.sqlite' AS x",
                "VACUUM INTO 'x.sqlite'", "CREATE TEMP TABLE x (a)", "PRAGMA journal_mode = DELETE",
                "PRAGMA writable_schema = ON", "PRAGMA trusted_schema = ON", "PRAGMA foreign_keys = OFF",
                "PRAGMA hard_heap_limit = 0", "PRAGMA wal_checkpoint", "DETACH main", "PRAGMA mmap_size = 1000",
                "CREATE VIRTUAL TABLE d USING dbstat(main)", "SELECT load_extension('x')",
            ):  # fmt: skip
                error = await refused(here, sql)
                assert error.code == "sql_error", sql
                assert any(said in error.message for said in REFUSED), (sql, error.message)
            assert "modified" in (await refused(here, "UPDATE sqlite_schema SET sql = ''")).message
            assert (await refused(here, "INSERT INTO visits VALUES (?); SELECT 1", [1])).code == "invalid"
            assert await here.ask() == "1 0"
            assert await points(here) == []  # what was refused changed nothing
            assert not list((await folder(here)).glob("x.sqlite*"))

    run(body())


@BOTH
def test_it_leaves_the_log_to_who_replicates_it(root: Path, bun: Engine, sandboxed: bool) -> None:
    """Bun truncates the log of what a process has open when it ends; what was not replicated yet would be gone."""

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(COUNTER)
            log = await folder(here) / "data.sqlite-wal"
            for _ in range(3):
                before = log.stat().st_size
                await write(here, "INSERT INTO visits (at) VALUES ('now')")
                assert log.stat().st_size > before
            assert await here.ask() == "1 3"

    run(body())


def test_what_it_may(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(COUNTER)
            written = await write(
                here,
                "CREATE TABLE a (x); CREATE INDEX i ON a (x); CREATE VIEW v AS SELECT x FROM a;"
                "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET x = x + 1; SELECT 1; END;"
                "CREATE VIRTUAL TABLE f USING fts5(y); INSERT INTO f VALUES ('hi'); ALTER TABLE a ADD COLUMN z;"
                "SAVEPOINT s; INSERT INTO a (x) VALUES (1); ROLLBACK TO s; RELEASE s; ANALYZE; REINDEX;"
                "INSERT INTO a (x) VALUES (5); PRAGMA user_version = 7; DROP VIEW v; SELECT x FROM a",
            )
            assert written.answer["rows"] == [[6]]
            assert (written.answer["statements"], written.point) == (17, None)

    run(body())


def test_the_platform_s_tables_are_not_written(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(COUNTER)
            made = sqlite3.connect(await folder(here) / "data.sqlite")
            made.executescript("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)")
            made.close()
            for sql in (
                "INSERT INTO _litestream_seq VALUES (1, 1)", "DROP TABLE _litestream_seq",
                "ALTER TABLE _litestream_seq RENAME TO x", "UPDATE _LITESTREAM_SEQ SET seq = 2",
            ):  # fmt: skip
                assert "platform" in (await refused(here, sql)).message, sql

    run(body())


def test_the_app_and_a_writer_wait_for_each_other(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(WRITER)
            asked = [here.ask() for _ in range(60)]
            told = [write(here, "INSERT INTO t VALUES ('writer'); INSERT INTO t VALUES ('writer')") for _ in range(4)]
            assert set((await asyncio.gather(*asked, *told))[:60]) == {"written"}
            counted = await write(here, "SELECT who, count(*) FROM t GROUP BY 1 ORDER BY 1")
            assert counted.answer["rows"] == [["app", 60], ["writer", 8]]

    run(body())


def test_nothing_runs_while_it_is_held(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(COUNTER)
            runtime = here.routes["hello.localhost"]

            async def work(turn: Turn) -> dict[str, Any]:
                assert runtime.state is AppState.STOPPED
                waiting = asyncio.create_task(here.ask("/", "POST"))
                await asyncio.sleep(0)
                assert not waiting.done()
                return {"waiting": waiting}

            writing = Writing(here.controller)
            written = await writing.write(await here.operator(), await here.app(), work, How("", hold=True))
            assert await written.answer["waiting"] == "1 1"

    run(body())


@BOTH
def test_one_that_takes_too_long_changes_nothing(
    root: Path, bun: Engine, sandboxed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "QUERY_SECONDS_MAX", 1.0)

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            here.fleet.keeper = Keeping(here.library)
            await here.create(WRITER)
            endless = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
            error = await refused(here, f"INSERT INTO t VALUES ('writer'); {endless}")
            assert (error.code, error.details) == ("query_timeout", {"written": "whole, or not at all"})
            assert len(await points(here)) == 1  # nobody saw that nothing was written
            assert await here.ask() == "written"  # it waits, by its busy_timeout, until the child is gone
            assert (await write(here, "SELECT who FROM t")).answer["rows"] == [["app"]]

    run(body())


def test_a_lock_that_is_held_is_told(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(COUNTER)
            other = sqlite3.connect(await folder(here) / "data.sqlite", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            assert "locked" in (await refused(here, "INSERT INTO visits (at) VALUES (1)")).message
            other.close()

    run(body())


def test_no_write_without_a_restore_point(root: Path, bun: Engine) -> None:
    """Where data is kept elsewhere and no point can be made, nothing is written."""

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(COUNTER)

            here.fleet.keeper = Keeping(here.library, away=True)
            with pytest.raises(SteadyError, match="Nobody knows"):
                await write(here, "INSERT INTO visits (at) VALUES (1)")
            assert await here.ask() == "1 0"
            assert (await write(here, "INSERT INTO visits (at) VALUES (1)", point=False)).point is None
            assert await here.ask() == "1 1"

    run(body())


def test_what_a_crash_interrupts_is_told_as_it_is(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            app, operator = await here.app(), await here.operator()
            for step in ("point", "write"):
                number = await here.journal.begin(app, "sql", operator, 1.0)
                await here.journal.step(number, step)
        async with world(root, bun, sandboxed=False) as here:
            found = [each for each in await here.journal.operations(app.id) if each.kind == "sql"]
            assert [(each.outcome, "whole, or not at all" in str(each.error)) for each in found] == [
                ("failed", True), ("undone", False),
            ]  # fmt: skip

    run(body())


def test_sql_is_so_long() -> None:
    assert several("SELECT 1; SELECT 2")
    for sql, code in (("", "sql_error"), (";", "sql_error"), ("x\0", "sql_error"), ("x" * 65_537, "too_large")):
        with pytest.raises(SteadyError) as caught:
            several(sql)
        assert caught.value.code == code
