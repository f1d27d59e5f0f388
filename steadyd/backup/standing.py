"""Where the databases in an app's folder stand now, for a few system calls and without SQLite.

In WAL mode a commit is a change of the log's index: its header holds the log's salts and how many of its frames count
(https://www.sqlite.org/walformat.html, 2.1), and whoever reads the file sees what writers have mapped. Where no frame
counts it is the file itself: its change counter (https://www.sqlite.org/fileformat.html, 1.3.7) or the time of its last
change. That a database has come is told by the change time of the folder in which it lies, which no app can set.

Nothing that an app links is followed, nothing that it puts in the way makes us wait (O_NOFOLLOW, O_NONBLOCK).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from steadyd.backup.metafolder import is_meta
from steadyd.runner.positions import HEADER, HEADER_BYTES, MODULES, PLAIN, SIDES, opened

FOLDERS_MAX = 100
ENTRIES_MAX = 2_000
DATABASES_MAX = 100
"""Of one app, the upper ones first. `Standing.whole` says whether that was all."""
TICK_NS = 20_000_000
"""Two changes within one tick of the kernel's clock (10 ms at most, inode(7)) may leave the same time: what changed so
lately is looked at again."""

Seen = tuple[int | bytes, ...]
"""Where one database stands. Equal: nothing was committed in between. Unequal: something may have been."""


@dataclass(frozen=True, slots=True)
class Log:
    """A write-ahead log, as its index and its size tell of it."""

    salts: bytes
    """Others with each time that it begins anew."""
    frames: int
    """That count; what comes after them in the file is from before."""
    frame_bytes: int
    size: int

    def was_cut(self, before: Log) -> bool:
        """Whether somebody made the file shorter since it was `before`. A log that begins anew keeps its length and so
        what is left of the former one, but where it is truncated first."""
        if before.salts == self.salts:
            return False
        return self.size < before.size or self.size == LOG_HEADER_BYTES + self.frames * self.frame_bytes


_FOLDER = PLAIN | os.O_DIRECTORY
_INDEX_BYTES = 96
"""The index's header, twice."""
LOG_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24
_PAGE_SIZE, _SALTS = slice(14, 16), slice(32, 40)
_FRAMES, _NO_FRAMES = slice(16, 20), bytes(4)
_WRITE_VERSION, _ROLLBACK = slice(18, 19), b"\x01"
_COUNTER = slice(24, 28)
_unlike = itertools.count(1)
"""Makes a position that is like no other."""


class Standing:
    """The databases of one app, known by their headers."""

    def __init__(self, folder: Path) -> None:
        self._path = folder
        self._root = _Folder()
        self.whole = True
        """False if the folder held more than the last look saw."""
        self.logs: dict[str, Log] = {}
        """Of the databases that the last look found, where they have one with an index."""

    def look(self) -> dict[str, Seen]:
        """Path of each database in the app's folder → where it stands. What cannot be reached is not there. Blocks, for
        some ten microseconds where nothing has changed."""
        found: dict[str, Seen] = {}
        logs: dict[str, Log] = {}
        self.whole, entries, folders = True, 0, 1
        pending: deque[tuple[str, _Folder, int]] = deque()
        with contextlib.suppress(OSError):
            pending.append(("", self._root, os.open(self._path, _FOLDER)))
        while pending:
            path, folder, place = pending.popleft()
            try:
                folder.refresh(place, max(0, ENTRIES_MAX - entries), MODULES if not path else "")
                entries += folder.entries
                self.whole = self.whole and folder.whole
                for name in folder.databases:
                    if len(found) == DATABASES_MAX:
                        self.whole = False
                    elif seen := _seen(place, name):
                        found[path + name] = seen
                        if log := _log(place, name, seen):
                            logs[path + name] = log
                for name, inner in folder.inner.items():
                    if folders == FOLDERS_MAX:
                        self.whole = False
                        inner.forget()
                        continue
                    folders += 1
                    if (below := inner.enter(place, name)) is not None:
                        pending.append((f"{path}{name}/", inner, below))
            except OSError:
                folder.forget()
                self.whole = False
            finally:
                os.close(place)
        self.logs = logs
        return found


def log_of(folder: Path, path: str) -> Log | None:
    """The log of one database now; None where it has none with an index. Blocks."""
    inner, _, name = path.rpartition("/")
    with contextlib.suppress(OSError), opened(folder, inner, os.O_DIRECTORY) as place:
        return _log(place, name, _seen(place, name))
    return None


# Private


