"""Where databases stand, with real ones under real SQLite."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from steadyd.backup import standing as module
from steadyd.backup.standing import Standing

SECONDS_MAX = 10.0
ROLLBACK_MODES = ("delete", "persist", "truncate", "memory", "off")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An app's folder, and beside it what must not be told of."""
    (tmp_path / "theirs").mkdir()
    with closing(database(tmp_path / "theirs" / "secret.db")):
        pass
    (tmp_path / "app").mkdir()
    return tmp_path / "app"


def database(path: Path, mode: str = "wal") -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
    connection.execute("INSERT INTO t VALUES (0)")
    return connection


def settled(standing: Standing) -> dict[str, module.Seen]:
    """The position once two looks agree: what changed within the last tick is like nothing."""
    deadline = time.monotonic() + SECONDS_MAX
    while (before := standing.look()) != standing.look():
        assert time.monotonic() < deadline
    return before


@pytest.mark.parametrize("mode", ["wal", *ROLLBACK_MODES])
def test_a_position_moves_with_every_commit(app: Path, mode: str) -> None:
    standing = Standing(app)
    with closing(database(app / "a.db", mode)) as connection:
        before = standing.look()
        for n in range(1, 101):
            connection.execute("UPDATE t SET x=?", (n,))
            now = standing.look()
            assert now != before
            before = now


def test_a_position_moves_when_a_log_was_made_and_is_gone_again(app: Path) -> None:
    """The file's header does not tell: it counts no commits in WAL mode."""
    standing = Standing(app)
    database(app / "a.db").close()
    before = standing.look()
    for n in range(1, 51):
        with closing(sqlite3.connect(app / "a.db", isolation_level=None)) as connection:
            connection.execute("UPDATE t SET x=?", (n,))
        now = standing.look()
        assert now != before
        before = now


