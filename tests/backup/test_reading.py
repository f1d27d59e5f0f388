from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from steadyd.backup.reading import READS_MAX, Late, head, opened, read


def soon() -> float:
    return time.monotonic() + 10.0


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_is_read_through_its_folders(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_bytes(b"word" * 1_000_000)
    with opened(tmp_path, "a/b/c") as descriptor:
        assert head(descriptor, 3) == b"wor"
        found = read(descriptor, soon())
    assert (found.sha256, found.seen.size, found.steady) == (sha(b"word" * 1_000_000), 4_000_000, True)


@pytest.mark.parametrize("link", ["a", "a/b", "a/b/c"])
def test_no_link_is_followed_anywhere_on_the_way(tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    (outside / "b").mkdir(parents=True)
    (outside / "b/c").write_text("secret")
    folder = tmp_path / "app"
    (folder / link).parent.mkdir(parents=True)
    (folder / link).symlink_to(outside / link.removeprefix("a").lstrip("/"))
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"), opened(folder, "a/b/c"):
        pass


def test_what_is_no_regular_file_is_not_read_and_nothing_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for name in ("fifo", "folder", "socket"):
            with pytest.raises(OSError, match=r"no regular file|No such device"), opened(tmp_path, name) as descriptor:
                read(descriptor, soon())
    with opened(Path("/dev"), "zero") as descriptor, pytest.raises(OSError, match="no regular file"):
        read(descriptor, soon())


def test_what_is_only_appended_to_is_taken_as_long_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"line\n" * 500_000)

    def append(at: int, piece: bytes) -> None:
        with path.open("ab") as file:
            file.write(b"more\n")

    with opened(tmp_path, "log") as descriptor:
        found = read(descriptor, soon(), append)
    assert (found.sha256, found.seen.size, found.steady) == (sha(b"line\n" * 500_000), 2_500_000, True)


def test_what_changes_at_each_reading_is_read_so_often_and_told(tmp_path: Path) -> None:
    path, changes = tmp_path / "busy", iter(range(100))
    path.write_bytes(b"x")

    def change(at: int, piece: bytes) -> None:
        path.write_bytes(bytes([next(changes)]))

    with opened(tmp_path, "busy") as descriptor:
        assert not read(descriptor, soon(), change).steady
    assert next(changes) == READS_MAX


def test_one_that_shrinks_is_read_again(tmp_path: Path) -> None:
    path, shrunk = tmp_path / "f", threading.Event()
    path.write_bytes(b"long" * 1_000_000)

    def shrink(at: int, piece: bytes) -> None:
        if not shrunk.is_set():
            shrunk.set()
            os.truncate(path, 3)

    with opened(tmp_path, "f") as descriptor:
        found = read(descriptor, soon(), shrink)
    assert (found.sha256, found.seen.size, found.steady) == (sha(b"lon"), 3, True)


def test_reading_ends_in_time(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    began = time.monotonic()
    with opened(tmp_path, "sparse") as descriptor, pytest.raises(Late):
        read(descriptor, began + 0.2)
    assert time.monotonic() - began < 5.0
