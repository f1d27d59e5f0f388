from __future__ import annotations

import hashlib
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from steadyd.backup.survey import (
    BYTES_MAX,
    DEPTH_MAX,
    ENTRIES_MAX,
    FILE_BYTES_MAX,
    FILES_MAX,
    SECONDS_MAX,
    Bounds,
    Found,
    Known,
    Survey,
)
from steadyd.runner.folder import Place

AS_ROOT = os.geteuid() == 0
UID = 1_900_000_777
AT_ONCE = Bounds(settled_seconds=0.0)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An app's folder, as after a deploy."""
    place = Place(tmp_path / "a", UID if AS_ROOT else None)
    place.app.mkdir(parents=True)
    write(place, "index.ts", b"export default 1", ours=True)
    (place.app / "node_modules").mkdir()
    (place.app / "node_modules/x.js").write_text("installed")
    return place


def write(place: Place, path: str, content: bytes, ours: bool = False) -> Path:
    """A file, with its folders: the app's, or `ours`, as shipped ones are."""
    target = place.app / path
    for parent in reversed(target.parents):
        if place.app in parent.parents and not parent.exists():
            parent.mkdir()
            own(place, parent)
    target.write_bytes(content)
    if ours:
        target.chmod(0o444)
    else:
        own(place, target)
    return target


def own(place: Place, path: Path) -> None:
    if place.uid is not None:
        os.chown(path, place.uid, place.uid, follow_symlinks=False)


def look(place: Place, known: Mapping[str, Known] | None = None, bounds: Bounds = AT_ONCE) -> Found:
    return Survey(place, {"index.ts"}, known or {}, bounds).look()


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_it_finds_what_nobody_else_keeps(place: Place) -> None:
    write(place, "uploads/cat.png", b"cat").chmod(0o640)
    write(place, "notes.txt", b"")
    (place.app / "uploads/deep").mkdir(mode=0o700)
    own(place, place.app / "uploads/deep")
    for name in ("data.sqlite", "sub/other.txt"):
        write(place, name, b"")
        with sqlite3.connect(place.app / name) as database:
            database.execute("CREATE TABLE t (x)")
        for suffix in ("-wal", "-shm", "-journal"):
            write(place, name + suffix, b"side")
    write(place, ".data.sqlite-litestream/generations", b"theirs")
    write(place, "empty.db", b"")
    write(place, "alone-wal", b"no database beside it")
    found = look(place)
    assert {path: kept.sha256 for path, kept in found.files.items()} == {
        "uploads/cat.png": sha(b"cat"), "notes.txt": sha(b""), "alone-wal": sha(b"no database beside it"),
    }  # fmt: skip
    assert (found.files["uploads/cat.png"].mode, found.files["uploads/cat.png"].size) == (0o640, 3)
    assert found.folders["uploads/deep/"] == 0o700
    assert sorted(found.databases) == ["data.sqlite", "empty.db", "sub/other.txt"]
    assert (found.problem, found.skipped, found.late) == ("", 0, False)


def test_an_app_that_was_never_linked_has_nothing(tmp_path: Path) -> None:
    found = look(Place(tmp_path / "nowhere", None))
    assert (found.files, found.folders, found.problem) == ({}, {}, "")


def test_what_did_not_change_is_not_opened(place: Place) -> None:
    path = write(place, "a.txt", b"first")
    known = look(place).known
    forged = {"a.txt": replace(known["a.txt"], sha256="f" * 64, read_at=time.time() + 1)}
    assert look(place, forged).files["a.txt"].sha256 == "f" * 64
    path.chmod(0o600)
    found = look(place, forged)
    assert (found.files["a.txt"].sha256, found.files["a.txt"].mode) == (sha(b"first"), 0o600)


def test_what_was_just_written_is_read_again(place: Place) -> None:
    write(place, "a.txt", b"first")
    forged = {"a.txt": replace(look(place).known["a.txt"], sha256="f" * 64)}
    assert look(place, forged, Bounds(settled_seconds=60.0)).files["a.txt"].sha256 == sha(b"first")


def test_what_is_no_regular_file_is_counted_and_nothing_waits(place: Place) -> None:
    (place.app / "link").symlink_to("/etc/shadow")
    (place.app / "folder-link").symlink_to("/etc")
    os.mkfifo(place.app / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place.app / "socket"))
    for name in ("link", "folder-link", "fifo", "socket"):
        own(place, place.app / name)
    found = look(place)
    assert (found.skipped, found.files, found.problem) == (4, {}, "")


@pytest.mark.skipif(not AS_ROOT, reason="only root can make another's files and devices")
def test_nobody_elses_file_is_captured(place: Place) -> None:
    foreign = write(place, "foreign", b"secret", ours=True)
    os.chown(foreign, UID + 1, UID + 1)
    os.mknod(place.app / "device", 0o020666, os.makedev(1, 5))
    own(place, place.app / "device")
    found = look(place)
    assert (found.files, found.skipped) == ({}, 1)


