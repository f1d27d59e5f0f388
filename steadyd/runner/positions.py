"""Where an app's databases stand: read from their headers, so cheap that it is done while requests are held.

Source: https://www.sqlite.org/fileformat.html, "The Database Header". In WAL mode what is not in the file yet counts as
bytes of the log. Nothing that the app links is followed: it would tell of files that are not the app's.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from steadyd.model import Position

HEADER = b"SQLite format 3\0"
HEADER_BYTES = 100
ENTRIES_MAX = 2_000
"""Files and folders that are looked at, the upper ones first."""
DATABASES_MAX = 100
DEPTH_MAX = 32
SIDES = ("-wal", "-shm", "-journal")
MODULES = "node_modules"
PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def databases(folder: Path) -> list[str]:
    """Paths of the SQLite files in an app's folder, as far as the limits go. Blocks."""
    found: list[str] = []
    pending, seen = deque([""]), 0
    while pending:
        inner = pending.popleft()
        with contextlib.suppress(OSError), opened(folder, inner, os.O_DIRECTORY) as place, os.scandir(place) as listed:
            for entry in listed:
                seen += 1
                if seen > ENTRIES_MAX or len(found) >= DATABASES_MAX:
                    return sorted(found)
                path = f"{inner}/{entry.name}".lstrip("/")
                if entry.is_dir(follow_symlinks=False) and path != MODULES and path.count("/") < DEPTH_MAX:
                    pending.append(path)
                elif entry.is_file(follow_symlinks=False) and not path.endswith(SIDES) and _header(place, entry.name):
                    found.append(path)
    return sorted(found)


def positions(folder: Path, paths: Iterable[str]) -> list[Position]:
    """Where these databases stand now; one that is gone is left out. Blocks, for some ten microseconds each."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            inner, _, name = path.rpartition("/")
            with opened(folder, inner, os.O_DIRECTORY) as place:
                if header := _header(place, name):
                    size, log = _size(place, name), _size(place, f"{name}-wal")
                    found.append(Position(path, size, _number(header, 28), _number(header, 24), log))
    return found


@contextmanager
def opened(folder: Path, inner: str, flags: int) -> Iterator[int]:
    """A descriptor of what lies at `inner`, reached through folders only."""
    place = os.open(folder, PLAIN | os.O_DIRECTORY)
    try:
        for part in filter(None, inner.split("/")):
            below = os.open(part, PLAIN | flags, dir_fd=place)
            os.close(place)
            place = below
        yield place
    finally:
        os.close(place)


# Private


def _header(place: int, name: str) -> bytes:
    """b"" for what is no database."""
    with contextlib.suppress(OSError):
        file = os.open(name, PLAIN, dir_fd=place)
        try:
            if stat.S_ISREG(os.fstat(file).st_mode):
                header = os.pread(file, HEADER_BYTES, 0)
                return header if header.startswith(HEADER) and len(header) == HEADER_BYTES else b""
        finally:
            os.close(file)
    return b""


def _size(place: int, name: str) -> int:
    with contextlib.suppress(OSError):
        return os.stat(name, dir_fd=place, follow_symlinks=False).st_size
    return 0


def _number(header: bytes, at: int) -> int:
    return int.from_bytes(header[at : at + 4], "big")
