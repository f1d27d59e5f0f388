"""Adding up what an app's folders hold: a program of its own, so that millions of files are no work of the daemon's.

It runs as `python -I -S usage.py ORDER` and imports nothing of ours. ORDER is one JSON object, the answer another:

    order    {"folders": [paths], "uid": 1 or null, "pids": [processes], "bytes": stop above, "inodes": stop above,
              "seconds": stop after}
    answer   {"bytes": 1, "inodes": 1, "held_bytes": 1, "whole": true, "largest": "name", "largest_bytes": 1}

Nothing is opened but folders, and those without following a link (open(2), O_NOFOLLOW); what is inside is only looked
at (fstatat(2)). One descriptor at any depth: the way back is `..`, believed only if it is the folder that we came from,
for the app may move folders under our feet. Run as root, because an app can close a folder to itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import time
from typing import Any

WALK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
BLOCK_BYTES = 512
"""The unit of st_blocks, whatever the filesystem's is (inode(7))."""
NICE = 5


class Enough(Exception):
    """Above what was asked for, so that nobody needs the rest; or out of time."""


class Walk:
    """Sums over folders and open files. Where `uid` is None every owner's files count."""

    def __init__(self, uid: int | None, bytes_max: int, inodes_max: int, seconds: float = 60.0) -> None:
        self.bytes = 0
        self.inodes = 0
        self.held_bytes = 0
        """Of `bytes`: deleted, but open or mapped."""
        self.whole = True
        """False where it stopped early, or a folder was closed to us or moved away meanwhile."""
        self.largest, self.largest_bytes = "", 0
        """What holds most, directly in one of the folders."""
        self._uid = uid
        self._bytes_max = bytes_max
        self._inodes_max = inodes_max
        self._deadline = time.monotonic() + seconds
        self._device = -1
        self._seen: set[int] = set()
        """Inodes with several names, or with none, counted once."""

    def folder(self, path: str) -> None:
        """Add everything below `path`, on its own filesystem. Raises Enough."""
        try:
            top = os.open(path, WALK)
        except OSError:
            return  # it was never made
        try:
            self._device = os.fstat(top).st_dev
            for name in self._scan(top):
                before = self.bytes
                try:
                    with contextlib.suppress(FileNotFoundError):
                        self._branch(os.open(name, WALK, dir_fd=top))
                except OSError:
                    self.whole = False
                finally:
                    if self.bytes - before > self.largest_bytes:
                        self.largest, self.largest_bytes = os.fsdecode(name), self.bytes - before
        finally:
            os.close(top)

    def held(self, pids: list[int]) -> None:
        """Add files that have no name any more, but that one of `pids` has open or mapped (proc(5)). Raises Enough."""
        for pid in pids:
            for kind in ("fd", "map_files"):
                with contextlib.suppress(OSError):
                    for name in os.listdir(f"/proc/{pid}/{kind}"):
                        with contextlib.suppress(OSError):
                            found = os.stat(f"/proc/{pid}/{kind}/{name}")
                            if stat.S_ISREG(found.st_mode) and found.st_nlink == 0 and found.st_dev == self._device:
                                self._count(found)  # whoever it seems to belong to: its mount may translate owners

    # Private

    def _branch(self, current: int) -> None:
        """Depth first from the folder `current`, which is closed at the end."""
        above: list[tuple[os.stat_result, list[str]]] = []
        try:
            here, pending = os.fstat(current), self._scan(current)
            while pending or above:
                down = bool(pending)
                following = os.open(pending.pop() if down else "..", WALK, dir_fd=current)
                os.close(current)
                current = following
                if down:
                    above.append((here, pending))
                    here, pending = os.fstat(current), self._scan(current)
                else:
                    here, pending = above.pop()
                    if not os.path.samestat(os.fstat(current), here):
                        raise NotADirectoryError  # moved while we were in it: what is above now may not be the app's
        finally:
            os.close(current)

    def _scan(self, folder: int) -> list[str]:
        """Add what lies directly in `folder`; returns the names of its folders."""
        names = []
        if time.monotonic() > self._deadline:
            raise Enough
        with os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    self._add(found)
                    if stat.S_ISDIR(found.st_mode) and found.st_dev == self._device:
                        names.append(entry.name)
        return names

    def _add(self, found: os.stat_result) -> None:
        if found.st_dev == self._device and self._uid in (None, found.st_uid):
            self._count(found)

    def _count(self, found: os.stat_result) -> None:
        if found.st_nlink != 1 and not stat.S_ISDIR(found.st_mode):
            if found.st_ino in self._seen:
                return
            self._seen.add(found.st_ino)
        self.inodes += 1
        self.bytes += found.st_blocks * BLOCK_BYTES
        self.held_bytes += 0 if found.st_nlink else found.st_blocks * BLOCK_BYTES
        if self.bytes > self._bytes_max or self.inodes > self._inodes_max:
            raise Enough


def main(order: dict[str, Any]) -> dict[str, object]:
    """Follow `order`; returns the answer."""
    walk = Walk(order["uid"], order["bytes"], order["inodes"], order["seconds"])
    try:
        for path in order["folders"]:
            walk.folder(path)
        walk.held(order["pids"])
    except Enough:
        walk.whole = False
    return {
        "bytes": walk.bytes,
        "inodes": walk.inodes,
        "held_bytes": walk.held_bytes,
        "whole": walk.whole,
        "largest": walk.largest,
        "largest_bytes": walk.largest_bytes,
    }


if __name__ == "__main__":
    os.nice(NICE)
    print(json.dumps(main(json.loads(sys.argv[1]))), flush=True)
