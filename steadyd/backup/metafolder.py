"""The folder `.NAME-litestream` beside a database, where Litestream keeps what it has read until the replica has it.

It says of which line it is: what another line left, or a copy of the app's folder brought along, would be taken for the
beginning of this one. It lies where the app can write, so every step walks with descriptors and O_NOFOLLOW; inside it,
the app can only harm its own line. All of this blocks.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from steadyd.runner.positions import PLAIN, SIDES

SUFFIX = "-litestream"
LINE = "line"
LEVEL = "ltx/0"
"""Where it keeps every single sync."""
FILES_COUNTED_MAX = 10_000
HOLLOW_BYTES, HOLLOW_TIMES = 1 << 30, 64
"""A file that is so much longer than what it holds was made to keep whoever reads it busy: SQLite leaves no holes."""
BLOCK_BYTES = 512
"""The unit of st_blocks, whatever the filesystem's is (inode(7))."""
_FOLDER = PLAIN | os.O_DIRECTORY


@dataclass(frozen=True, slots=True)
class Held:
    """What lies there that was not compacted yet."""

    files: int
    bytes: int


def is_meta(name: str) -> bool:
    """Whether a folder of that name is Litestream's."""
    return name.startswith(".") and name.endswith(SUFFIX)


def settle(folder: Path, path: str, line: str, aside: Path) -> str:
    """Have the database at `path` continue `line`: what another line left goes to `aside`, which must not exist.

    Returns why the database cannot be opened, "" if it can. Raises OSError.
    """
    name = path.rpartition("/")[2]
    with _parent(folder, path) as place:
        if said := _unfit(place, name):
            return said
        meta = f".{name}{SUFFIX}"
        if _line(place, meta) == line:
            return ""
        with contextlib.suppress(FileNotFoundError):
            os.rename(meta, aside, src_dir_fd=place)
        os.mkdir(meta, 0o700, dir_fd=place)
        inner = os.open(meta, _FOLDER, dir_fd=place)
        try:
            owner = os.fstat(place)
            if owner.st_uid != os.geteuid():
                os.chown(inner, owner.st_uid, owner.st_gid)  # whoever may remove the folder around it may remove it
            mark = os.open(LINE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=inner)
            with open(mark, "wb") as file:
                file.write(line.encode())
        finally:
            os.close(inner)
    return ""


def exists(folder: Path, path: str) -> bool:
    """Whether there is anything at `path`."""
    with contextlib.suppress(OSError), _parent(folder, path) as place:
        os.stat(path.rpartition("/")[2], dir_fd=place, follow_symlinks=False)
        return True
    return False


def remove(folder: Path, path: str, aside: Path) -> None:
    """What Litestream kept of that database goes to `aside`. Raises OSError."""
    with _parent(folder, path) as place, contextlib.suppress(FileNotFoundError):
        os.rename(f".{path.rpartition('/')[2]}{SUFFIX}", aside, src_dir_fd=place)


def held(folder: Path, path: str, after: int = 0) -> Held:
    """What lies there of transactions after `after`; nothing if it cannot be reached."""
    files = size = 0
    with contextlib.suppress(OSError), _parent(folder, path) as place:
        inner = _walk(place, f".{path.rpartition('/')[2]}{SUFFIX}/{LEVEL}")
        try:
            with os.scandir(inner) as entries:
                for entry in entries:
                    if _last(entry.name) <= after:
                        continue
                    files += 1
                    size += entry.stat(follow_symlinks=False).st_size
                    if files >= FILES_COUNTED_MAX:
                        break
        finally:
            os.close(inner)
    return Held(files, size)


def strange(folder: Path, path: str) -> str:
    """The name of something that Litestream would open for this database and that is no plain file; "" if there is
    none. Whoever waits in a pipe among them, waits no more: an app that puts one there would stop more than itself."""
    name = path.rpartition("/")[2]
    with contextlib.suppress(OSError), _parent(folder, path) as place:
        for inner, wanted in (("", {name + suffix for suffix in ("", *SIDES)}), (f".{name}{SUFFIX}/{LEVEL}", None)):
            below = _walk(place, inner)
            try:
                if found := _strange(below, wanted):
                    return found
            finally:
                os.close(below)
    return ""


# Private


def _strange(place: int, wanted: set[str] | None) -> str:
    found = ""
    names = wanted if wanted is not None else {entry.name for entry in os.scandir(place) if not _is_plain(entry)}
    for name in names:
        with contextlib.suppress(OSError):
            mode = os.stat(name, dir_fd=place, follow_symlinks=False).st_mode
            found = found if stat.S_ISREG(mode) else name
            if stat.S_ISFIFO(mode):  # ENXIO where nobody waits in it
                os.close(os.open(name, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=place))
    return found


def _is_plain(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


@contextmanager
def _parent(folder: Path, path: str) -> Iterator[int]:
    """A descriptor of the folder in which `path` lies, reached through folders only."""
    start = os.open(folder, _FOLDER)
    try:
        place = _walk(start, path.rpartition("/")[0])
    finally:
        os.close(start)
    try:
        yield place
    finally:
        os.close(place)


def _walk(place: int, inner: str) -> int:
    place = os.dup(place)
    for part in filter(None, inner.split("/")):
        try:
            below = os.open(part, _FOLDER, dir_fd=place)
        finally:
            os.close(place)
        place = below
    return place


def _unfit(place: int, name: str) -> str:
    """Why what lies there must not be opened as a database."""
    for suffix in ("", *SIDES):
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(name + suffix, dir_fd=place, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode):
                return f"“{name}{suffix}” is no regular file."
            if found.st_size > HOLLOW_BYTES + HOLLOW_TIMES * BLOCK_BYTES * found.st_blocks:
                return f"“{name}{suffix}” is one hole, {found.st_size >> 30:,} GiB long."
    return ""


def _last(name: str) -> int:
    """The last transaction in a file, by its name; what is named otherwise is as new as can be."""
    try:
        return int(name.partition("-")[2].removesuffix(".ltx"), 16)
    except ValueError:
        return 1 << 64


def _line(place: int, meta: str) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        inner = os.open(meta, _FOLDER, dir_fd=place)
        try:
            file = os.open(LINE, PLAIN, dir_fd=inner)
        finally:
            os.close(inner)
        try:
            return os.read(file, 100).decode()
        finally:
            os.close(file)
    return ""
