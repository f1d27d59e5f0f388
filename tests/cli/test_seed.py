"""A database as a deploy ships it: whole, and nothing beside it is touched."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from steadyd.cli.seed import seed
from steadyd.errors import SteadyError


def rows(content: bytes, folder: Path) -> list[tuple[int]]:
    (folder / "copy").write_bytes(content)
    with contextlib.closing(sqlite3.connect(folder / "copy")) as copy:
        found: list[tuple[int]] = copy.execute("SELECT a FROM t ORDER BY a").fetchall()
    return found


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_what_is_committed_is_in_it_and_nothing_is_left_beside(tmp_path: Path, mode: str) -> None:
    """While it is in use, which leaves its newest rows in the write-ahead log, and after."""
    (folder := tmp_path / "a folder?").mkdir()
    path = folder / "data #1.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA journal_mode={mode}")
        database.execute("CREATE TABLE t (a)")
        database.execute("INSERT INTO t VALUES (1), (2)")
        database.commit()
        assert rows(seed(str(path), "x"), tmp_path) == [(1,), (2,)]
    assert os.listdir(folder) == [path.name]
    assert rows(seed(str(path), "x"), tmp_path) == [(1,), (2,)]
    assert os.listdir(folder) == [path.name]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "short.db").write_bytes(b"SQLite format 3\0" + bytes(20))
    for name in ("short.db", "none.db"):
        with pytest.raises(SteadyError, match=r"cannot read the database “shown\.db”") as caught:
            seed(str(tmp_path / name), "shown.db")
        assert (caught.value.code, caught.value.details) == ("invalid_path", {"path": "shown.db"})
