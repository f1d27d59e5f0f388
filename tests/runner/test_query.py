"""Reading databases that an app has open, has closed, or has made to be troublesome."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import query
from steadyd.runner.engine import Engine
from steadyd.runner.query import Databases, Rows, Task, checked
from steadyd.runner.tool import Tools
from tests.runner.conftest import BOTH, COUNTER, HELLO, World, limits, needs_cgroups, run, world

SLOW = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
ROLLBACK = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS t (a)");
export default { fetch() {
  for (let n = 0; n < 20; n++) { db.run("INSERT INTO t VALUES (1)"); Bun.sleepSync(1); }
  return new Response("written");
} };
"""


def databases(here: World) -> Databases:
    return Databases(here.fleet.ground, here.tools)


async def ask(here: World, sql: str, file: str = "data.sqlite", params: Any = ()) -> Rows:
    return await databases(here).read(await here.app(), file, sql, params)


async def refused(here: World, sql: str, file: str = "data.sqlite") -> SteadyError:
    with pytest.raises(SteadyError) as caught:
        await ask(here, sql, file)
    return caught.value


async def folder(here: World) -> Path:
    return here.fleet.ground.place(await here.app()).app


@BOTH
def test_a_running_and_a_sleeping_app(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(COUNTER)
            for count in range(1, 4):
                await here.ask("/", "POST")
                assert (await ask(here, "SELECT count(*) FROM visits")).rows == [[count]]
            await here.routes["hello.localhost"].sleep()
            assert (await ask(here, "SELECT count(*) AS c FROM visits")).columns == ["c"]
            owners = {path.stat().st_uid for path in (await folder(here)).glob("data.sqlite*")}
            assert owners == {here.fleet.ground.place(await here.app()).uid or os.geteuid()}
            assert await here.ask("/", "POST") == "1 4"
            assert (await ask(here, "SELECT max(id) FROM visits")).rows == [[4]]
            assert list(here.fleet.ground.place(await here.app()).scratch.iterdir()) == []

    run(body())


@BOTH
def test_a_reader_never_fails_the_app_s_writes(root: Path, bun: Engine, sandboxed: bool) -> None:
    """In rollback mode a reader's lock would."""

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(ROLLBACK)
            writing = asyncio.create_task(here.ask())
            counts = []
            while not writing.done():
                counts.append((await ask(here, "SELECT count(*) FROM t")).rows[0][0])
            assert await writing == "written"
            assert counts == sorted(counts)
            assert (await ask(here, "SELECT count(*) FROM t")).rows == [[20]]

    run(body())


@BOTH
def test_it_only_reads(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(COUNTER)
            before = sorted(path.name for path in (await folder(here)).iterdir())
            for sql in (
                "INSERT INTO visits VALUES (1, 2)", "UPDATE visits SET at = 1", "DELETE FROM visits",
                "DROP TABLE visits", "VACUUM INTO 'copy.sqlite'", "VACUUM",
                "ATTACH 'other.sqlite' AS other", "CREATE TEMP TABLE t (a)", "PRAGMA journal_mode = DELETE",
                "PRAGMA writable_schema = ON", "PRAGMA user_version = 7", "BEGIN", "PRAGMA wal_checkpoint",
                "PRAGMA hard_heap_limit = 0", "PRAGMA trusted_schema = ON",
            ):  # fmt: skip
                assert "only reads" in (await refused(here, sql)).message, sql
            assert (await refused(here, "SELECT load_extension('x')")).code == "sql_error"
            assert sorted(path.name for path in (await folder(here)).iterdir()) == before
            assert (await ask(here, "PRAGMA table_info(visits)")).rows[0][1] == "id"
            assert (await ask(here, "EXPLAIN QUERY PLAN SELECT * FROM visits")).columns[-1] == "detail"
            assert (await ask(here, "PRAGMA journal_mode")).rows == [["wal"]]

    run(body())


@BOTH
def test_tables_of_every_kind_are_read(root: Path, bun: Engine, sandboxed: bool) -> None:
    """Virtual ones prepare statements that write whenever they are read."""

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            for mode in ("delete", "wal"):
                path = await folder(here) / f"{mode}.sqlite"
                made = sqlite3.connect(path)
                made.executescript(
                    f"PRAGMA journal_mode = {mode}; CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES ('a b');"
                    "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); INSERT INTO r VALUES (1, 0, 2);"
                    "CREATE VIEW v AS SELECT x FROM f;"
                )
                made.close()
                path.chmod(0o666)
                for sql, rows in (
                    ("SELECT x FROM f WHERE f MATCH 'a' ORDER BY rank", [["a b"]]),
                    ("SELECT id FROM r WHERE x1 > 1", [[1]]),
                    ("SELECT x FROM v", [["a b"]]),
                    ("PRAGMA integrity_check", [["ok"]]),
                    ("SELECT value FROM json_each('[7]')", [[7]]),
                ):
                    assert (await ask(here, sql, path.name)).rows == rows, (mode, sql)

    run(body())


def test_values_are_exact(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(COUNTER)
            given = [2**63 - 1, -(2**53), 2**53 - 1, 1.5, None, "é\u2028", b"\x00", True]
            found = await ask(here, "SELECT ?, ?, ?, ?, ?, ?, ?, ?, 9e999, 1 AS a, 2 AS a", params=given)
            blob = {"base64": "AA=="}
            assert found.rows == [
                [str(2**63 - 1), str(-(2**53)), 2**53 - 1, 1.5, None, "é\u2028", blob, 1, "Infinity", 1, 2]
            ]
            assert found.columns[-2:] == ["a", "a"]

    run(body())


@BOTH
def test_a_query_that_takes_too_long(root: Path, bun: Engine, sandboxed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "QUERY_SECONDS_MAX", 1.0)

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(COUNTER)
            assert (await refused(here, SLOW)).code == "query_timeout"
            assert await here.ask("/", "POST") == "1 1"

    run(body())


@BOTH
def test_a_damaged_database(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            there = await folder(here)
            whole = sqlite3.connect(there / "whole.sqlite")
            whole.executescript("CREATE TABLE t (a); CREATE INDEX i ON t (a);")
            whole.executemany("INSERT INTO t VALUES (?)", [("x" * 500,) for _ in range(500)])
            whole.commit()
            whole.close()
            content = (there / "whole.sqlite").read_bytes()
            damaged = {
                "head.sqlite": b"\0" * 100 + content[100:],
                "middle.sqlite": content[:4096] + os.urandom(len(content) - 4096),
                "short.sqlite": content[:5000],
                "wal.sqlite": content[:18] + b"\2\2" + content[20:4096],
                "schema.sqlite": content[:100] + os.urandom(3996) + content[4096:],
            }
            for name, text in damaged.items():
                (there / name).write_bytes(text)
                os.chmod(there / name, 0o666)
                assert (await refused(here, "SELECT count(*) FROM t", name)).code == "database_damaged", name
            (there / "empty").touch()
            assert (await refused(here, "SELECT * FROM t", "empty")).code == "sql_error"
            (there / "link").symlink_to("whole.sqlite")
            os.mkfifo(there / "pipe")
            for name in ("link", "pipe", "none", "."):
                assert (await refused(here, "SELECT 1", name)).code == "not_found", name

    run(body())


def test_rows_are_so_many_and_so_large(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(COUNTER)
            numbers = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n LIMIT {})"
            whole = await ask(here, numbers.format(1000) + " SELECT i FROM n")
            assert (len(whole.rows), whole.truncated) == (1000, False)
            cut = await ask(here, numbers.format(1001) + " SELECT i FROM n")
            assert (len(cut.rows), cut.truncated) == (1000, True)
            large = await ask(here, numbers.format(500) + " SELECT hex(zeroblob(5000)) FROM n")
            assert (len(large.rows), large.truncated) == (104, True)
            assert (await ask(here, "SELECT hex(zeroblob(2000000))")).rows == []
            assert (await refused(here, "SELECT length(zeroblob(900000000))")).code == "sql_error"

    run(body())


@BOTH
def test_memory_has_a_limit(root: Path, bun: Engine, sandboxed: bool) -> None:
    """SQLite's own; what is beside it, its group limits (tests/runner/test_tool.py)."""

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(COUNTER)
            many = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n LIMIT 40)"
            error = await refused(here, f"{many} SELECT length(group_concat(hex(zeroblob(1000000)))) FROM n")
            assert error.code == "sql_error"

    run(body())


@needs_cgroups
@pytest.mark.sandbox
def test_memory_beside_sqlite_s_has_a_limit(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "MEMORY_BYTES_MAX", 48 << 20)

    async def body() -> None:
        async with world(root, bun) as here, limits() as more:
            await here.create(COUNTER)
            room = Databases(here.fleet.ground, Tools(bun, True, **more))
            with pytest.raises(SteadyError) as caught:
                await room.read(await here.app(), "data.sqlite", "SELECT hex(zeroblob(16000000))")
            assert (caught.value.code, "more memory" in caught.value.message) == ("sql_error", True)

    run(body())


@BOTH
def test_databases_are_found_by_their_content(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(COUNTER)
            there = await folder(here)
            (there / "notes.sqlite").write_text("not a database")
            (there / "deep").mkdir()
            sqlite3.connect(there / "deep" / "other").execute("CREATE TABLE t (a)").connection.close()
            (there / "loop").symlink_to(".")
            os.mkfifo(there / "pipe")
            found, more = await databases(here).of(await here.app())
            assert ([each.path for each in found], more) == (["data.sqlite", "deep/other"], False)
            assert found[1].size_bytes == 8192

    run(body())


def test_one_statement_of_so_many_bytes() -> None:
    assert checked(" SELECT 1; -- done") == "SELECT 1"
    assert checked("SELECT '" + "x" * 64_000 + "'")
    for sql, code in (("", "sql_error"), ("a;b", "sql_error"), ("a\0", "sql_error"), ("x" * 65_537, "too_large")):
        with pytest.raises(SteadyError) as caught:
            checked(sql)
        assert caught.value.code == code


@pytest.mark.skipif(sys.platform != "linux", reason="locks are seen on Linux only")
@BOTH
def test_readers_are_seen_from_outside(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(COUNTER)
            await here.ask("/", "POST")
            (found,), _ = await databases(here).of(await here.app())
            assert (found.readers, found.behind_frames, found.tables) == (0, None, 1)
            assert found.wal_bytes > 0
            reader = sqlite3.connect(await folder(here) / "data.sqlite", isolation_level=None)
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM visits").fetchall()
            for _ in range(3):
                await here.ask("/", "POST")
            (found,), _ = await databases(here).of(await here.app())
            assert (found.readers, found.behind_frames) == (1, 3)
            reader.close()

    run(body())


@BOTH
def test_a_damaged_one_is_told_by_its_check(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            path = await folder(here) / "data.sqlite"
            made = sqlite3.connect(path)
            made.executescript(
                "CREATE TABLE t (a); CREATE INDEX i ON t (a); CREATE TABLE p (id INTEGER PRIMARY KEY);"
                "CREATE TABLE c (p REFERENCES p); INSERT INTO c VALUES (7);"
            )
            made.executemany("INSERT INTO t VALUES (?)", [(f"{number:0500}",) for number in range(50)])
            made.commit()
            made.close()
            path.chmod(0o666)
            task = Task("check", {"file": "data.sqlite", "full": True}, 10.0)
            checked = await databases(here).ask(await here.app(), task)
            assert (checked["ok"], checked["orphans"]) == (True, [{"table": "c", "rowid": 1, "parent": "p"}])
            content = bytearray(path.read_bytes())
            content[-2000:-1000] = b"9" * 1000
            path.write_bytes(content)
            checked = await databases(here).ask(await here.app(), task)
            assert checked["ok"] is False
            assert checked["problems"]

    run(body())


@BOTH
def test_a_list_that_takes_too_long(root: Path, bun: Engine, sandboxed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "LIST_SECONDS_MAX", 0.0)

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            with pytest.raises(SteadyError) as caught:
                await Databases(here.fleet.ground, Tools(bun, sandboxed)).of(await here.app())
            assert caught.value.code == "query_timeout"

    run(body())
