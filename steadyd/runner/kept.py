"""The copy of a large database, kept from one trial for the next: while nobody writes, it is copied once.

What a candidate writes in WAL mode goes beside the file, so a copy that was only opened is as it was made. Its seal, to
which the time of the last change to its inode belongs (inode(7)), tells that; an app cannot forge it. All of this
blocks: call it from a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

from steadyd.runner.folder import Place
from steadyd.runner.positions import databases

LARGE_BYTES = 16 << 20
"""Of a database with its log; below that, a copy takes no time."""
KEPT_BYTES_MAX = 1 << 30
KEPT_FILES_MAX = 16
KEPT = "kept"
INDEX = "index.json"
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
HEADER_BYTES = 100
WAL_HEADER_BYTES = 32
FRAMES, SALTS = slice(16, 20), slice(32, 40)
"""In the wal-index (SQLite's walformat.html, 2.1): mxFrame, and the salts of the log."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One copied database. `position` is that of the original when it was copied, `seal` the copy's own."""

    path: str
    position: str
    seal: tuple[int, ...]


def standing(folder: Path, bytes_min: int | None = None) -> dict[str, str]:
    """Large databases in an app's folder → how far each has come. An equal position is an equal content."""
    found, least = {}, LARGE_BYTES if bytes_min is None else bytes_min
    for path in databases(folder):
        (looked, _), (log, _) = (_head(f"{folder}/{path}{suffix}", 0) for suffix in ("", "-wal"))
        if looked is not None and looked.st_size + (log.st_size if log else 0) >= least:
            found[path] = _position(f"{folder}/{path}")
    return found


def take(place: Place, scratch: Place, now: Mapping[str, str]) -> list[Copy]:
    """Move what is kept, and still like its original at the positions `now`, into `scratch`. The rest is let go."""
    folder = place.root / KEPT
    taken: list[Copy] = []
    for number, copy in enumerate(_index(folder)):
        kept, target = folder / str(number), scratch.app / copy.path
        if now.get(copy.path) == copy.position and _seal(kept) == copy.seal:
            with contextlib.suppress(OSError):  # its time was up at this moment
                _make_parents(scratch, copy.path)
                os.rename(kept, target)
                taken.append(replace(copy, seal=_seal(target)))
    shutil.rmtree(folder, ignore_errors=True)
    return taken


def sealed(scratch: Place, before: Mapping[str, str], after: Mapping[str, str]) -> list[Copy]:
    """The copies whose originals stood still while they were made, before anybody can write to them."""
    still = [path for path, position in before.items() if after.get(path) == position]
    return [Copy(path, before[path], seal) for path in still if (seal := _seal(scratch.app / path))]


def keep(place: Place, scratch: Place, copies: Sequence[Copy]) -> list[Copy]:
    """Move the copies to which nobody wrote out of `scratch`, in which nothing runs any more; returns those kept."""
    folder, room = place.root / KEPT, KEPT_BYTES_MAX
    kept: list[Copy] = []
    for copy in copies[:KEPT_FILES_MAX]:
        source = scratch.app / copy.path
        seal = _seal(source)
        if seal and seal == copy.seal and seal[2] <= room:
            folder.mkdir(mode=0o700, exist_ok=True)
            target = folder / str(len(kept))
            os.rename(source, target)
            room -= seal[2]
            kept.append(Copy(copy.path, copy.position, _seal(target)))
    if kept:
        (folder / INDEX).write_text(json.dumps([asdict(copy) for copy in kept]))
    return kept


# Private


def _make_parents(scratch: Place, path: str) -> None:
    for parent in reversed(PurePosixPath(path).parents[:-1]):
        (scratch.app / parent).mkdir(exist_ok=True)
        if scratch.uid is not None:
            os.chown(scratch.app / parent, scratch.uid, scratch.uid)


def _index(folder: Path) -> list[Copy]:
    try:
        said = json.loads((folder / INDEX).read_bytes())
        return [Copy(one["path"], one["position"], tuple(one["seal"])) for one in said]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _seal(path: Path) -> tuple[int, ...]:
    """Change time, then what a rename leaves as it is; () if there is no such file."""
    try:
        found = os.lstat(path)
    except OSError:
        return ()
    if not stat.S_ISREG(found.st_mode):
        return ()
    return (found.st_ctime_ns, found.st_ino, found.st_size, found.st_mtime_ns, found.st_nlink)


def _position(path: str) -> str:
    """The file and its log. The log's own times are left out where its index says how many of its frames count."""
    (main, header), (log, salts), (_, index) = (
        _head(path + suffix, size) for suffix, size in (("", HEADER_BYTES), ("-wal", WAL_HEADER_BYTES), ("-shm", 96))
    )
    (journal, hot), counted = _head(path + "-journal", 1), len(index) == 96
    log_seen = [log.st_ino, salts.hex()] if log else []
    log_seen += [] if log is None or counted else [log.st_size, log.st_mtime_ns]
    frames = [index[FRAMES].hex(), index[SALTS].hex()] if counted else []
    main_seen = [main.st_ino, main.st_size, main.st_mtime_ns, header.hex()] if main else []
    said = [main_seen, log_seen, frames, [journal.st_size if journal else 0, hot.hex()]]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _head(path: str, size: int) -> tuple[os.stat_result | None, bytes]:
    """A regular file, and its first bytes."""
    try:
        descriptor = os.open(path, OPEN)
    except OSError:
        return None, b""
    try:
        found = os.fstat(descriptor)
        return (found, os.pread(descriptor, size, 0)) if stat.S_ISREG(found.st_mode) else (None, b"")
    finally:
        os.close(descriptor)
