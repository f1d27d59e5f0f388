"""Copying what an app has written, while it goes on writing."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from steadyd.runner.engine import find_bun
from tests.runner.bun_app import DEADLINE_SECONDS, run_script, write_files

MODES = ["wal", "delete", "persist", "truncate"]
ROUNDS = 12


def snapshot(folder: Path, copy: Path, *words: str | Path) -> Any:
    ended = run_script("snapshot.ts", copy, *words, folder=folder)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def files_in(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): "" if path.is_dir() else path.read_text(errors="replace")
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    return tmp_path / "app"


def test_files_and_folders(app: Path, tmp_path: Path) -> None:
    write_files(app, {"notes.txt": "mine", "up/load/ed.bin": "\0\1", "index.ts": "code", "src/a.ts": "code"})
    write_files(app, {"src/cache/x": "mine", ".hidden": "mine", "node_modules/dep/index.js": "code"})
    (app / "empty").mkdir()
    (app / "link").symlink_to("/etc/passwd")
    (app / "folder").symlink_to("/etc")
    os.mkfifo(app / "pipe")
    (tmp_path / "list.json").write_text('["index.ts", "src/a.ts", "public/page.html"]')
    (app / "public").mkdir()  # the version's, with nothing of the app's in it
    told = snapshot(app, tmp_path / "copy", "--shipped", tmp_path / "list.json")
    assert files_in(tmp_path / "copy") == {
        ".hidden": "mine",
        "empty": "",
        "notes.txt": "mine",
        "src": "",
        "src/cache": "",
        "src/cache/x": "mine",
        "up": "",
        "up/load": "",
        "up/load/ed.bin": "\0\1",
    }
    assert told["databases"] == []
    assert told["files"] == 8
    assert told["bytes"] == 14
    assert sorted(entry["path"] for entry in told["skipped"]) == ["folder", "link", "pipe"]


def test_times_and_modes_are_kept(app: Path, tmp_path: Path) -> None:
    write_files(app, {"run.sh": "x"})
    (app / "run.sh").chmod(0o755)
    os.utime(app / "run.sh", (1_000_000_000, 1_000_000_001))
    snapshot(app, tmp_path / "copy")
    found = (tmp_path / "copy/run.sh").stat()
    assert (found.st_mode & 0o777, found.st_mtime) == (0o755, 1_000_000_001)


@pytest.mark.parametrize("mode", MODES)
def test_a_database_is_known_by_its_first_bytes(app: Path, tmp_path: Path, mode: str) -> None:
    """Whatever it is called; what only looks like one or like a side file is a file."""
    write_files(app, {"fake.sqlite": "not one", "diary-wal": "words", "data.bin.txt": "words"})
    with closing(sqlite3.connect(app / "data.bin")) as db:
        db.execute(f"PRAGMA journal_mode = {mode}")
        db.execute("CREATE TABLE t (a)")
        db.execute("INSERT INTO t VALUES ('committed')")
        db.commit()
        told = snapshot(app, tmp_path / "copy")
    assert told["databases"] == ["data.bin"]
    assert sorted(files_in(tmp_path / "copy")) == ["data.bin", "data.bin.txt", "diary-wal", "fake.sqlite"]
    with closing(sqlite3.connect(tmp_path / "copy/data.bin")) as copy:
        assert copy.execute("SELECT a FROM t").fetchall() == [("committed",)]
        assert (copy.execute("PRAGMA journal_mode").fetchone() == ("wal",)) == (mode == "wal")


def test_rows_keep_their_numbers(app: Path, tmp_path: Path) -> None:
    """VACUUM INTO would renumber them, and break what refers to them."""
    with closing(sqlite3.connect(app / "db")) as db:
        db.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3); DELETE FROM t WHERE a < 3;")
    snapshot(app, tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "copy/db")) as copy:
        assert copy.execute("SELECT rowid, a FROM t").fetchall() == [(3, 3)]


def test_what_is_not_committed_is_not_copied(app: Path, tmp_path: Path) -> None:
    """Also where the open transaction has reached the file already: then the copy waits for its turn."""
    for name, mode in (("w", "wal"), ("r", "delete")):
        db = sqlite3.connect(app / name, isolation_level=None)
        db.executescript(f"PRAGMA journal_mode = {mode}; CREATE TABLE t (a); INSERT INTO t VALUES (1);")
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO t VALUES (2)")
        snapshot(app, tmp_path / f"copy-{name}")
        db.close()
        with closing(sqlite3.connect(tmp_path / f"copy-{name}" / name)) as copy:
            assert copy.execute("SELECT a FROM t").fetchall() == [(1,)]


WRITER = """
    import { Database } from "bun:sqlite";
    const db = new Database("db", { create: true });
    db.exec("PRAGMA journal_mode = " + process.argv[2]);
    db.exec("PRAGMA synchronous = OFF; PRAGMA cache_size = 5");
    db.exec("CREATE TABLE IF NOT EXISTS pairs (n INTEGER, side TEXT, filler TEXT)");
    const add = db.prepare("INSERT INTO pairs VALUES (?, ?, hex(randomblob(2000)))");
    const both = db.transaction((n) => { add.run(n, "left"); add.run(n, "right"); });
    for (let n = 1; ; n++) {
        both(n);  // with Bun's default busy_timeout of 0: a lock of ours in its way would throw
        if (n % 50 === 0) db.exec("DELETE FROM pairs WHERE n % 3 = 0");
        if (n % 10 === 0) console.log(n);
        if (n % 7 === 0) await Bun.sleep(1);
    }