class _Folder:
    """What one folder held when it was last listed."""

    __slots__ = ("databases", "inner", "others", "seen", "unfinished", "whole")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.seen: tuple[int, int] | None = None
        """Inode and change time then; None where it must be listed again."""
        self.databases: list[str] = []
        self.unfinished: list[str] = []
        """Files that may be about to become databases: what is written into a file leaves no trace in its folder."""
        self.others: dict[str, int] = {}
        """Files that are neither, and their inodes."""
        self.inner: dict[str, _Folder] = {}
        self.whole = True

    @property
    def entries(self) -> int:
        return len(self.databases) + len(self.unfinished) + len(self.others) + len(self.inner)

    def enter(self, place: int, name: str) -> int | None:
        """A descriptor of it as `name` in `place`; None if there is nothing in it to look at, or it is gone."""
        try:
            if not (self.databases or self.unfinished or self.inner):
                found = os.stat(name, dir_fd=place, follow_symlinks=False)
                if self.seen == (found.st_ino, found.st_ctime_ns):
                    return None
            return os.open(name, _FOLDER, dir_fd=place)
        except OSError:
            return None

    def refresh(self, place: int, room: int, left_out: str) -> None:
        """List it again if it changed, `room` entries at most. Only files that are new in it are opened."""
        now, found = time.time_ns(), os.fstat(place)
        if self.seen == (found.st_ino, found.st_ctime_ns) and not any(_is_database(place, f) for f in self.unfinished):
            return
        inner, others = self.inner, self.others
        self.forget()
        with os.scandir(place) as entries:
            for entry in entries:
                name = entry.name
                if not room:
                    self.whole = False
                    break
                room -= 1
                if entry.is_dir(follow_symlinks=False):
                    if name != left_out and not is_meta(name):
                        self.inner[name] = inner.get(name) or _Folder()
                elif entry.is_file(follow_symlinks=False) and not name.endswith(SIDES):
                    if others.get(name) == entry.inode():
                        self.others[name] = entry.inode()
                    else:
                        self._judge(place, name, entry.inode())
        if now - found.st_ctime_ns > TICK_NS:
            self.seen = (found.st_ino, found.st_ctime_ns)

    def _judge(self, place: int, name: str, inode: int) -> None:
        header = _head(place, name, HEADER_BYTES)
        if not header.startswith(HEADER[: len(header)]):
            self.others[name] = inode
        elif len(header) == HEADER_BYTES:
            self.databases.append(name)
        else:
            self.unfinished.append(name)


def _is_database(place: int, name: str) -> bool:
    header = _head(place, name, HEADER_BYTES)
    return len(header) == HEADER_BYTES and header.startswith(HEADER)


def _seen(place: int, name: str) -> Seen:
    now = time.time_ns()
    try:
        file = os.stat(name, dir_fd=place, follow_symlinks=False)
    except OSError:
        return ()
    index = _head(place, f"{name}-shm", _INDEX_BYTES)
    if len(index) == _INDEX_BYTES and index[_FRAMES] != _NO_FRAMES:
        return (file.st_ino, index)
    header = _head(place, name, HEADER_BYTES)
    if header[_WRITE_VERSION] == _ROLLBACK:
        under_way = _head(place, f"{name}-journal", 1).strip(b"\0")
        return (file.st_ino, file.st_size, header[_COUNTER], *_doubt(bool(under_way)))
    changed, size = file.st_ctime_ns, 0
    with contextlib.suppress(OSError):  # a log without an index: of a connection in exclusive mode
        log = os.stat(f"{name}-wal", dir_fd=place, follow_symlinks=False)
        changed, size = max(changed, log.st_ctime_ns), log.st_size
    return (file.st_ino, file.st_size, changed, size, index, *_doubt(now - changed <= TICK_NS))


def _log(place: int, name: str, seen: Seen) -> Log | None:
    index = next((part for part in seen[1:] if isinstance(part, bytes) and len(part) == _INDEX_BYTES), b"")
    if not index:
        return None
    try:
        size = os.stat(f"{name}-wal", dir_fd=place, follow_symlinks=False).st_size
    except OSError:
        size = 0
    page = int.from_bytes(index[_PAGE_SIZE], sys.byteorder)
    page = 65_536 if page == 1 else page  # it has 16 bits there
    frames = int.from_bytes(index[_FRAMES], sys.byteorder)
    return Log(index[_SALTS], frames, page + _FRAME_HEADER_BYTES, size)


def _doubt(doubtful: bool) -> tuple[int, ...]:
    return (next(_unlike),) if doubtful else ()


def _head(place: int, name: str, size: int) -> bytes:
    """The first bytes of a file; b"" if there is none, or what is there is no file."""
    try:
        file = os.open(name, PLAIN, dir_fd=place)
    except OSError:
        return b""
    try:
        return os.pread(file, size, 0)
    except OSError:
        return b""
    finally:
        os.close(file)
