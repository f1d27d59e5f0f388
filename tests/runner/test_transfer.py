"""Files taken out of a database and put into one: what goes round comes back the same, what fails changes nothing."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.runner import transfer
from steadyd.runner.engine import Engine
from steadyd.runner.query import Databases
from tests.runner.browsing import Browser
from tests.runner.conftest import BOTH, COUNTER, run, world
from tests.runner.test_browsing import QUICK, VALUES, everything, filled, made

EVERYTHING = """
CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT, w TEXT UNIQUE, r REAL, g AS (id + 1)); INSERT INTO a VALUES
(9, 'x', 1);
INSERT INTO a VALUES (8, 'it''s;' || char(10), 9e999), (7, CAST(x'ff' AS TEXT), -9223372036854775808);
DELETE FROM a WHERE id = 9;
CREATE TABLE "o""d;d" (a, b); INSERT INTO "o""d;d" (rowid, a) VALUES (50, x'00'), (-1, 'a' || char(0) || 'b');
CREATE TABLE k (a TEXT, b INT, PRIMARY KEY (b, a)) WITHOUT ROWID; INSERT INTO k VALUES ('z', 1), ('a', 2);
CREATE TABLE s (n INT) STRICT; CREATE VIRTUAL TABLE f USING fts5(x, y UNINDEXED);
INSERT INTO f (rowid, x) VALUES (4, 'word');
CREATE VIRTUAL TABLE e USING fts5(w, content='a', content_rowid='id'); INSERT INTO e (e) VALUES ('rebuild');
CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); INSERT INTO r VALUES (1, 0, 2);
CREATE INDEX i ON a (w COLLATE NOCASE) WHERE r > 0; CREATE VIEW v AS SELECT w FROM a -- a comment
; CREATE TRIGGER t AFTER INSERT ON s BEGIN INSERT INTO k VALUES ('t', new.n); SELECT 1; END;
INSERT INTO s VALUES (5); PRAGMA user_version = 7; PRAGMA application_id = 12; ANALYZE;
CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER); INSERT INTO _litestream_seq VALUES (1, 2);
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def whole(database: sqlite3.Connection) -> list[Any]:
    """All of the app's own in a database, exactly."""
    own = "name NOT LIKE 'sqlite_%' AND tbl_name NOT LIKE '_litestream%'"
    found: list[Any] = sorted(database.execute(f"SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE {own}"))
    kinds = dict(database.execute("SELECT name, type FROM pragma_table_list WHERE schema = 'main'"))
    tables = [name for kind, name, *_ in found if kind == "table" and kinds[name] != "shadow"]
    for name in tables + (["sqlite_sequence"] if "sqlite_sequence" in kinds else []):
        quoted = '"' + name.replace('"', '""') + '"'
        columns = [row[1] for row in database.execute(f"PRAGMA table_xinfo({quoted})") if row[6] != 1]
        texts = ", ".join(f'typeof("{column}"), hex("{column}")' for column in columns)
        key = "" if name in ("k",) else "rowid, "
        key = "" if name == "sqlite_sequence" else key
        found.append((name, sorted(database.execute(f"SELECT {key}{texts} FROM {quoted}").fetchall())))
    found += [database.execute(f"PRAGMA {name}").fetchone() for name in ("user_version", "application_id")]
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return found


def opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    return database


def test_a_dump_makes_the_same_again(browser: Browser, tmp_path: Path, folder: Path) -> None:
    made(tmp_path / "data.sqlite", EVERYTHING).close()
    done = browser.take(tmp_path / "data.sqlite", folder, "sql")
    assert "error" not in done, done
    text = (folder / "made").read_bytes()
    assert done["bytes"] == len(text)
    assert b"_litestream" not in text
    made(tmp_path / "other.sqlite", "").close()
    (folder / "made").rename(folder / "sent")
    put = browser.put(tmp_path / "other.sqlite", folder, "sql")
    assert "error" not in put, put
    first, second = opened(tmp_path / "data.sqlite"), opened(tmp_path / "other.sqlite")
    assert whole(first) == whole(second)
    assert second.execute("SELECT rowid FROM e WHERE e MATCH 'it'").fetchall() == [(8,)]
    plain = sqlite3.connect(":memory:")  # and SQLite's own shell would read it
    plain.executescript(text.decode())
    first.close()
    second.close()


