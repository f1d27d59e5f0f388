"""Pages of rows and edits of them (harness/rows.ts, harness/edits.ts): properties over random tables, and tables that
somebody made to be troublesome."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runner.browsing import Browser

VALUES = st.one_of(
    st.none(),
    st.integers(-3, 3),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0.5, 1.0, -0.0, 2.0**60, float("inf"), 1e300]),
    st.sampled_from(["", "a", "A", "b", "é", "\0x", "\ufffd", "10", "9" * 400]),
    st.binary(max_size=3),
)
KINDS = {
    "rowid": "CREATE TABLE t (a, b)",
    "integer key": "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)",
    "typed": "CREATE TABLE t (a TEXT COLLATE NOCASE, b REAL)",
    "no rowid": "CREATE TABLE t (n INTEGER NOT NULL, k TEXT, a, b, PRIMARY KEY (k DESC, n)) WITHOUT ROWID",
    "key that collates otherwise": "CREATE TABLE t (k TEXT COLLATE NOCASE, a, b, PRIMARY KEY (k COLLATE BINARY)) "
    "WITHOUT ROWID",
    "names taken": "CREATE TABLE t (rowid, _rowid_, a, b)",
}
TELLS = dict.fromkeys(KINDS, "oid") | {"no rowid": "n", "key that collates otherwise": "k"}
"""What tells a row, of which its key is made."""
QUICK = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as made:
        yield made


def made(path: Path, script: str) -> sqlite3.Connection:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; {script}")
    return database


def filled(path: Path, kind: str, rows: list[tuple[Any, Any]]) -> sqlite3.Connection:
    database = made(path, KINDS[kind])
    database.execute("BEGIN")
    for number, (a, b) in enumerate(rows):
        columns, values = "a, b", [a, b]
        if kind == "no rowid":
            columns, values = "n, k, a, b", [number, "kK"[number % 2], a, b]
        elif kind == "key that collates otherwise":
            columns, values = "k, a, b", [chr(65 + number % 26) + "xX"[number % 2] + str(number // 26), a, b]
        database.execute(f"INSERT INTO t ({columns}) VALUES ({', '.join('?' * len(values))})", values)
    database.execute("COMMIT")
    return database


def everything(database: sqlite3.Connection, rowids: bool = True) -> list[tuple[Any, ...]]:
    columns = [f"{how}" for name in _names(database) for how in (f'typeof("{name}")', f'hex("{name}")', f'"{name}"')]
    key = "oid, " if rowids else ""
    return sorted(database.execute(f"SELECT {key}{', '.join(columns)} FROM t").fetchall(), key=repr)


def _names(database: sqlite3.Connection) -> list[str]:
    return [str(row[1]) for row in database.execute("PRAGMA table_xinfo(t)")]


@pytest.mark.parametrize("kind", KINDS)
@QUICK
@given(
    rows=st.lists(st.tuples(VALUES, VALUES), max_size=25), size=st.integers(1, 7),
    order=st.tuples(st.sampled_from(["", "a", "b"]), st.booleans()),
)  # fmt: skip
def test_every_row_is_on_one_page_in_the_database_s_own_order(
    browser: Browser, tmp_path: Path, kind: str, rows: list[Any], size: int, order: tuple[str, bool]
) -> None:
    sort, descending = order
    path = tmp_path / "data.sqlite"
    database = filled(path, kind, rows)
    found = browser.pages(path, "t", rows=size, sort=sort, descending=descending)
    keys = [repr(row["key"]) for row in found]
    assert len(set(keys)) == len(keys) == len(rows)
    if sort:
        by = f"ORDER BY {sort}{' DESC' if descending else ''}"
        ranks = dict(database.execute(f"SELECT {TELLS[kind]}, dense_rank() OVER ({by}) FROM t"))
        whole = browser.page(path, "t", rows=1000, sort=sort, descending=descending)["rows"]
        assert [row["key"] for row in whole] == [row["key"] for row in found]
        collated = [ranks[row["key"][-1 if kind == "no rowid" else 0]] for row in found]
        assert collated == sorted(collated)
        shown = [row["values"][_names(database).index(sort)] for row in found]
        assert [value is None for value in shown] == sorted((v is None for v in shown), reverse=not descending)
    database.close()


@QUICK
@given(
    numbers=st.lists(st.integers(0, 5), min_size=1, max_size=20),
    more=st.lists(st.integers(0, 5), max_size=5),
    descending=st.booleans(),
)
def test_what_comes_and_goes_meanwhile_hides_no_row_and_shows_none_twice(
    browser: Browser, tmp_path: Path, numbers: list[int], more: list[int], descending: bool
) -> None:
    path = tmp_path / "data.sqlite"
    database = made(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
    database.executemany("INSERT INTO t (a) VALUES (?)", [(number,) for number in numbers])
    seen, after = [], ""
    while True:
        answer = browser.page(path, "t", rows=2, sort="a", descending=descending, after=after)
        seen += [row["key"][0] for row in answer["rows"]]
        if not answer["more"]:
            break
        after = answer["next"]
        if more:
            database.execute("INSERT INTO t (a) VALUES (?)", [more.pop()])
        database.execute("DELETE FROM t WHERE id = ?", [seen[-1]])  # the row that the cursor names
    assert len(seen) == len(set(seen))
    assert set(range(1, len(numbers) + 1)) <= set(seen)
    database.close()


@pytest.mark.parametrize("kind", KINDS)
@QUICK
@given(
    rows=st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=6),
    to=st.tuples(VALUES, VALUES),
    what=st.lists(st.sampled_from(["update", "delete"]), min_size=1, max_size=2),
)
def test_edits_and_their_undo_are_nothing(
    browser: Browser, tmp_path: Path, kind: str, rows: list[Any], to: tuple[Any, Any], what: list[str]
) -> None:
    path = tmp_path / "data.sqlite"
    database = filled(path, kind, rows)
    rowids = "no rowid" not in kind and "otherwise" not in kind
    before = everything(database, rowids)
    donor = made(tmp_path / "donor.sqlite", KINDS["rowid"])
    donor.execute("INSERT INTO t VALUES (?, ?)", to)
    wanted = browser.page(tmp_path / "donor.sqlite", "t")["rows"][0]["values"]
    answer = browser.page(path, "t", rows=100)
    edits = []
    for op, row in zip(what, answer["rows"], strict=False):
        was = dict(zip(answer["columns"], row["values"], strict=True))
        if op == "delete":
            edits.append({"op": "delete", "key": row["key"], "was": was})
        else:
            kept = {"a": was["a"], "b": was["b"]}
            edits.append({"op": "update", "key": row["key"], "set": dict(zip("ab", wanted, strict=True)), "was": kept})
    done = browser.edit(path, "t", edits)
    assert "error" not in done, done
    assert done["further"] == 0
    undone = browser.edit(path, "t", done["undo"])
    assert "error" not in undone, undone
    assert everything(database, rowids) == before
    assert browser.edit(path, "t", undone["undo"]).get("error") is None
    database.close()
    donor.close()


def test_a_row_that_is_not_what_it_was_is_not_touched(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "data.sqlite"
    database = made(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    first = {"op": "update", "key": [1], "set": {"a": "z"}, "was": {"a": "x"}}
    second = {"op": "update", "key": [2], "set": {"a": "z"}, "was": {"a": "other"}}
    said = browser.edit(path, "t", [first, second])["error"]
    assert (said["code"], said["details"]["edit"], said["details"]["now"]) == ("row_changed", 1, "y")
    for was in (1, {"base64": "eA=="}, None):
        assert browser.edit(path, "t", [{**first, "was": {"a": was}}])["error"]["code"] == "row_changed"
    assert browser.edit(path, "t", [{**first, "key": [9]}])["error"]["code"] == "row_changed"
    assert browser.edit(path, "t", [{**first, "was": {}}])["error"]["code"] == "invalid"
    assert database.execute("SELECT a FROM t").fetchall() == [("x",), ("y",)]
    assert browser.edit(path, "t", [first])["undo"] == [
        {"op": "update", "key": [1], "set": {"a": "x"}, "was": {"a": "z"}}
    ]
    moved = browser.edit(path, "t", [{"op": "update", "key": [1], "set": {"id": 7}, "was": {"id": 1}}])
    assert moved["keys"] == [[7]]
    browser.edit(path, "t", moved["undo"])
    assert database.execute("SELECT id FROM t").fetchall() == [(1,), (2,)]
    database.close()


def test_what_is_cut_is_compared_as_far_as_it_was_shown(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "data.sqlite"
    database = made(path, "CREATE TABLE t (a, b)")
    database.execute("INSERT INTO t VALUES (?, ?)", ["é" * 50_000, b"\1" * 100_000])
    row = browser.page(path, "t")["rows"][0]
    text, blob = row["values"]
    assert (text["bytes"], blob["bytes"]) == (100_000, 100_000)
    assert text["head"] + "é" * (50_000 - len(text["head"])) == "é" * 50_000
    assert len(base64.b64decode(blob["base64"])) == 4096
    wanted = {"op": "update", "key": row["key"], "set": {"a": 1, "b": 2}, "was": {"a": text, "b": blob}}
    assert browser.edit(path, "t", [{**wanted, "was": {"a": {**text, "bytes": 9}, "b": blob}}])["error"]["code"] == (
        "row_changed"
    )
    assert browser.edit(path, "t", [{**wanted, "set": {"a": text}}])["error"]["code"] == "invalid"
    done = browser.edit(path, "t", [wanted])
    assert database.execute("SELECT * FROM t").fetchall() == [(1, 2)]
    assert "error" not in browser.edit(path, "t", done["undo"])
    assert database.execute("SELECT length(a), length(b) FROM t").fetchall() == [(50_000, 100_000)]
    database.execute("UPDATE t SET b = zeroblob(2000000)")
    row = browser.page(path, "t")["rows"][0]
    was = {"b": row["values"][1]}
    assert browser.edit(path, "t", [{"op": "delete", "key": row["key"], "was": was}])["undo"] is None
    database.close()


def test_filters_and_columns(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "data.sqlite"
    script = (
        "CREATE TABLE t (n INTEGER, w TEXT); INSERT INTO t VALUES (1, 'one'), (2, 'two'), (NULL, NULL), (10, 'ten')"
    )
    database = made(path, script)

    def found(column: str, how: str, value: Any = None) -> list[Any]:
        filters = [{"column": column, "is": how, "value": value}]
        return [row["values"][0] for row in browser.page(path, "t", filters=filters, columns=["n"])["rows"]]

    assert found("n", "=", 2) == [2]
    assert found("n", ">", "1") == [2, 10]
    assert found("n", "!=", 1) == [2, 10]
    assert found("n", "null") == [None]
    assert found("w", "not null") == [1, 2, 10]
    assert found("w", "contains", "e") == [1, 10]
    assert found("w", "like", "T%") == [2, 10]
    assert found("w", "glob", "t*n") == [10]
    assert found("w", "=", "' OR 1 --") == []
    for filters in (
        [{"column": "x", "is": "="}],
        [{"column": "n", "is": "constructor"}],
        [{"column": "n", "is": "="}] * 33,
    ):
        assert browser.page(path, "t", filters=filters)["error"]["code"] == "invalid"
    for wanted in ({"sort": "x"}, {"columns": ["x"]}, {"after": "nonsense"}, {"after": "e30"}):
        assert browser.page(path, "t", **wanted)["error"]["code"] == "invalid", wanted
    assert browser.page(path, "none")["error"]["code"] == "not_found"
    assert browser.page(path, "t\0")["error"]["code"] == "not_found"
    database.close()


NAMES = ['a"b', "a\nb", "é😀", "select", " ", "a]b", "'", "constructor", "__proto__", "x" * 300, "a`b;--"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_only_a_name(browser: Browser, tmp_path: Path, name: str) -> None:
    path = tmp_path / "data.sqlite"
    quoted = '"' + name.replace('"', '""') + '"'
    database = made(path, f"CREATE TABLE {quoted} ({quoted} TEXT, other); INSERT INTO {quoted} VALUES ('v', 1)")
    assert browser.page(path, name, sort=name, columns=[name])["rows"] == [{"key": [1], "values": ["v"]}]
    done = browser.edit(path, name, [{"op": "update", "key": [1], "set": {name: "w"}, "was": {name: "v"}}])
    assert done["undo"] == [{"op": "update", "key": [1], "set": {name: "v"}, "was": {name: "w"}}]
    assert browser.edit(path, name, [{"op": "update", "key": [1], "set": {"other": 2}, "was": {}}])["error"][
        "code"
    ] == ("invalid")
    described = browser.ask("describe", path)
    assert [table["name"] for table in described["tables"]] == [name]
    database.close()


def test_two_thousand_columns(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "data.sqlite"
    names = [f"c{number}" for number in range(2_000)]
    database = made(path, f"CREATE TABLE t ({', '.join(names)}); INSERT INTO t (c0) VALUES (1)")
    assert len(browser.page(path, "t")["rows"][0]["values"]) == 1_900
    assert browser.page(path, "t", columns=names)["error"]["code"] == "invalid"
    assert browser.page(path, "t", sort="c1999", columns=["c0"])["rows"][0]["values"] == [1]
    assert len(browser.ask("describe", path)["tables"][0]["columns"]) == 2_000
    row = browser.page(path, "t")["rows"][0]
    was = dict(zip(names, row["values"], strict=False))
    done = browser.edit(path, "t", [{"op": "delete", "key": row["key"], "was": was}])
    assert len(done["undo"][0]["set"]) == 2_000
    assert "error" not in browser.edit(path, "t", done["undo"])
    assert database.execute("SELECT count(c0) FROM t").fetchone() == (1,)
    database.close()


def test_tables_of_every_kind(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "data.sqlite"
    database = made(
        path,
        """
        CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES ('a b'), ('c');
        CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); INSERT INTO r VALUES (1, 0, 2);
        CREATE TABLE s (id INTEGER PRIMARY KEY, n INT, g TEXT AS (n || '!') STORED) STRICT; INSERT INTO s VALUES (5, 1);
        CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p ON DELETE CASCADE);
        INSERT INTO p VALUES (1); INSERT INTO c VALUES (1), (1);
        CREATE TABLE log (what); CREATE TRIGGER told AFTER INSERT ON p BEGIN INSERT INTO log VALUES (new.id); END;
        CREATE VIEW v AS SELECT n, n + 1 AS m FROM s; CREATE VIEW bad AS SELECT * FROM gone;
        CREATE VIEW loop AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 250) SELECT i FROM n;
        CREATE INDEX odd ON s (n, lower(g)) WHERE n > 0;
        CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
        """,
    )
    told = {table["name"]: table for table in browser.ask("describe", path)["tables"]}
    assert (told["f"]["kind"], told["f_data"]["kind"], told["v"]["kind"]) == ("virtual", "shadow", "view")
    assert told["s"]["strict"]
    assert told["s"]["columns"][2]["generated"]
    assert told["s"]["indexes"][0]["columns"] == ["n", None]
    assert told["c"]["foreign_keys"][0]["on_delete"] == "CASCADE"
    assert told["p"]["triggers"][0]["name"] == "told"
    assert "gone" in told["bad"]["problem"]
    assert [name for name, table in told.items() if table["platform"]] == ["_litestream_seq"]
    assert (told["s"]["rows"], told["s"]["rows_exact"], "rows" in told["v"]) == (1, True, False)
    assert browser.page(path, "v")["rows"] == [{"key": None, "values": [1, 2]}]
    assert len(browser.pages(path, "loop", rows=100)) == 250
    assert browser.page(path, "bad")["error"]["code"] == "sql_error"
    for table in ("f", "r", "s"):
        row = browser.page(path, table)["rows"][0]
        names = browser.page(path, table)["columns"]
        before = database.execute(f"SELECT * FROM {table}").fetchall()
        wanted = {"op": "delete", "key": row["key"], "was": dict(zip(names, row["values"], strict=True))}
        done = browser.edit(path, table, [wanted])
        assert (done.get("error"), done["further"]) == (None, 0), table
        assert "error" not in browser.edit(path, table, done["undo"]), table
        assert database.execute(f"SELECT * FROM {table}").fetchall() == before
    refused = {"op": "update", "key": [5], "set": {"n": "x"}, "was": {"n": 1}}
    assert "INT" in browser.edit(path, "s", [refused])["error"]["message"]
    assert browser.edit(path, "p", [{"op": "delete", "key": [1], "was": {"id": 1}}])["further"] == 2
    assert browser.edit(path, "p", [{"op": "insert", "set": {"id": 3}}])["further"] == 1
    for table in ("v", "f_data", "_litestream_seq", "sqlite_schema"):
        assert "error" in browser.edit(path, table, [{"op": "insert", "set": {}}]), table
    database.close()


def test_a_trigger_without_end_ends(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "data.sqlite"
    script = "CREATE TABLE t (a); CREATE TRIGGER x AFTER INSERT ON t BEGIN INSERT INTO t VALUES (new.a + 1); END"
    database = made(path, f"PRAGMA recursive_triggers = ON; {script}")
    done = browser.edit(path, "t", [{"op": "insert", "set": {"a": 1}}])
    assert "error" not in done or "recursion" in done["error"]["message"]
    assert browser.page(path, "t")["rows"]
    database.close()


def test_text_that_is_no_text_comes_and_goes_as_it_is(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "data.sqlite"
    database = made(path, "CREATE TABLE t (a TEXT); INSERT INTO t VALUES (CAST(x'ff41' AS TEXT)), ('\ufffd')")
    bad, good = (row["values"][0] for row in browser.page(path, "t")["rows"])
    assert (bad, good) == ({"text": base64.b64encode(b"\xffA").decode()}, "\ufffd")
    done = browser.edit(path, "t", [{"op": "delete", "key": [1], "was": {"a": bad}}])
    browser.edit(path, "t", done["undo"])
    assert database.execute("SELECT hex(a), typeof(a) FROM t WHERE rowid = 1").fetchone() == ("FF41", "text")
    database.close()


STATEMENTS = [
    "SELECT 1",
    "\n-- a ; b\nSELECT ';' AS \";\"",
    "/* ; */ CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; UPDATE t SET a = CASE WHEN 1 THEN 2 END; END",
    "create temp trigger y after insert on t begin select 'end;'; end",
    "CREATE TABLE [a;b] (`c;d`)",
]


@QUICK
@given(
    chosen=st.lists(st.sampled_from(STATEMENTS), max_size=5), cuts=st.lists(st.integers(0, 400), max_size=8),
    semicolon=st.booleans(),
)  # fmt: skip
def test_statements_are_told_apart_however_they_arrive(
    browser: Browser, chosen: list[str], cuts: list[int], semicolon: bool
) -> None:
    text = ";".join(chosen) + (";" if semicolon else "")
    at = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(at)]
    found = browser.ask("split", pieces=pieces)
    whole = browser.ask("split", pieces=[text])
    assert found == whole
    assert len(found) == len(chosen)
    for statement, said in zip(found, chosen, strict=True):
        assert said.strip().endswith(statement["sql"].strip())
        assert text.splitlines()[statement["line"] - 1].strip() == "" or statement["sql"].split()[0] in text
