"""Copies of large databases: when they are still like the original, and when nobody wrote to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from steadyd.runner import kept as module
from steadyd.runner.folder import Place
from steadyd.runner.kept import KEPT, KEPT_FILES_MAX, Copy, keep, sealed, standing, take


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Place, Place]:
    """An app's, and one of a trial; a page is large here."""
    monkeypatch.setattr(module, "LARGE_BYTES", 4096)
    both = Place(tmp_path / "a", None), Place(tmp_path / "a" / "scratch" / "trial", None)
    for place in both:
        place.app.mkdir(parents=True)
    return both


@pytest.fixture(params=["wal", "delete"])
def writer(request: pytest.FixtureRequest, places: tuple[Place, Place]) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(places[0].app / "data.sqlite"))
    connection.execute(
        f"PRAGMA journal_mode = {request.param}; CREATE TABLE t (x); INSERT INTO t VALUES (1)"
    ).fetchall()
    yield connection
    connection.close()


def copied(place: Place, scratch: Place, path: str = "data.sqlite") -> list[Copy]:
    """A copy, made while the original stands still."""
    before = standing(place.app)
    (scratch.app / path).parent.mkdir(parents=True, exist_ok=True)
    (scratch.app / path).write_bytes((place.app / path).read_bytes())
    return sealed(scratch, before, standing(place.app))


def test_a_position_moves_with_every_commit_and_with_nothing_else(
    places: tuple[Place, Place], writer: apsw.Connection
) -> None:
    app = places[0].app
    seen = {standing(app)["data.sqlite"]}
    for number in range(50):
        writer.execute("INSERT INTO t VALUES (?)", (number,))
        if number == 25:
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        position = standing(app)["data.sqlite"]
        assert position not in seen, number
        seen.add(position)
        writer.execute("SELECT count(*) FROM t").fetchall()
        with apsw.Connection(str(app / "data.sqlite"), flags=apsw.SQLITE_OPEN_READONLY) as reader:
            reader.execute("SELECT * FROM t").fetchall()
        assert standing(app)["data.sqlite"] == position


def test_who_comes_back_to_a_log_finds_the_same_position(places: tuple[Place, Place]) -> None:
    """As a restart of an app does that was killed: the index of the log is made anew."""
    app = places[0].app
    child = os.fork()
    if child == 0:
        connection = apsw.Connection(str(app / "data.sqlite"))
        connection.execute("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)").fetchall()
        os._exit(0)
    os.waitpid(child, 0)
    before = standing(app)
    with apsw.Connection(str(app / "data.sqlite")) as again:
        assert again.execute("SELECT count(*) FROM t").fetchall() == [(1,)]
        assert standing(app) == before


def test_only_large_databases_are_looked_at(places: tuple[Place, Place]) -> None:
    app = places[0].app
    (app / "inner").mkdir()
    (app / "node_modules").mkdir()
    for path in ("large.sqlite", "inner/large.sqlite", "node_modules/large.sqlite"):
        (app / path).write_bytes(b"SQLite format 3\0" + bytes(8192))
    (app / "small.sqlite").write_bytes(b"SQLite format 3\0")
    (app / "large.txt").write_bytes(bytes(8192))
    (app / "link.sqlite").symlink_to(app / "large.sqlite")
    os.mkfifo(app / "pipe.sqlite")
    assert set(standing(app)) == {"large.sqlite", "inner/large.sqlite"}


def test_a_copy_is_taken_again_until_somebody_writes(places: tuple[Place, Place], writer: apsw.Connection) -> None:
    place, scratch = places
    copies = copied(place, scratch)
    for _ in range(3):
        kept = keep(place, scratch, copies)
        assert ([copy.path for copy in kept], list(scratch.app.iterdir())) == (["data.sqlite"], [])
        copies = take(place, scratch, standing(place.app))
        assert [copy.path for copy in copies] == [path.name for path in scratch.app.iterdir()] == ["data.sqlite"]
    keep(place, scratch, copies)
    writer.execute("INSERT INTO t VALUES (2)")
    assert take(place, scratch, standing(place.app)) == []
    assert not (place.root / KEPT).exists(), "what is old is let go"


def test_a_copy_that_was_written_to_is_not_kept(places: tuple[Place, Place], writer: apsw.Connection) -> None:
    place, scratch = places
    for change in ("write", "time", "replace", "link"):
        copies, copy = copied(place, scratch), scratch.app / "data.sqlite"
        if change == "write":
            os.pwrite(descriptor := os.open(copy, os.O_WRONLY), b"x", 5000)
            os.close(descriptor)
            os.utime(copy, ns=(copies[0].seal[3], copies[0].seal[3]))
        elif change == "time":
            os.utime(copy)
        elif change == "replace":
            content = copy.read_bytes()
            copy.unlink()
            copy.write_bytes(content)
        else:
            os.link(copy, scratch.app / "other")
        assert keep(place, scratch, copies) == [], change
        assert copy.exists()
        copy.unlink()


def test_a_copy_of_what_moved_meanwhile_is_no_copy(places: tuple[Place, Place], writer: apsw.Connection) -> None:
    place, scratch = places
    before = standing(place.app)
    (scratch.app / "data.sqlite").write_bytes(b"")
    writer.execute("INSERT INTO t VALUES (2)")
    assert sealed(scratch, before, standing(place.app)) == []


def test_so_much_is_kept(places: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch) -> None:
    place, scratch = places
    for number in range(KEPT_FILES_MAX + 2):
        (place.app / f"{number}.sqlite").write_bytes(b"SQLite format 3\0" + bytes(8176))
    copies = [copy for number in range(KEPT_FILES_MAX + 2) for copy in copied(place, scratch, f"{number}.sqlite")]
    copies = sealed(scratch, standing(place.app), standing(place.app))
    assert len(keep(place, scratch, copies)) == KEPT_FILES_MAX
    monkeypatch.setattr(module, "KEPT_BYTES_MAX", 3 * 8192)
    again = take(place, scratch, standing(place.app))
    assert len(keep(place, scratch, sealed(scratch, standing(place.app), standing(place.app)))) == 3
    assert len(again) == KEPT_FILES_MAX


def test_a_damaged_index_keeps_nothing(places: tuple[Place, Place]) -> None:
    place, scratch = places
    (place.root / KEPT).mkdir()
    (place.root / KEPT / "index.json").write_text('[{"path": 1}]')
    assert take(place, scratch, {}) == []
    assert not (place.root / KEPT).exists()
