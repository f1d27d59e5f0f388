"""`steadyd sql` against a real daemon: as a command, in a pipe, and typed at a terminal."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from steadyd.cli.sql import READS, entries
from tests.cli.conftest import Api, Steadyd
from tests.cli.pty import Typed
from tests.served import Daemon

SOURCE = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS guests (id INTEGER PRIMARY KEY, name TEXT, photo BLOB)");
db.run("INSERT INTO guests (name, photo) VALUES ('Ada', x'00'), ('Bob', NULL), ('\\x1b[2Jevil', NULL)");
export default { fetch: () => new Response("up") };
"""


@pytest.fixture
def operator(steadyd: Steadyd, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Steadyd:
    monkeypatch.setenv("STEADYD_DATA", str(daemon.data))
    if daemon.api("GET", "/apps/guestbook").status_code == 404:
        daemon.create("guestbook", {"index.ts": SOURCE})
    return steadyd


@pytest.fixture
def shell(operator: Steadyd, daemon: Daemon) -> Iterator[Typed]:
    typed = Typed("sql", "guestbook")
    try:
        yield typed
    finally:
        typed.close()


def test_one_query(operator: Steadyd) -> None:
    found = operator("sql", "guestbook", "SELECT id, name, photo AS Photo FROM guests WHERE id < 3")
    assert found.exit_code == 0, found.stderr
    assert found.stdout == "id  name  Photo\n1   Ada   AA==\n2   Bob   NULL\n"
    assert "\x1b" not in operator("sql", "guestbook", "SELECT name FROM guests;").stdout
    read = json.loads(operator("sql", "guestbook", "SELECT id FROM guests", "--json").stdout)
    assert (read["columns"], read["rows"], read["truncated"]) == (["id"], [[1], [2], [3]], False)
    two = operator(
        "sql", "guestbook", "SELECT 1 AS a, 'x,\"y' AS b, NULL; SELECT 2", "--csv", "--database", "data.sqlite"
    )
    assert two.stdout == 'a,b,NULL\n1,"x,""y",\n2\n2\n'


def test_it_works_while_the_app_sleeps(operator: Steadyd, daemon: Daemon) -> None:
    assert operator("stop", "guestbook").exit_code == 0
    assert operator("sql", "guestbook", "SELECT count(*) > 2 AS many FROM guests").stdout == "many\n1\n"
    assert daemon.ask("guestbook").text == "up"


def test_what_is_refused(operator: Steadyd, daemon: Daemon) -> None:
    for words, said in (
        (("SELEC 1",), "syntax error"),
        (("DELETE FROM guests",), "only reads"),
        (("DELETE FROM guests; SELEC", "--write"), "syntax error"),
        (("SELECT 1", "--database", "none.sqlite"), "none.sqlite"),
    ):
        result = operator("sql", "guestbook", *words)
        assert (result.exit_code, result.stdout) == (1, ""), words
        assert said in result.stderr
        assert result.stderr.startswith("steadyd: ")
    daemon.create("empty", {"index.ts": "export default { fetch: () => new Response('') }"})
    assert "no database yet" in operator("sql", "empty", "SELECT 1").stderr
    assert operator("sql", "nobody", "SELECT 1").exit_code == 1


def test_what_is_written(operator: Steadyd, daemon: Daemon) -> None:
    wrote = operator("sql", "guestbook", "CREATE TABLE w (a); INSERT INTO w VALUES (1), (2); SELECT 'x'", "--write")
    assert (wrote.exit_code, wrote.stdout) == (0, "'x'\nx\n"), wrote.stderr
    assert "2 rows changed" in wrote.stderr
    assert "What was before is restore point " in wrote.stderr
    read = operator("sql", "guestbook", "SELECT count(*) AS n FROM w;", "--write", "--json")
    assert (json.loads(read.stdout)["rows"], "changes" in json.loads(read.stdout)) == ([[2]], False)
    trigger = "CREATE TRIGGER t AFTER INSERT ON w BEGIN UPDATE w SET a = 7; SELECT 1; END;\nINSERT INTO w VALUES (3);\n"
    command = [sys.executable, "-m", "steadyd", "sql", "guestbook", "--write"]
    done = subprocess.run(command, input=trigger, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    explained = operator("sql", "guestbook", "SELECT * FROM w", "--explain", "--csv")
    assert explained.stdout.splitlines()[1].endswith("SCAN w")
    found = operator("sql", "guestbook", "SELECT DISTINCT a FROM w", "--json")
    assert json.loads(found.stdout)["rows"] == [[7]]
    assert operator("sql", "guestbook", "DROP TABLE w", "--write", "--no-point").exit_code == 0
    done_ones = daemon.api("GET", "/apps/guestbook/operations").json()["operations"]
    assert [(each["kind"], each["status"]) for each in done_ones].count(("sql", "done")) == 4


def test_what_only_reads_makes_no_restore_point() -> None:
    for sql in ("SELECT 1", " values (1);", "explain select 1 ; "):
        assert READS.match(sql), sql
    for sql in ("SELECT 1; DELETE FROM t", "WITH a AS (SELECT 1) DELETE FROM t", "DELETE FROM t", "SELECTED"):
        assert not READS.match(sql), sql


def test_statements_from_a_pipe(operator: Steadyd, daemon: Daemon) -> None:
    command = [sys.executable, "-m", "steadyd", "sql", "guestbook"]
    text = "SELECT 1 AS a;\nSELECT\n 2 AS b; SELECT 3 AS c\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\n1\nb\n2\nc\n3\n", "")
    done = subprocess.run(command, input="SELEC;\nSELECT 1;", capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    text = ".tables\n\nSELECT 1\n AS a;\n.quit\nSELEC;\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.splitlines()[-2:], done.stderr) == (0, ["a", "1"], "")


def test_what_is_typed_is_taken_line_by_line() -> None:
    text = ".tables\n-- .not this\nSELECT '\n.nor this\n'; SELECT 2;\n  .schema t\nSELECT 3"
    assert [entry.strip() for entry in entries(text)] == [
        ".tables", "SELECT '\n.nor this\n'", "SELECT 2", ".schema t", "SELECT 3",
    ]  # fmt: skip


def test_a_shell(shell: Typed, home: Path) -> None:
    shell.see("guestbook> ")
    shell.type("SELECT name\n")
    shell.see(".........> ")
    shell.type("FROM guests WHERE id = 1;\n")
    assert "Ada" in shell.see("1 row, ")
    shell.see("guestbook> ")
    shell.type("SELEC;\n")
    shell.see("syntax error")
    shell.see("guestbook> ")
    shell.type(".tables\n")
    shell.see("guests\n")
    shell.see("guestbook> ")
    shell.type(".schema guests\n")
    shell.see("CREATE TABLE guests (")
    shell.see("guestbook> ")
    shell.type(".explain SELECT name FROM guests;\n")
    shell.see("SCAN guests")
    shell.see("guestbook> ")
    shell.type(".check\n")
    shell.see("ok\n")
    shell.see("guestbook> ")
    shell.type(".history\n")
    shell.see("FROM guests WHERE id = 1")
    shell.see("guestbook> ")
    shell.type("half of a\x03")
    shell.see("guestbook> ")
    shell.type(".nonsense\n")
    shell.see(".help lists")
    shell.see("guestbook> ")
    shell.type(".quit\n")
    assert shell.end() == 0
    kept = home / "config" / "steadyd" / "sql.history"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "FROM guests WHERE id = 1;" in kept.read_text()


def test_the_end_of_input_leaves(shell: Typed) -> None:
    shell.see("guestbook> ")
    shell.type("\x04")
    assert shell.end() == 0


def test_several_databases_and_a_cut_result(steadyd: Steadyd, api: Api) -> None:
    server = ("--server", api.url)
    several = {"databases": [{"path": "a.sqlite"}, {"path": "data/b c.sqlite"}], "more": False}
    api.answers["GET /api/apps/two/databases"] = (200, several)
    refused = steadyd("sql", "two", "SELECT 1", *server)
    assert (refused.exit_code, "--database: a.sqlite, data/b c.sqlite" in refused.stderr) == (1, True)
    cut = {"columns": ["a"], "rows": [[1]], "truncated": True, "ms": 1.0}
    api.answers["POST /api/apps/two/databases/data/b%20c.sqlite/query"] = (200, cut)
    found = steadyd("sql", "two", "SELECT 1", "--database", "data/b c.sqlite", *server)
    assert (found.exit_code, found.stdout) == (0, "a\n1\n")
    assert "Only the first 1 rows" in found.stderr
    assert api.asked[-1].body == {"sql": "SELECT 1", "params": []}
