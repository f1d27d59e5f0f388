"""What differs between two states of a database, and rows brought back, with databases of every kind."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import comparison
from steadyd.runner.comparison import Brought, Comparison, Page, Row, Table, Wish, checked
from steadyd.runner.engine import Engine
from steadyd.runner.tool import Tools
from tests.runner.conftest import BOTH, COUNTER, HELLO, World, limits, needs_cgroups, run, world

PEOPLE = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, age)"
SOME = f"{PEOPLE}; INSERT INTO people VALUES (1, 'ann', 30), (2, 'bob', 40), (3, 'cy', 50)"
LATER = (
    "DELETE FROM people WHERE id = 1; UPDATE people SET age = 41 WHERE id = 2; INSERT INTO people VALUES (9, 'x', 1)"
)
FAMILY = (
    "CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (id INTEGER PRIMARY KEY, p REFERENCES parent);"
    "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1), (2, NULL)"
)


def made(path: Path, sql: str) -> Path:
    database = sqlite3.connect(path)
    database.executescript(sql)
    database.commit()
    database.close()
    path.chmod(0o666)
    return path


class Scene:
    """An app with the database `data.sqlite`, and earlier states of it beside the app's folder."""

    def __init__(self, here: World, folder: Path, sandboxed: bool) -> None:
        self.here = here
        self.folder = folder
        self.room = Comparison(here.fleet.ground, here.tools)

    async def start(self) -> Scene:
        self.app = await self.here.app()
        self.live = self.here.fleet.ground.place(self.app).app / "data.sqlite"
        return self

    def state(self, sql: str, live: str = "") -> Path:
        """An earlier state; the live one is made of the same, then of `live`."""
        before = self.folder / "before"
        for path in (before, self.live):
            path.unlink(missing_ok=True)
            made(path, sql)
        made(self.live, live)
        return before

    async def tables(self, sql: str, live: str) -> dict[str, tuple[int, int, int]]:
        found = await self.room.changes(self.app, "data.sqlite", self.state(sql, live))
        assert [table.problem for table in found.tables] == [""] * len(found.tables)
        return {table.table: (table.inserted, table.deleted, table.updated) for table in found.tables}

    async def rows(self, sql: str, live: str, table: str) -> list[Row]:
        before = self.state(sql, live)
        page = await self.page(before, table)
        rows = page.rows
        while page.next:
            page = await self.page(before, table, page.next)
            rows += page.rows
        return rows

    async def page(self, before: Path, table: str, place: str = "") -> Page:
        return await self.room.page(self.app, "data.sqlite", before, None, table, place)

    async def back(self, before: Path, table: str, keys: Any = None, overwrite: bool = False) -> Brought:
        return await self.room.bring_back(self.app, "data.sqlite", before, Wish({table: keys}, overwrite))

    def ask(self, sql: str) -> list[Any]:
        database = sqlite3.connect(self.live)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()


async def scene(here: World, root: Path, sandboxed: bool = False) -> Scene:
    await here.create(HELLO)
    (root / "states").mkdir(mode=0o755)
    return await Scene(here, root / "states", sandboxed).start()


Body = Callable[[Scene], Any]


def play(root: Path, bun: Engine, body: Body, sandboxed: bool = False) -> None:
    async def whole() -> None:
        async with world(root, bun, sandboxed) as here:
            await body(await scene(here, root, sandboxed))

    run(whole())