def test_a_database_takes_the_place_of_another(browser: Browser, tmp_path: Path, folder: Path) -> None:
    """In one transaction, so whoever has it open, or replicates it, goes on."""
    made(folder / "sent", EVERYTHING).close()
    other = made(tmp_path / "data.sqlite", EVERYTHING.replace("'word'", "'other'") + "; CREATE TABLE gone (a)")
    done = browser.put(tmp_path / "data.sqlite", folder, "sqlite", replace=True)
    assert "error" not in done, done
    first, second = opened(folder / "sent"), opened(tmp_path / "data.sqlite")
    assert whole(first) == whole(second)
    assert other.execute("SELECT * FROM _litestream_seq").fetchall() == [(1, 2)]
    assert other.execute("SELECT x FROM f").fetchall() == [("word",)]
    for database in (first, second, other):
        database.close()


def test_a_database_comes_as_a_new_file(browser: Browser, tmp_path: Path, folder: Path) -> None:
    made(folder / "sent", EVERYTHING).close()
    for name in ("new.sqlite", "deep/er/new"):
        assert "error" not in browser.put(tmp_path / name, folder, "sqlite")
        first, second = opened(folder / "sent"), opened(tmp_path / name)
        assert whole(first) == whole(second)
        first.close()
        second.close()
    again = browser.put(tmp_path / "new.sqlite", folder, "sqlite")
    assert again["error"]["code"] == "conflict"
    (tmp_path / "link").symlink_to("elsewhere")
    assert browser.put(tmp_path / "link", folder, "sqlite")["error"]["code"] == "conflict"
    assert not (tmp_path / "elsewhere").exists()
    content = bytearray((folder / "sent").read_bytes())
    content[5000:9000] = os.urandom(4000)
    for damaged in (bytes(content), b"", b"SQLite format 3\0", b"no database"):
        (folder / "sent").write_bytes(damaged)
        for replace in (False, True):
            put = browser.put(tmp_path / ("new.sqlite" if replace else "n"), folder, "sqlite", replace=replace)
            assert put["error"]["code"] == "database_damaged", put
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith((".", "n"))) == ["new.sqlite"]


@pytest.mark.parametrize("kind", ["rowid", "integer key", "no rowid"])
@QUICK
@given(rows=st.lists(st.tuples(VALUES, VALUES), max_size=10))
def test_any_table_goes_round_as_sql(browser: Browser, tmp_path: Path, kind: str, rows: list[Any]) -> None:
    first = filled(tmp_path / "data.sqlite", kind, rows)
    second = made(tmp_path / "other.sqlite", "")
    assert browser.take(tmp_path / "data.sqlite", tmp_path, "sql", table="t")["rows"] == len(rows)
    (tmp_path / "made").rename(tmp_path / "sent")
    put = browser.put(tmp_path / "other.sqlite", tmp_path, "sql")
    assert "error" not in put, put
    assert everything(first, "no rowid" not in kind) == everything(second, "no rowid" not in kind)
    first.close()
    second.close()


TYPED = st.tuples(
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    st.one_of(st.none(), st.floats(allow_nan=False)),
    st.one_of(st.none(), st.text(max_size=8)),
    st.one_of(st.none(), st.binary(max_size=4)),
)


@QUICK
@given(rows=st.lists(TYPED, max_size=12))
def test_a_typed_table_goes_round_as_csv(browser: Browser, tmp_path: Path, rows: list[Any]) -> None:
    script = "CREATE TABLE t (i INTEGER, r REAL, w TEXT, b BLOB) STRICT"
    first, second = made(tmp_path / "data.sqlite", script), made(tmp_path / "other.sqlite", script)
    first.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
    browser.take(tmp_path / "data.sqlite", tmp_path, "csv", table="t")
    (tmp_path / "made").rename(tmp_path / "sent")
    put = browser.put(tmp_path / "other.sqlite", tmp_path, "csv", table="t")
    assert (put.get("error"), put.get("rows")) == (None, len(rows))
    assert everything(first) == everything(second)
    first.close()
    second.close()


