"""Data that was copied or unpacked beside an app becomes its own: its uid, on the disk for good, in its place.

Nothing runs in the folder and no app reaches it, so what a name leads to stays the same while this walks.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from steadyd.runner.folder import FOLDER_MODE, Place, make_root

ONE_BY_ONE = 256
"""Files and folders that are synced each by itself; more of them with everything else that this host has to write."""
PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def hand_over(source: Path, place: Place) -> None:
    """Move the folder `source` to where the app of `place` runs, which has none or an empty one. Blocks; durable when
    it returns."""
    make_root(place)
    settle(source, place.uid)
    os.rename(source, place.app)
    _settle(place.root, None)


def settle(source: Path, uid: int | None) -> None:
    """Make everything in a folder `uid`'s, and the folder one that an app can run in. Blocks; durable when it
    returns."""
    folders, found = [source], [str(source)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                found.append(entry.path)
    many = len(found) > ONE_BY_ONE
    for path in found:
        _settle(path, uid, synced=not many)
    if uid is not None:
        os.chown(source, 0, uid)
    source.chmod(FOLDER_MODE)
    if many:
        os.sync()


def put(folder: Path, path: str, content: Iterable[bytes], mode: int) -> None:
    """Write a new file at `path` below a folder that nobody else writes to. Blocks."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for piece in content:
            file.write(piece)
        os.fchmod(descriptor, mode & 0o777 | 0o600)


# Private


def _settle(path: str | Path, uid: int | None, synced: bool = True) -> None:
    """It belongs to `uid` and is on the disk (if `synced`); anything but files and folders is taken out."""
    mode = os.lstat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        os.unlink(path)
        return
    descriptor = os.open(path, PLAIN)
    try:
        if uid is not None:
            os.fchown(descriptor, uid, uid)
        if synced:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