def told(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    return [(row.change, row.key, row.before, row.after, row.differs) for row in rows]


@BOTH
def test_rows_by_their_key(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body(play: Scene) -> None:
        before = play.state(SOME, LATER)
        found = await play.room.changes(play.app, "data.sqlite", before)
        assert found.tables == [Table("people", "key", ["id"], 1, 1, 1)]
        assert (found.schema, found.more) == ([], False)
        assert told(await play.rows(SOME, LATER, "people")) == [
            ("deleted", [1], [1, "ann", 30], None, []),
            ("updated", [2], [2, "bob", 40], [2, "bob", 41], ["age"]),
            ("inserted", [9], None, [9, "x", 1], []),
        ]
        assert [path.name for path in before.parent.iterdir()] == ["before"]

    play(root, bun, body, sandboxed)


def test_however_rows_are_known(root: Path, bun: Engine) -> None:
    async def body(play: Scene) -> None:
        for sql, live, counts, known_by, key in (
            ("CREATE TABLE t (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO t VALUES (1, 1), (1, 2)",
             "DELETE FROM t WHERE b = 2; INSERT INTO t VALUES (2, 1)", (1, 1, 0), "key", ["a", "b"]),
            ("CREATE TABLE t (a TEXT PRIMARY KEY COLLATE NOCASE, b); INSERT INTO t VALUES ('x', 1), ('y', 2)",
             "UPDATE t SET a = 'X' WHERE a = 'x'", (0, 0, 1), "key", ["a"]),
            ("CREATE TABLE t (a TEXT, PRIMARY KEY (a COLLATE NOCASE)); INSERT INTO t VALUES ('x')",
             "UPDATE t SET a = 'X'", (0, 0, 1), "key", ["a"]),
            ("CREATE TABLE t (a TEXT COLLATE NOCASE, b, PRIMARY KEY (a COLLATE BINARY));"
             "INSERT INTO t VALUES ('x', 1), ('X', 2)",
             "UPDATE t SET b = 3 WHERE b = 2", (0, 0, 1), "key", ["a"]),
            ("CREATE TABLE t (a); INSERT INTO t VALUES (1), (1), (2)",
             "DELETE FROM t WHERE rowid = 2; UPDATE t SET a = 3 WHERE rowid = 3", (0, 1, 1), "rowid", ["rowid"]),
            ("CREATE TABLE t (a PRIMARY KEY, b); INSERT INTO t VALUES (NULL, 1), (NULL, 2), (3, 3)",
             "UPDATE t SET b = 9 WHERE b = 2", (0, 0, 1), "rowid", ["rowid"]),
            ("CREATE TABLE t (rowid, oid, _rowid_); INSERT INTO t VALUES (1, 1, 1), (1, 1, 1), (2, 2, 2), (1, 1, NULL)",
             "DELETE FROM t WHERE oid = 1 AND _rowid_ = 1; INSERT INTO t VALUES (2, 2, 2), (1, 1, NULL)",
             (2, 2, 0), "content", []),
            ("CREATE TABLE t (rowid, a); INSERT INTO t VALUES (1, 1)", "UPDATE t SET a = 2",
             (0, 0, 1), "rowid", ["_rowid_"]),
            ("CREATE TABLE t (id INTEGER PRIMARY KEY, a);"
             "INSERT INTO t VALUES (1, 1), (2, '1'), (3, x'31'), (4, NULL), (5, 'é')",
             "UPDATE t SET a = 1.0 WHERE id = 1; UPDATE t SET a = 1 WHERE id = 2; UPDATE t SET a = '1' WHERE id = 3;"
             "UPDATE t SET a = '' WHERE id = 4; UPDATE t SET a = 'É' WHERE id = 5", (0, 0, 5), "key", ["id"]),
            ("CREATE TABLE t (id INTEGER PRIMARY KEY, a, g AS (a + 1) STORED); INSERT INTO t VALUES (1, 1)",
             "UPDATE t SET a = 2", (0, 0, 1), "key", ["id"]),
            ("CREATE VIRTUAL TABLE t USING fts5(x); INSERT INTO t VALUES ('a'), ('b')",
             "DELETE FROM t WHERE rowid = 1; UPDATE t SET x = 'c'; INSERT INTO t VALUES ('d')",
             (1, 1, 1), "rowid", ["rowid"]),
            ("CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t", "INSERT INTO t VALUES (1)",
             (1, 0, 0), "key", ["id"]),
            (f"CREATE TABLE t ({', '.join(f'c{n}' for n in range(1200))}); INSERT INTO t (c7) VALUES (1)",
             "UPDATE t SET c899 = 0", (0, 0, 1), "rowid", ["rowid"]),
        ):  # fmt: skip
            found = await play.room.changes(play.app, "data.sqlite", play.state(sql, live))
            assert found.tables == [Table("t", known_by, key, *counts)], sql  # type: ignore[arg-type]
            rows = await play.rows(sql, live, "t")
            for kind, count in zip(("inserted", "deleted", "updated"), counts, strict=True):
                assert sum(row.count for row in rows if row.change == kind) == count, sql
        assert rows[0].differs == ["c899"]

    play(root, bun, body)


def test_schemas_that_differ(root: Path, bun: Engine) -> None:
    async def body(play: Scene) -> None:
        sql = (
            f"{SOME}; CREATE TABLE gone (a); INSERT INTO gone VALUES (1); CREATE INDEX i ON people (name);"
            "CREATE TABLE _litestream_seq (id)"
        )
        live = (
            "DROP TABLE gone; DROP INDEX i; ALTER TABLE people ADD COLUMN city DEFAULT 'rome'; CREATE TABLE new (a);"
            "UPDATE people SET name = 'ANN' WHERE id = 1; INSERT INTO _litestream_seq VALUES (1);"
            "CREATE VIEW v AS SELECT 1"
        )
        found = await play.room.changes(play.app, "data.sqlite", play.state(sql, live))
        assert [(each.change, each.kind, each.name) for each in found.schema] == [
            ("removed", "table", "gone"), ("removed", "index", "i"), ("altered", "table", "people"),
            ("added", "table", "new"), ("added", "view", "v"),
        ]  # fmt: skip
        altered = found.schema[2]
        assert altered.before == PEOPLE
        assert "city" in str(altered.after)
        assert found.tables == [
            Table("gone", "rowid", ["rowid"], 0, 1, 0),
            Table("new", "rowid", ["rowid"], 0, 0, 0),
            Table("people", "key", ["id"], 0, 0, 1),
        ]
        page = await play.page(play.folder / "before", "PEOPLE")
        assert (page.old_columns, page.columns) == (["id", "name", "age"], ["id", "name", "age", "city"])
        assert told(page.rows) == [("updated", [1], [1, "ann", 30], [1, "ANN", 30, "rome"], ["name"])]
        for name in ("none", "v", "_litestream_seq", "sqlite_schema"):
            with pytest.raises(SteadyError) as caught:
                await play.page(play.folder / "before", name)
            assert caught.value.code == "not_found", name

    play(root, bun, body)


@needs_cgroups
@pytest.mark.sandbox
def test_memory_has_a_limit(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MEMORY_BYTES_MAX", 48 << 20)

    async def body() -> None:
        async with world(root, bun) as here, limits() as more:
            play = await scene(here, root)
            before = play.state(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, zeroblob(15000000))"
            )
            play.room = Comparison(here.fleet.ground, Tools(bun, True, **more))
            made(play.live, "UPDATE t SET a = hex(a)")
            with pytest.raises(SteadyError) as caught:
                await play.page(before, "t")
            assert (caught.value.code, "more memory" in caught.value.message) == ("sql_error", True), (
                caught.value.message
            )

    run(body())


def test_names_and_values_that_mean_to_harm(root: Path, bun: Engine) -> None:
    async def body(play: Scene) -> None:
        name, column = 'x"; DROP TABLE people; --<script>', "'); DELETE FROM people --\"é"
        quoted = [f'"{text.replace(chr(34), chr(34) * 2)}"' for text in (name, column)]
        table = f'CREATE TABLE {quoted[0]} ({quoted[1]} PRIMARY KEY, "__proto__")'
        sql = f"{SOME}; {table}; INSERT INTO {quoted[0]} VALUES ('<b>', 1)"
        live = f"UPDATE {quoted[0]} SET \"__proto__\" = '${{1}}'"
        rows = await play.rows(sql, live, name)
        assert told(rows) == [("updated", ["<b>"], ["<b>", 1], ["<b>", "${1}"], ["__proto__"])]
        assert play.ask("SELECT count(*) FROM people") == [(3,)]
        brought = await play.back(play.folder / "before", name, [["<b>"]], overwrite=True)
        assert brought.overwritten == 1

    play(root, bun, body)


def test_keys_are_exact(root: Path, bun: Engine) -> None:
    async def body(play: Scene) -> None:
        sql = (
            "CREATE TABLE t (k PRIMARY KEY, v);"
            "INSERT INTO t VALUES (9007199254740993, 1), (x'00ff', 2), (9e999, 3), (1.5, 4),"
            f"('é', 5), ('{'long' * 300}', 6), (CAST(x'c3' AS TEXT), 7), (-9223372036854775808, 8), (2.0, 9)"
        )
        rows = await play.rows(sql, "UPDATE t SET v = -v", "t")
        keys = [row.key for row in rows]
        assert (len(rows), keys.count(None)) == (9, 2)
        named = [key for key in keys if key is not None]
        assert {"integer": "9007199254740993"} in [key[0] for key in named]
        brought = await play.back(play.folder / "before", "t", named, overwrite=True)
        assert (brought.overwritten, brought.skipped) == (7, 0)
        assert play.ask("SELECT count(*) FROM t WHERE v > 0") == [(7,)]
        assert (await play.back(play.folder / "before", "t", overwrite=True)).overwritten == 2

    play(root, bun, body)


def test_pages_hold_so_many_rows_and_bytes(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n LIMIT {})"

    async def body(play: Scene) -> None:
        for table in ("CREATE TABLE t (k PRIMARY KEY, v)", "CREATE TABLE t (rowid, oid, _rowid_)"):
            columns = "k, v" if "k" in table.split("(")[1] else "rowid, oid"
            insert = f"{numbers.format(450)} INSERT INTO t ({columns}) SELECT i, zeroblob(2000) FROM n"
            sql = f"{table}; {insert}"
            before = play.state(sql, "DELETE FROM t")
            first = await play.page(before, "t")
            assert (len(first.rows), first.table.deleted, bool(first.next)) == (200, 450, True)
            rows = await play.rows(sql, "DELETE FROM t", "t")
            assert len({row.before[0] for row in rows if row.before}) == len(rows) == 450
        assert (rows[0].before or [])[1]["bytes"] == 2000
        monkeypatch.setattr(comparison, "ROWS_BYTES_MAX", 10_000)
        cut = await play.page(before, "t")
        assert 0 < len(cut.rows) < 10
        for place in ("x", "e30=", "WzFd", "eyJwaGFzZSI6NSwia2V5IjpudWxsLCJza2lwIjowfQ=="):
            with pytest.raises(SteadyError) as caught:
                await play.page(before, "t", place)
            assert caught.value.code == "invalid"

    play(root, bun, body)


def test_two_earlier_states(root: Path, bun: Engine) -> None:
    async def body(play: Scene) -> None:
        before = play.state(SOME)
        after = made(play.folder / "after 100%?#", f"{SOME}; DELETE FROM people WHERE id = 3")
        found = await play.room.changes(play.app, "gone.sqlite", before, after)
        assert found.tables == [Table("people", "key", ["id"], 0, 1, 0)]
        page = await play.room.page(play.app, "gone.sqlite", after, before, "people")
        assert told(page.rows) == [("inserted", [3], None, [3, "cy", 50], [])]

    play(root, bun, body)


@BOTH
def test_a_running_app_goes_on(root: Path, bun: Engine, sandboxed: bool) -> None:
    """It is compared in place, and what it has in its log counts."""

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(COUNTER)
            await here.ask("/", "POST")
            (root / "states").mkdir(mode=0o755)
            play = await Scene(here, root / "states", sandboxed).start()
            before = made(
                root / "states" / "before",
                "CREATE TABLE visits (id INTEGER PRIMARY KEY, at TEXT); INSERT INTO visits VALUES (5, 'lost')",
            )
            found = await play.room.changes(play.app, "data.sqlite", before)
            assert [(table.inserted, table.deleted) for table in found.tables] == [(1, 1)]
            assert (await play.back(before, "visits")).inserted == 1
            assert play.live.with_name("data.sqlite-wal").stat().st_size, (
                "whoever replicates it reads what was written there"
            )
            assert await here.ask("/", "POST") == "1 3"

    run(body())


def test_what_cannot_be_read(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(play: Scene) -> None:
        before = play.state(SOME)

        async def refused(file: str = "data.sqlite") -> str:
            with pytest.raises(SteadyError) as caught:
                await play.room.changes(play.app, file, before)
            return caught.value.code

        assert await refused("none") == "not_found"
        play.live.with_name("link").symlink_to("data.sqlite")
        assert await refused("link") == "not_found"
        content = before.read_bytes()
        before.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
        assert await refused() == "database_damaged"
        before.write_bytes(content)
        views = "CREATE VIEW v AS SELECT * FROM v2; CREATE VIEW v2 AS SELECT * FROM v; CREATE TABLE z (a COLLATE none)"
        database = sqlite3.connect(before)
        database.create_collation("none", lambda a, b: 0)
        database.executescript(f"{views}; INSERT INTO z VALUES (1)")
        database.close()
        found = await play.room.changes(play.app, "data.sqlite", before)
        assert {table.table: table.deleted for table in found.tables} == {"people": 0, "z": 1}
        monkeypatch.setattr(comparison, "COMPARE_SECONDS_MAX", 0.0)
        assert await refused() == "query_timeout"

    play(root, bun, body)


# ---------------------------------------------------------------------------------------------------- bringing back


@BOTH
def test_rows_come_back_and_live_ones_stay(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body(play: Scene) -> None:
        before = play.state(SOME, LATER)
        brought = await play.back(before, "people", [[1], [2], [3], [4]])
        assert (brought.inserted, brought.overwritten, brought.unchanged, brought.skipped) == (1, 0, 1, 2)
        assert [(skip.key, skip.reason) for skip in brought.skips] == [([2], "differs"), ([4], "not_there")]
        assert play.ask("SELECT * FROM people") == [(1, "ann", 30), (2, "bob", 41), (3, "cy", 50), (9, "x", 1)]
        brought = await play.back(before, "people", overwrite=True)
        assert (brought.inserted, brought.overwritten, brought.unchanged, brought.skipped) == (0, 1, 2, 0)
        assert play.ask("SELECT age FROM people WHERE id = 2") == [(40,)]
        uid = play.here.fleet.ground.place(play.app).uid
        assert uid is None or not sandboxed or play.live.stat().st_uid in (0, uid)

    play(root, bun, body, sandboxed)


def test_a_whole_table_is_made_again(root: Path, bun: Engine) -> None:
    async def body(play: Scene) -> None:
        more = (
            "CREATE UNIQUE INDEX i ON people (name); CREATE TABLE log (what);"
            "CREATE TRIGGER r AFTER INSERT ON people BEGIN INSERT INTO log VALUES (new.name); END"
        )
        before = play.state(f"{SOME}; {more}", "DROP TABLE people")
        brought = await play.back(before, "people")
        assert (brought.inserted, brought.made) == (3, ["people"])
        assert play.ask("SELECT name FROM sqlite_schema WHERE tbl_name = 'people' ORDER BY 1") == [
            ("i",),
            ("people",),
            ("r",),
        ]
        assert play.ask("SELECT count(*) FROM log") == [(0,)], "its trigger comes back after its rows"
        assert (await play.room.changes(play.app, "data.sqlite", before)).schema == []

    play(root, bun, body)


def test_rows_without_a_key_come_back_by_their_content(root: Path, bun: Engine) -> None:
    async def body(play: Scene) -> None:
        sql = "CREATE TABLE t (rowid, oid, _rowid_); INSERT INTO t VALUES (1, 1, 1), (1, 1, 1), (2, 2, NULL)"
        before = play.state(sql, "DELETE FROM t; INSERT INTO t VALUES (1, 1, 1), (7, 7, 7)")
        assert (await play.back(before, "t")).inserted == 2
        assert play.ask("SELECT rowid, count(*) FROM t GROUP BY 1 ORDER BY 1") == [(1, 2), (2, 1), (7, 1)]
        with pytest.raises(SteadyError) as caught:
            await play.back(before, "t", [[1]])
        assert caught.value.code == "invalid"

    play(root, bun, body)


def test_all_or_nothing(root: Path, bun: Engine) -> None:
    async def body(play: Scene) -> None:
        unique = (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, mail UNIQUE ON CONFLICT REPLACE);"
            "INSERT INTO t VALUES (1, 'a'), (2, 'b')"
        )
        check = "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 1), (2, -1)"
        stricter = "CREATE TABLE t (id INTEGER PRIMARY KEY, a CHECK (a > 0))"
        trigger = "CREATE TRIGGER r BEFORE INSERT ON t BEGIN SELECT raise(ABORT, 'not today'); END"
        for sql, live, table, said in (
            (unique, "DELETE FROM t; INSERT INTO t VALUES (7, 'b')", "t", "UNIQUE constraint failed: t.mail"),
            (FAMILY, "DELETE FROM child; DELETE FROM parent", "child", "there is no row of “parent”"),
            (check, f"DROP TABLE t; {stricter}", "t", "CHECK constraint failed"),
            (check, f"DELETE FROM t; {trigger}", "t", "not today"),
        ):
            before = play.state(sql, live)
            rows = play.ask(f"SELECT * FROM {table}")
            with pytest.raises(SteadyError) as caught:
                await play.back(before, table, overwrite=True)
            assert (caught.value.code, said in caught.value.message) == ("conflict", True), caught.value.message
            assert caught.value.details["problems"]
            assert play.ask(f"SELECT * FROM {table}") == rows

    play(root, bun, body)


def test_a_row_may_come_before_the_one_it_refers_to(root: Path, bun: Engine) -> None:
    async def body(play: Scene) -> None:
        sql = "CREATE TABLE t (id INTEGER PRIMARY KEY, up REFERENCES t); INSERT INTO t VALUES (2, NULL), (1, 2)"
        before = play.state(sql, "DELETE FROM t")
        assert (await play.back(before, "t")).inserted == 2

    play(root, bun, body)


def test_what_is_not_brought_back(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(play: Scene) -> None:
        more = "CREATE VIRTUAL TABLE f USING fts5(x); CREATE VIEW v AS SELECT 1; CREATE TABLE _litestream_lock (id)"
        before = play.state(f"{SOME}; {more}", "DELETE FROM people")

        async def refused(table: str, keys: Any = None) -> str:
            with pytest.raises(SteadyError) as caught:
                await play.back(before, table, keys)
            return caught.value.code

        assert [await refused(table) for table in ("f", "f_data", "v")] == ["invalid"] * 3
        assert [await refused(table) for table in ("none", "_litestream_lock", "sqlite_schema")] == ["not_found"] * 3
        assert await refused("people", [[1, 2]]) == "invalid"
        writing = sqlite3.connect(play.live, isolation_level=None)
        writing.execute("BEGIN IMMEDIATE")
        assert await refused("people") == "sql_error"
        writing.close()
        monkeypatch.setattr(comparison, "BACK_SECONDS_MAX", 0.0)
        assert await refused("people") == "query_timeout"
        assert play.ask("SELECT count(*) FROM people") == [(0,)]

    play(root, bun, body)


def test_rows_of_several_tables_come_back_together(root: Path, bun: Engine) -> None:
    async def body(play: Scene) -> None:
        before = play.state(FAMILY, "DELETE FROM child; DELETE FROM parent")
        wish = Wish({"child": [[1]], "parent": None})
        assert (await play.room.bring_back(play.app, "data.sqlite", before, wish)).inserted == 2
        assert play.ask("SELECT p FROM child") == [(1,)]

    play(root, bun, body)


def test_keys_have_a_form_and_there_are_so_many() -> None:
    good: list[Any] = [1, -1.5, "x", {"integer": "-9223372036854775808"}, {"base64": ""}]
    good += [{"real": "-Infinity"}, {"real": "2.0"}]
    for keys in (None, [good], [[1]] * 1000):
        assert checked(Wish({"t": keys})).tables["t"] == keys
    bad: list[Any] = [None, True, [], {}, {"integer": "x"}, {"integer": "9" * 30}, {"base64": "?"}, {"real": "nan"}]
    for value in [*bad, {"text": "x"}, 2**53]:
        with pytest.raises(SteadyError) as caught:
            checked(Wish({"t": [[value]]}))
        assert caught.value.code == "invalid", value
    for tables in ({"t": [[1]] * 1001}, {"t": [["x" * 70_000]]}, {"t": [[1]] * 600, "u": [[1]] * 600}):
        with pytest.raises(SteadyError) as caught:
            checked(Wish(tables))
        assert caught.value.code == "too_large"
