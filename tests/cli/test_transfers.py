"""`steadyd sql --export` and `--import` against a real daemon."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from steadyd.cli import transfers
from tests.cli.conftest import Steadyd
from tests.served import Daemon

SOURCE = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, w TEXT)");
db.run("INSERT OR IGNORE INTO t VALUES (1, 'one'), (2, NULL)");
export default { fetch: () => new Response(String(db.query("SELECT count(*) AS n FROM t").get().n)) };
"""


@pytest.fixture
def operator(steadyd: Steadyd, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Steadyd:
    monkeypatch.setenv("STEADYD_DATA", str(daemon.data))
    if daemon.api("GET", "/apps/carrier").status_code == 404:
        daemon.create("carrier", {"index.ts": SOURCE})
    return steadyd


def test_files_go_round(operator: Steadyd, daemon: Daemon, tmp_path: Path) -> None:
    """The real thing: tables out of a running app, changed, and in again, beside it and in the place of all."""

    def run(*words: str) -> str:
        done = operator("sql", "carrier", *words)
        assert done.exit_code == 0, done.stderr
        return done.stdout + done.stderr

    for name in ("all.sql", "all.sqlite"):
        assert "bytes" in run("--export", str(tmp_path / name))
    run("--export", str(tmp_path / "t.csv"), "--table", "t")
    assert (tmp_path / "t.csv").read_text() == "id,w\n1,one\n2,\n"
    run("SELECT w FROM t WHERE id = 1", "--export", str(tmp_path / "q.jsonl"))
    assert (tmp_path / "q.jsonl").read_text() == '{"w":"one"}\n'
    (tmp_path / "more.csv").write_text("id,w\n3,three\n")
    assert "1 rows were put into t" in run("--import", str(tmp_path / "more.csv"), "--table", "t")
    assert "more, which was made: id INTEGER, w TEXT" in run("--import", str(tmp_path / "more.csv"))
    assert daemon.ask("carrier").text == "3"
    run("--import", str(tmp_path / "all.sqlite"), "--replace")
    assert daemon.ask("carrier").text == "2"
    (tmp_path / "more.sql").write_text("INSERT INTO t VALUES (9, 'nine');\nINSERT INTO t VALUES (9, 'again');\n")
    refused = operator("sql", "carrier", "--import", str(tmp_path / "more.sql"))
    assert (refused.exit_code, "Line 2" in refused.stderr) == (1, True)
    run("--import", str(tmp_path / "all.sqlite"), "--database", "copy.sqlite")
    assert "row" in run("DELETE FROM t", "--database", "copy.sqlite", "--write")
    assert daemon.ask("carrier").text == "2"
    found = json.loads(run("SELECT count(*) FROM t", "--database", "data.sqlite", "--json"))
    assert found["rows"] == [[2]]


def test_standard_output(operator: Steadyd) -> None:
    command = [sys.executable, "-m", "steadyd", "sql", "carrier", "--export", "-", "--database", "data.sqlite"]
    dumped = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    made = sqlite3.connect(":memory:")
    made.executescript(dumped.stdout)
    assert made.execute("SELECT count(*) FROM t").fetchone()[0] >= 2
    rows = subprocess.run([*command, "--table", "t", "--csv"], capture_output=True, text=True, check=False, timeout=60)
    assert rows.stdout.startswith("id,w\n1,one\n")


@pytest.mark.parametrize(
    "words",
    [
        ("--export", "a.csv", "--import", "b.csv"), ("--import", "b.csv", "SELECT 1"), ("--table", "t"), ("--replace",),
        ("--explain",), ("--export", "a.xml"), ("--import", "a.json"),
        ("SELECT 1", "--export", "a.csv", "--table", "t"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_wrong_usage(operator: Steadyd, words: tuple[str, ...]) -> None:
    assert operator("sql", "carrier", "--database", "data.sqlite", *words).exit_code == 2


def test_what_cannot_be_done_leaves_nothing(operator: Steadyd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kept.csv").write_text("kept")
    only = ("--database", "data.sqlite")
    for words in (
        ("--export", str(tmp_path / "kept.csv"), "--table", "none"), ("--export", str(tmp_path / "no" / "a.sql")),
        ("--import", str(tmp_path / "absent.sql")),
    ):  # fmt: skip
        done = operator("sql", "carrier", *only, *words)
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.stderr
    monkeypatch.setattr(transfers, "IMPORT_BYTES_MAX", 3)
    assert "larger" in operator("sql", "carrier", *only, "--import", str(tmp_path / "kept.csv")).stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["kept.csv"]
    assert (tmp_path / "kept.csv").read_text() == "kept"