"""


@contextmanager
def writer(folder: Path, mode: str) -> Iterator[subprocess.Popen[str]]:
    write_files(folder, {"writer.ts": WRITER})
    command: list[str | Path] = [find_bun(), "--no-install", "writer.ts", mode]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("mode", MODES)
def test_copies_taken_under_a_writer_are_whole_and_cost_it_nothing(app: Path, tmp_path: Path, mode: str) -> None:
    """Every copy is a committed state, never older than what was committed before it began, and no write fails."""
    with writer(app, mode) as process:
        assert process.stdout is not None
        for number in range(ROUNDS):
            committed = int(process.stdout.readline())
            copy = tmp_path / f"copy{number}"
            assert snapshot(app, copy)["databases"] == ["db"]
            with closing(sqlite3.connect(copy / "db")) as db:
                assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert db.execute("SELECT max(n) >= ? FROM pairs", (committed,)).fetchone() == (1,)
                odd = "SELECT n FROM pairs GROUP BY n HAVING count(*) <> 2"
                assert db.execute(odd).fetchall() == []
            shutil.rmtree(copy)
        assert process.poll() is None, process.communicate(timeout=DEADLINE_SECONDS)[1]


@pytest.mark.parametrize("mode", MODES)
def test_a_database_whose_writer_was_killed(app: Path, tmp_path: Path, mode: str) -> None:
    """A log or a hot journal lies beside it: the copy is what SQLite makes of the two."""
    with writer(app, mode) as process:
        assert process.stdout is not None
        committed = int(process.stdout.readline())
    snapshot(app, tmp_path / "copy")
    assert [path for path in files_in(tmp_path / "copy") if path.startswith("db")] == ["db"]
    with closing(sqlite3.connect(tmp_path / "copy/db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT max(n) >= ? FROM pairs", (committed,)).fetchone() == (1,)


def test_a_shipped_database_is_the_apps(app: Path, tmp_path: Path) -> None:
    """A version's database only seeds; what the app has made of it is data."""
    with closing(sqlite3.connect(app / "seed.db")) as db:
        db.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1);")
    (tmp_path / "list.json").write_text('["seed.db"]')
    assert snapshot(app, tmp_path / "copy", "--shipped", tmp_path / "list.json")["databases"] == ["seed.db"]


def test_a_damaged_database_is_copied_as_it_is(app: Path, tmp_path: Path) -> None:
    wal = b"SQLite format 3\0" + b"\x10\0\2\2" + b"\xff" * 3000
    (app / "broken.db").write_bytes(wal)
    told = snapshot(app, tmp_path / "copy")
    assert (tmp_path / "copy/broken.db").read_bytes() == wal
    assert told["skipped"] == [{"path": "broken.db", "reason": "a damaged database, copied as it is"}]