@QUICK
@given(words=st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=6))
def test_one_column_goes_round_as_csv(browser: Browser, tmp_path: Path, words: list[Any]) -> None:
    first, second = (made(tmp_path / name, "CREATE TABLE t (w TEXT)") for name in ("data.sqlite", "other.sqlite"))
    first.executemany("INSERT INTO t VALUES (?)", [(word,) for word in words])
    browser.take(tmp_path / "data.sqlite", tmp_path, "csv", table="t")
    (tmp_path / "made").rename(tmp_path / "sent")
    assert browser.put(tmp_path / "other.sqlite", tmp_path, "csv", table="t")["rows"] == len(words)
    assert everything(first) == everything(second)
    first.close()
    second.close()


def test_types_are_guessed_and_told(browser: Browser, tmp_path: Path, folder: Path) -> None:
    database = made(tmp_path / "data.sqlite", "CREATE TABLE old (a, b)")
    (folder / "sent").write_text(
        "id,zip,price,note,raw,none\n1,007,2,\"a\nb\",x'00',\n-2,100,1.5,\"\",x'',\n", "utf-8-sig"
    )
    put = browser.put(tmp_path / "data.sqlite", folder, "csv", table='n"ew')
    assert (put["created"], put["rows"], put["table"]) == (True, 2, 'n"ew')
    types = {column["name"]: column["type"] for column in put["columns"]}
    assert types == {"id": "INTEGER", "zip": "TEXT", "price": "REAL", "note": "TEXT", "raw": "BLOB", "none": "TEXT"}
    assert database.execute('SELECT * FROM "n""ew"').fetchall() == [
        (1, "007", 2.0, "a\nb", b"\0", None), (-2, "100", 1.5, "", b"", None),
    ]  # fmt: skip
    (folder / "sent").write_text("b;a\r\n1;2\r\n")
    assert browser.put(tmp_path / "data.sqlite", folder, "csv", table="OLD", delimiter=";")["created"] is False
    assert database.execute("SELECT a, b FROM old").fetchall() == [("2", "1")]
    (folder / "sent").write_text("5,6\n")
    browser.put(tmp_path / "data.sqlite", folder, "csv", table="bare", header=False)
    assert database.execute("SELECT column1, column2 FROM bare").fetchall() == [(5, 6)]
    database.close()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a,b\n1,2\n1,2,3\n", 3, "3 values"), ('a,b\n"x\ny",1\n1\n', 4, "1 values"), ("a,c\n1,2\n", 1, "no column"),
        ("a,b\n1,2\n1,2\n", 3, "UNIQUE"), ('a,b\n1,"2\n', None, "not closed"), ('a,b\n1,"2"x\n', None, "follows"),
        ("", None, "empty"), ("a,b\n\x00,\x00\n1,2\n1,4\n", 4, "UNIQUE"),
    ],
)  # fmt: skip
def test_a_csv_file_that_does_not_fit_changes_nothing(
    browser: Browser, tmp_path: Path, text: str, line: int | None, said: str
) -> None:
    database = made(tmp_path / "data.sqlite", "CREATE TABLE t (a UNIQUE, b)")
    (tmp_path / "sent").write_text(text)
    error = browser.put(tmp_path / "data.sqlite", tmp_path, "csv", table="t", create=False)["error"]
    assert said in error["message"], error
    assert error["details"].get("line") == line
    assert database.execute("SELECT count(*) FROM t").fetchone() == (0,)
    for table, create, code in (("none", False, "not_found"), ("", True, "invalid")):
        (tmp_path / "sent").write_text("a\n1\n")
        refused = browser.put(tmp_path / "data.sqlite", tmp_path, "csv", table=table, create=create)
        assert refused["error"]["code"] == code
    (tmp_path / "sent").write_bytes(b"a,b\n\xff,1\n")
    assert "UTF-8" in browser.put(tmp_path / "data.sqlite", tmp_path, "csv", table="t")["error"]["message"]
    database.close()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("INSERT INTO t VALUES (1);\n\nINSERT INTO t\nVALUES (1);", 3, "UNIQUE"), ("SELEC 1;", 1, "syntax"),
        ("INSERT INTO t VALUES (3);\nATTACH 'x' AS x;", 2, "Not possible"), ("VACUUM;", 1, "VACUUM"),
        ("INSERT INTO t VALUES (3);\nPRAGMA writable_schema=ON;", 2, "Not possible"), ("SELECT 'a", 1, "unrecognized"),
        ("INSERT INTO t VALUES (3); ROLLBACK;", 1, "Not possible"), ("CREATE TRIGGER x AFTER", 1, "incomplete"),
    ],
)  # fmt: skip
def test_statements_that_fail_change_nothing(browser: Browser, tmp_path: Path, text: str, line: int, said: str) -> None:
    database = made(tmp_path / "data.sqlite", "CREATE TABLE t (a UNIQUE)")
    (tmp_path / "sent").write_text(text)
    error = browser.put(tmp_path / "data.sqlite", tmp_path, "sql")["error"]
    assert (error["details"]["line"], said in error["message"]) == (line, True), error
    assert database.execute("SELECT count(*) FROM t").fetchone() == (0,)
    database.close()