def test_names_that_are_no_text_are_kept(place: Place) -> None:
    names = ["new\nline", os.fsdecode(b"\xff\xfe"), "quote\"'", " ", "-rf"]
    for name in names:
        write(place, name, name.encode("utf-8", "surrogateescape"))
    found = look(place)
    assert sorted(found.files) == sorted(names)
    assert found.manifest.written().isascii()
    os.truncate(place.app / names[1], 1 << 40)
    assert look(place).problem == "larger than 4,096 MiB: ??", "which can be stored and sent"


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        (replace(AT_ONCE, files=2), "more than 2 files"),
        (replace(AT_ONCE, entries=3), "more than 3 entries"),
        (replace(AT_ONCE, file_bytes=1 << 20), "larger than 1 MiB: large"),
        (replace(AT_ONCE, bytes=1 << 20), "more than 1 MiB together"),
        (replace(AT_ONCE, depth=2), "deeper than 2 folders: x/y/z/"),
        (replace(AT_ONCE, seconds=0.0), "more than 0 s"),
    ],
)
def test_past_a_bound_it_says_so(place: Place, bounds: Bounds, told: str) -> None:
    write(place, "large", b"x" * (2 << 20))
    for path in ("one", "two", "x/y/z/deep"):
        write(place, path, b"small")
    found = look(place, bounds=bounds)
    assert told in found.problem
    assert len(found.files) < 4
    assert found.late == (bounds.seconds == 0.0)


def test_the_bounds_are_those_that_are_promised() -> None:
    promised = Bounds(FILES_MAX, ENTRIES_MAX, FILE_BYTES_MAX, BYTES_MAX, DEPTH_MAX, SECONDS_MAX)
    assert Bounds() == promised


def test_a_sparse_file_of_a_terabyte_takes_no_time(place: Place) -> None:
    write(place, "sparse", b"")
    os.truncate(place.app / "sparse", 1 << 40)
    write(place, "small", b"x")
    began = time.monotonic()
    found = look(place)
    assert (list(found.files), found.problem) == (["small"], "larger than 4,096 MiB: sparse")
    assert time.monotonic() - began < 5.0


def test_a_file_that_always_changes_is_told(place: Place) -> None:
    path, begun, stop = write(place, "busy", b"\0" * (32 << 20)), threading.Event(), threading.Event()

    def change() -> None:
        with path.open("r+b") as file:
            while not stop.is_set():
                file.seek(0)
                file.write(os.urandom(8))
                file.flush()
                begun.set()

    thread = threading.Thread(target=change)
    thread.start()
    assert begun.wait(10.0)
    try:
        found = look(place)
    finally:
        stop.set()
        thread.join()
    assert found.problem == "changed while it was read: busy"
    assert "busy" in found.files
    assert "busy" not in found.known


def test_what_changes_places_all_the_time_gives_no_foreign_byte_and_no_open_descriptor(place: Place) -> None:
    """A file, a link to a secret, a FIFO, a folder and a link to a folder with secrets take turns under one name."""
    secrets = place.root / "secrets"
    secrets.mkdir()
    for name in ("x", "inner"):
        (secrets / name).write_text("secret")
    spare, stop, target = place.root / "spare", threading.Event(), place.app / "x"

    def plain() -> None:
        spare.write_text("own")

    def linked() -> None:
        spare.symlink_to(secrets / "x")

    def folder_linked() -> None:
        spare.symlink_to(secrets)

    def folder() -> None:
        spare.mkdir()
        (spare / "inner").write_text("own")
        own(place, spare / "inner")

    def change_places() -> None:
        while not stop.is_set():
            for make in (plain, linked, lambda: os.mkfifo(spare), folder, folder_linked):
                make()
                own(place, spare)
                old = place.root / "old"
                if os.path.lexists(target):
                    os.rename(target, old)
                os.rename(spare, target)
                if old.is_dir() and not old.is_symlink():
                    (old / "inner").unlink()
                    old.rmdir()
                elif os.path.lexists(old):
                    old.unlink()

    before = len(os.listdir("/proc/self/fd"))
    thread = threading.Thread(target=change_places)
    thread.start()
    try:
        end, hashes = time.monotonic() + 1.5, set()
        while time.monotonic() < end:
            hashes |= {kept.sha256 for kept in look(place).files.values()}
    finally:
        stop.set()
        thread.join()
    assert hashes == {sha(b"own")}
    assert len(os.listdir("/proc/self/fd")) <= before


def test_thousands_of_files_are_one_walk(place: Place) -> None:
    for number in range(4_000):
        (place.app / f"f{number}").write_text(str(number % 100))
        own(place, place.app / f"f{number}")
    first = look(place)
    assert (len(first.files), len(first.manifest.contents), first.problem) == (4_000, 100, "")
    assert len(look(place, first.known).files) == 4_000