@pytest.mark.parametrize(
    ("words", "said"), [(["--max-bytes", "9"], "more than 9 bytes"), (["--max-files", "2"], "more than 2 files")]
)
def test_limits(app: Path, tmp_path: Path, words: list[str], said: str) -> None:
    write_files(app, {"a": "12345", "b": "12345", "c": ""})
    ended = run_script("snapshot.ts", tmp_path / "copy", *words, folder=app)
    assert (ended.returncode, ended.stderr) == (3, f"snapshot: {said}\n")
    snapshot(app, tmp_path / "fits", "--max-bytes", "10", "--max-files", "3")


@pytest.mark.parametrize("words", [[], ["a", "b"], ["a", "--max-files", "many"], ["a", "--what"]])
def test_usage(app: Path, words: list[str]) -> None:
    ended = run_script("snapshot.ts", *words, folder=app)
    assert ended.returncode == 2
    assert ended.stderr.startswith("snapshot: ")


def test_what_is_there_already_is_counted_and_not_copied(app: Path, tmp_path: Path) -> None:
    for name in ("kept.sqlite", "other.sqlite"):
        with closing(sqlite3.connect(app / name)) as db:
            db.execute("PRAGMA journal_mode = wal")
            db.execute("CREATE TABLE t (x)")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "kept.sqlite").write_text("as it was")
    (tmp_path / "kept.json").write_text('["kept.sqlite", "no.sqlite"]')
    told = snapshot(app, tmp_path / "copy", "--kept", tmp_path / "kept.json")
    assert sorted(told["databases"]) == ["kept.sqlite", "other.sqlite"]
    assert told["bytes"] >= 2 * 4096
    assert (tmp_path / "copy" / "kept.sqlite").read_text() == "as it was"


def test_a_large_database_is_copied_as_a_small_one_is(app: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(app / "large.sqlite")) as db:
        db.execute("PRAGMA journal_mode = wal")
        db.execute("CREATE TABLE t (x)")
        for size in (20 << 20, 18 << 20):  # more than 16 MiB in the file, and in its log
            db.execute("INSERT INTO t VALUES (randomblob(?))", (size,))
            db.commit()
            db.execute("PRAGMA wal_checkpoint(PASSIVE)" if size == 20 << 20 else "SELECT 1")
        snapshot(app, tmp_path / "copy")
        wanted = db.execute("SELECT sum(length(x)), group_concat(hex(substr(x, 1, 8))) FROM t").fetchone()
    with closing(sqlite3.connect(tmp_path / "copy" / "large.sqlite")) as copy:
        found = copy.execute("SELECT sum(length(x)), group_concat(hex(substr(x, 1, 8))) FROM t").fetchone()
        assert found == wanted
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_databases_are_of_one_moment(app: Path, tmp_path: Path) -> None:
    """Logs first, one right after the other; a rollback journal's database among them hurts nobody."""
    for name, mode in (("a.db", "wal"), ("b.db", "delete"), ("c/c.db", "wal")):
        (app / name).parent.mkdir(exist_ok=True)
        with closing(sqlite3.connect(app / name)) as db:
            db.executescript(f"PRAGMA journal_mode = {mode}; CREATE TABLE t (a); INSERT INTO t VALUES ('{name}');")
    began = time.time() * 1000
    told = snapshot(app, tmp_path / "copy")
    assert sorted(told["databases"]) == sorted(told["moments"]) == ["a.db", "b.db", "c/c.db"]
    assert all(began - 1_000 < at < time.time() * 1000 + 1_000 for at in told["moments"].values())
    for name in told["databases"]:
        with closing(sqlite3.connect(tmp_path / "copy" / name)) as copy:
            assert copy.execute("SELECT a FROM t").fetchall() == [(name,)]


def test_what_litestream_keeps_beside_a_database_is_another_history(app: Path, tmp_path: Path) -> None:
    write_files(app, {"a.txt": "mine", ".data.sqlite-litestream/ltx/0/1.ltx": "x", "-litestream/b.txt": "mine"})
    snapshot(app, tmp_path / "copy")
    assert sorted(files_in(tmp_path / "copy")) == ["-litestream", "-litestream/b.txt", "a.txt"]
