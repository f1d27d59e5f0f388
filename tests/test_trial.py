"""The next deploy, tried here as a server would, on a copy of a real folder's data."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from steadyd import trial
from steadyd.errors import SteadyError
from steadyd.trial import Candidate, Tried, run_trial

MIGRATES = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("ALTER TABLE t ADD COLUMN b");
db.run("CREATE UNIQUE INDEX i ON t (a)");
console.log(process.env.GREETING, process.env.STEADY_ENV);
export default { fetch: () => new Response("ok") };
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a database."""
    data = sqlite3.connect(tmp_path / "data.sqlite")
    data.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1), (2);")
    data.close()
    (tmp_path / "data.sqlite").chmod(0o600)
    (tmp_path / ".env").write_text("GREETING=hello")
    return tmp_path


def tried(folder: Path, source: str = MIGRATES, **files: str) -> Tried:
    tree = {"index.ts": source.encode(), **{name: text.encode() for name, text in files.items()}}
    return run_trial(Candidate("mine", tree, folder, [".env"], {"GREETING": "hello"}))


def rows(folder: Path) -> list[tuple[int]]:
    return sqlite3.connect(folder / "data.sqlite").execute("SELECT * FROM t").fetchall()


def test_a_version_that_would_go_live(folder: Path) -> None:
    came = tried(folder)
    assert [name for name, _ in came.steps] == ["data", "install", "check", "trial"]
    assert sorted(os.listdir(folder)) == [".env", "data.sqlite"]
    assert rows(folder) == [(1,), (2,)]


def test_a_migration_that_fails_on_the_real_rows_only(folder: Path) -> None:
    sqlite3.connect(folder / "data.sqlite").execute("INSERT INTO t VALUES (1)").connection.commit()
    with pytest.raises(SteadyError) as caught:
        tried(folder)
    assert (caught.value.code, caught.value.details["step"]) == ("deploy_failed", "trial")
    assert "UNIQUE constraint failed" in caught.value.message
    assert rows(folder) == [(1,), (2,), (1,)]


def test_what_the_check_finds(folder: Path) -> None:
    with pytest.raises(SteadyError) as caught:
        tried(folder, "const = 1;")
    assert (caught.value.details["step"], caught.value.details["line"]) == ("check", 1)


def test_what_is_no_data_is_not_there(folder: Path) -> None:
    looks = "import { readdirSync } from 'node:fs'; throw new Error(readdirSync('.').sort().join(' '));"
    with pytest.raises(SteadyError) as caught:
        tried(folder, looks)
    assert "data.sqlite index.ts" in caught.value.message
    assert ".env" not in caught.value.message


def test_too_much_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "COPY_BYTES_MAX", 100)
    with pytest.raises(SteadyError) as caught:
        tried(folder)
    assert "cannot be copied" in caught.value.message
    monkeypatch.setattr(trial, "COPY_BYTES_MAX", 1 << 30)
    monkeypatch.setattr(trial, "COPY_FILES_MAX", 0)
    with pytest.raises(SteadyError):
        tried(folder)


def test_nothing_of_it_is_left(folder: Path) -> None:
    before = set(Path("/tmp").glob("steadyd-trial-*"))
    tried(folder)
    assert set(Path("/tmp").glob("steadyd-trial-*")) <= before