def test_a_position_moves_without_an_index(app: Path) -> None:
    standing = Standing(app)
    database(app / "a.db").close()
    with closing(sqlite3.connect(app / "a.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode=exclusive")
        before = standing.look()
        for n in range(1, 51):
            connection.execute("UPDATE t SET x=?", (n,))
            assert not (app / "a.db-shm").exists()
            now = standing.look()
            assert now != before
            before = now


@pytest.mark.parametrize("mode", ["wal", *ROLLBACK_MODES])
def test_it_stands_still_with_whatever_commits_nothing(app: Path, mode: str) -> None:
    standing = Standing(app)
    with closing(database(app / "a.db", mode)) as connection, closing(sqlite3.connect(app / "a.db")) as reader:
        before = settled(standing)
        reader.execute("SELECT * FROM t").fetchall()
        assert standing.look() == before
        connection.execute("BEGIN IMMEDIATE")
        if mode == "wal":
            connection.execute("UPDATE t SET x=1")
            assert standing.look() == before
        connection.execute("ROLLBACK")
        assert settled(standing) == before


def test_a_checkpoint_ends_where_it_began(app: Path) -> None:
    standing = Standing(app)
    with closing(database(app / "a.db")) as connection:
        before = standing.look()
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        assert standing.look() == before
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert settled(standing)["a.db"]


@pytest.mark.parametrize("mode", ["wal", *ROLLBACK_MODES])
def test_a_database_that_comes_is_seen_at_once(app: Path, mode: str) -> None:
    standing = Standing(app)
    for n in range(30):
        folder = app / f"in{n % 3}" / "deep" if n % 2 else app
        folder.mkdir(parents=True, exist_ok=True)
        standing.look()
        with closing(database(folder / f"{n}.any", mode)):
            assert str((folder / f"{n}.any").relative_to(app)) in standing.look()
    assert len(standing.look()) == 30


def test_a_file_becomes_one_without_a_trace_in_its_folder(app: Path) -> None:
    standing = Standing(app)
    (app / "a.db").touch()
    settled(standing)
    time.sleep(2 * module.TICK_NS / 1e9)  # the folder's own change is old now
    assert standing.look() == standing.look() == {}
    with closing(database(app / "b.db", "memory")):
        pass
    (app / "a.db").write_bytes((app / "b.db").read_bytes())
    assert set(standing.look()) == {"a.db", "b.db"}


def test_one_that_goes_or_is_replaced(app: Path) -> None:
    standing = Standing(app)
    database(app / "a.db").close()
    database(app / "b.db").close()
    before = settled(standing)
    (app / "b.db").rename(app / "a.db")
    now = standing.look()
    assert now.keys() == {"a.db"}
    assert now["a.db"] != before["a.db"]
    (app / "a.db").unlink()
    assert standing.look() == {}


def test_only_files_with_the_header_count(app: Path) -> None:
    standing = Standing(app)
    database(app / "own").close()
    (app / "short.db").write_bytes(b"SQLite format 3\0")
    (app / "text.db").write_text("SQLite format 3, they said, and on it went for a hundred bytes" * 3)
    (app / "node_modules").mkdir()
    database(app / "node_modules" / "x.db").close()
    assert set(standing.look()) == {"own"}


def test_nothing_that_an_app_links_is_followed_and_nothing_makes_it_wait(app: Path) -> None:
    theirs = app.parent / "theirs"
    (app / "link.db").symlink_to(theirs / "secret.db")
    (app / "linked").symlink_to(theirs)
    os.mkfifo(app / "pipe.db")
    database(app / "own.db").close()
    os.mkfifo(app / "own.db-shm")
    (app / "own.db-wal").symlink_to(theirs / "secret.db")
    assert set(Standing(app).look()) == {"own.db"}
    (app / "own.db-shm").unlink()
    (app / "own.db-shm").symlink_to(theirs / "secret.db")
    (seen,) = Standing(app).look().values()
    assert (theirs / "secret.db").read_bytes()[:96] not in seen


def swap(app: Path, stop: threading.Event) -> None:
    """A folder with a database, and a link to a foreign one, in each other's place over and over."""
    real, linked = app / "real", app / "link"
    while not stop.is_set():
        for one, other in ((app / "x", real), (linked, app / "x"), (app / "x", linked), (real, app / "x")):
            os.rename(one, other)


def test_a_link_swapped_in_while_it_looks_leads_nowhere(app: Path) -> None:
    (app / "x").mkdir()
    database(app / "x" / "own.db").close()
    (app / "link").symlink_to(app.parent / "theirs")
    stop, standing = threading.Event(), Standing(app)
    swapping = threading.Thread(target=swap, args=(app, stop))
    swapping.start()
    try:
        for _ in range(3_000):
            assert all(path.endswith("own.db") for path in standing.look())
    finally:
        stop.set()
        swapping.join()
    assert set(standing.look()) == {"x/own.db"}


def many_folders(app: Path) -> None:
    for n in range(module.FOLDERS_MAX):
        (app / f"f{n}").mkdir()


def many_entries(app: Path) -> None:
    for n in range(module.ENTRIES_MAX + 1):
        (app / f"{n}.txt").touch()


def many_databases(app: Path) -> None:
    content = (app.parent / "theirs" / "secret.db").read_bytes()
    for n in range(module.DATABASES_MAX + 1):
        (app / f"{n}.db").write_bytes(content)


@pytest.mark.parametrize("fill", [many_folders, many_entries, many_databases])
def test_it_says_that_there_is_more_than_it_looks_at(app: Path, fill: Callable[[Path], None]) -> None:
    standing = Standing(app)
    assert standing.look() == {}
    assert standing.whole
    fill(app)
    assert len(standing.look()) <= module.DATABASES_MAX
    assert not standing.whole
    for path in app.iterdir():
        path.rmdir() if path.is_dir() else path.unlink()
    assert standing.look() == {}
    assert standing.whole


def test_no_folder_is_no_database(tmp_path: Path) -> None:
    assert Standing(tmp_path / "none").look() == {}


def test_an_unchanged_app_costs_a_few_system_calls(app: Path) -> None:
    """Measured at 11 µs; the bound allows for a busy machine."""
    standing = Standing(app)
    with closing(database(app / "a.db")):
        settled(standing)
        best = min(timed(standing.look) for _ in range(200))
        assert best < 100e-6


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def test_a_log_that_somebody_cut_is_told_from_one_that_began_anew(app: Path) -> None:
    standing = Standing(app)

    def seen() -> module.Log:
        standing.look()
        return standing.logs["a.db"]

    with closing(database(app / "a.db")) as writer, closing(database(app / "a.db")) as other:
        other.execute("PRAGMA wal_autocheckpoint = 0")
        for _ in range(20):
            writer.execute("INSERT INTO t VALUES (1)")
        before = seen()
        assert before.size == module.LOG_HEADER_BYTES + before.frames * before.frame_bytes
        writer.execute("INSERT INTO t VALUES (1)")
        assert not seen().was_cut(before)  # it grew
        writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        writer.execute("INSERT INTO t VALUES (1)")
        anew = seen()
        assert (anew.frames, anew.salts != before.salts, anew.size >= before.size) == (1, True, True)
        assert not anew.was_cut(before)
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        cut = seen()
        assert (cut.size, cut.was_cut(anew)) == (0, True)
        for _ in range(30):
            writer.execute("INSERT INTO t VALUES (1)")
        assert seen().was_cut(anew)  # though it is longer by now
        again = seen()
        assert not again.was_cut(again)
