"""Where databases stand, with real ones."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from steadyd.runner import positions as module
from steadyd.runner.positions import databases, positions


def write(path: Path, rows: int, wal: bool = False) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    if wal:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
    for _ in range(rows):
        connection.execute("INSERT INTO t VALUES (randomblob(1000))")
        connection.commit()
    return connection


def test_a_position_is_what_sqlite_says_of_itself(tmp_path: Path) -> None:
    connection = write(tmp_path / "data" / "one.db", 10)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    (one,) = positions(tmp_path, databases(tmp_path))
    assert (one.path, one.pages, one.size_bytes, one.wal_bytes) == ("data/one.db", pages, pages * size, 0)
    connection.execute("DELETE FROM t")
    connection.commit()
    (then,) = positions(tmp_path, ["data/one.db"])
    assert then.changes == one.changes + 1
    connection.close()


def test_what_is_only_in_the_log_counts_there(tmp_path: Path) -> None:
    connection = write(tmp_path / "one.db", 10, wal=True)
    assert databases(tmp_path) == ["one.db"]
    (one,) = positions(tmp_path, ["one.db"])
    assert one.wal_bytes == (tmp_path / "one.db-wal").stat().st_size > 10_000
    connection.close()
    (settled,) = positions(tmp_path, ["one.db"])
    assert (settled.wal_bytes, settled.pages > one.pages) == (0, True)


def test_no_link_is_followed_and_nothing_else_is_taken_for_a_database(tmp_path: Path) -> None:
    write(tmp_path / "secret" / "theirs.db", 1).close()
    folder = tmp_path / "app"
    write(folder / "own.db", 1).close()
    (folder / "link.db").symlink_to(tmp_path / "secret" / "theirs.db")
    (folder / "linked").symlink_to(tmp_path / "secret")
    (folder / "short.db").write_bytes(b"SQLite format 3\0")
    (folder / "text.txt").write_text("SQLite format 3, they said")
    os.mkfifo(folder / "pipe.db")
    write(folder / "node_modules" / "x.db", 1).close()
    assert databases(folder) == ["own.db"]
    named = ["linked/theirs.db", "link.db", "pipe.db", "gone.db", "../secret/theirs.db", "own.db"]
    assert [one.path for one in positions(folder, named[:4] + named[5:])] == ["own.db"]


def test_a_folder_of_too_much_is_looked_at_from_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENTRIES_MAX", 30)
    monkeypatch.setattr(module, "DATABASES_MAX", 3)
    monkeypatch.setattr(module, "DEPTH_MAX", 2)
    write(tmp_path / "top.db", 1).close()
    for number in range(60):
        (tmp_path / "many").mkdir(exist_ok=True)
        (tmp_path / "many" / f"{number}.txt").touch()
    assert databases(tmp_path) == ["top.db"]
    for name in ("a/b/two.db", "a/b/c/deep.db"):
        write(tmp_path / "deep" / name, 1).close()
    assert databases(tmp_path / "deep") == ["a/b/two.db"]
    for number in range(5):
        write(tmp_path / "dbs" / f"{number}.db", 1).close()
    assert len(databases(tmp_path / "dbs")) == 3
    assert databases(tmp_path / "absent") == []
