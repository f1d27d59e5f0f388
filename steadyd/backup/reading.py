"""Reading one file of an app's folder, which the app may change, move or replace under our hands.

A path is walked folder by folder, with descriptors and O_NOFOLLOW, and what is opened is looked at before it is read:
so no link, no FIFO and no file of somebody else's is ever read, whatever changes places meanwhile. All of this blocks.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
WALK = PLAIN | os.O_DIRECTORY
READS_MAX = 3
"""Of a file that changes while it is read."""
PIECE_BYTES = 1 << 20


class Late(Exception):
    """The time for reading is over."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is different about a file that was written to (inode(7))."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of a file. Not `steady`: it changed each time, so this may be a mixture of several moments."""

    sha256: str
    seen: Seen
    mode: int
    steady: bool


def seen(found: os.stat_result) -> Seen:
    return Seen(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@contextmanager
def opened(folder: Path, path: str) -> Iterator[int]:
    """A descriptor of what lies at `path` in `folder`, reached through folders only.

    Raises:
        OSError: nothing lies there, or a link does.
    """
    *above, name = path.split("/")
    place = os.open(folder, WALK)
    try:
        for part in above:
            below = os.open(part, WALK, dir_fd=place)
            os.close(place)
            place = below
        descriptor = os.open(name, PLAIN, dir_fd=place)
    finally:
        os.close(place)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read(descriptor: int, deadline: float, sink: Callable[[int, bytes], object] | None = None) -> Read:
    """The content of a regular file, until nothing changed while it was read or two readings agree: a file to which is
    only appended is taken as long as it was at first. `deadline` is monotonic seconds. `sink` gets each piece with its
    place in the file, from the beginning again at each reading.

    Raises:
        Late: it took too long.
        OSError: it is no regular file, or cannot be read.
    """
    before, last = os.fstat(descriptor), ""
    if not stat.S_ISREG(before.st_mode):
        raise OSError("no regular file")
    first = seen(before)
    for _ in range(READS_MAX):
        size = min(first.size, before.st_size)
        digest = _digest(descriptor, size, deadline, sink)
        after = os.fstat(descriptor)
        steady = seen(before) == seen(after) or digest == last
        found = Read(digest, Seen(first.inode, size, before.st_mtime_ns, before.st_ctime_ns), before.st_mode, steady)
        if steady:
            break
        before, last = after, digest
    return found


def head(descriptor: int, size: int) -> bytes:
    """The first bytes; b"" where there are none."""
    with contextlib.suppress(OSError):
        return os.pread(descriptor, size, 0)
    return b""


# Private


def _digest(descriptor: int, size: int, deadline: float, sink: Callable[[int, bytes], object] | None) -> str:
    digest, at = hashlib.sha256(), 0
    while at < size:
        if time.monotonic() > deadline:
            raise Late
        piece = os.pread(descriptor, min(PIECE_BYTES, size - at), at)
        if not piece:
            break  # it became shorter: the next reading sees that
        digest.update(piece)
        if sink is not None:
            sink(at, piece)
        at += len(piece)
    return digest.hexdigest()