def test_large_values_in_statements(browser: Browser, tmp_path: Path) -> None:
    database = made(
        tmp_path / "data.sqlite",
        "CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(5000000)), ('''' || hex(zeroblob(2000000)))",
    )
    browser.take(tmp_path / "data.sqlite", tmp_path, "sql")
    (tmp_path / "made").rename(tmp_path / "sent")
    other = made(tmp_path / "other.sqlite", "")
    assert "error" not in browser.put(tmp_path / "other.sqlite", tmp_path, "sql")
    assert everything(database) == everything(other)
    database.close()
    other.close()


def test_what_is_taken_out_is_what_others_read(browser: Browser, tmp_path: Path) -> None:
    database = made(
        tmp_path / "data.sqlite", "CREATE TABLE t (a, b);INSERT INTO t VALUES (9007199254740993, 'x,\"'), (1.0, NULL)"
    )
    path = tmp_path / "data.sqlite"
    browser.take(path, tmp_path, "csv", table="t")
    with (tmp_path / "made").open() as read:
        assert list(csv.reader(read)) == [["a", "b"], ["9007199254740993", 'x,"'], ["1.0", ""]]
    browser.take(path, tmp_path, "json", sql="SELECT a, a, x'00' AS b, 9e999 AS c FROM t")
    found = json.loads((tmp_path / "made").read_text())
    assert found[0] == {"a": 2**53 + 1, "a_2": 2**53 + 1, "b": {"base64": "AA=="}, "c": "Infinity"}
    browser.take(path, tmp_path, "json", sql="SELECT 1 WHERE 0")
    assert json.loads((tmp_path / "made").read_text()) == []
    browser.take(path, tmp_path, "ndjson", table="t")
    assert [json.loads(line)["b"] for line in (tmp_path / "made").read_text().splitlines()] == ['x,"', None]
    browser.take(path, tmp_path, "sql", sql="SELECT b AS x FROM t")
    plain = sqlite3.connect(":memory:")
    plain.executescript((tmp_path / "made").read_text())
    assert plain.execute('SELECT x FROM "query"').fetchall() == [('x,"',), (None,)]
    browser.take(path, tmp_path, "sqlite")
    copied = sqlite3.connect(tmp_path / "made")
    assert copied.execute("SELECT count(*) FROM t").fetchone() == (2,)
    copied.close()
    for wanted in ({"bytes": 10}, {"sql": "DELETE FROM t"}, {"table": "none"}):
        assert "error" in browser.take(path, tmp_path, "csv", **{"table": "t", **wanted}), wanted
    assert browser.take(path, tmp_path, "sqlite", bytes=10)["error"]["code"] == "too_large"
    database.close()


@BOTH
def test_a_file_is_made_and_is_gone_afterwards(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(COUNTER)
            await here.ask("/", "POST")
            databases, app = Databases(here.fleet.ground, here.tools), await here.app()
            for name in ("csv", "sqlite"):
                request = {"file": "data.sqlite", "format": name, "table": "visits", "sql": ""}
                async with transfer.made(databases, app, request) as found:
                    content = b"".join([piece async for piece in found.pieces()])
                    assert len(content) == found.size
                    assert content.startswith(b"id,at\n1,now" if name == "csv" else b"SQLite format 3\0")
            assert list(here.fleet.ground.place(app).scratch.iterdir()) == []

    run(body())


def test_whatever_a_child_leaves_is_opened_as_a_file_only(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "none"):
        with pytest.raises(SteadyError) as caught:
            transfer._opened(tmp_path / name)
        assert caught.value.code == "database_damaged"


def test_what_is_sent_is_kept_whole(tmp_path: Path) -> None:
    async def sent() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    assert asyncio.run(transfer.keep(tmp_path, sent())) == 3
    assert (tmp_path / "sent").read_bytes() == b"abc"
