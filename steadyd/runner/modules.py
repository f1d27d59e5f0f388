"""Installed dependencies of this host: each set once, read-only, linked from every app that needs it.

A set has the key of what decides its content (lockfile.py), so two apps with one lock have one folder, one copy in the
page cache, and one installation. An app's own folder of links says which sets it needs, and so does a folder in which
something of it runs for a while; a set without links can go.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import threading
from pathlib import Path
from weakref import WeakValueDictionary

from steadyd.runner.folder import MODULES, Place, make_root

GONE = "gone-"
FOLDER, FILE, PROGRAM = 0o755, 0o444, 0o555


class Modules:
    """The sets in `folder`; the apps' own folders are below `apps`. All methods but `turn` block."""

    def __init__(self, folder: Path, apps: Path) -> None:
        self._folder = folder
        self._apps = apps
        self._changing = threading.Lock()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn(self, key: str) -> asyncio.Lock:
        """Whoever installs one set waits for whoever does so already."""
        return self._turns.setdefault(key, asyncio.Lock())

    def link(self, place: Place, key: str) -> bool:
        """Give the app a link to the set; false where there is no such set."""
        with self._changing:
            return self._link(place, key)

    def keep(self, place: Place, key: str, installed: Path) -> None:
        """Make `installed` the set, unless it is there, and give the app a link. Durable when it returns."""
        _seal(installed, place.uid is not None)
        os.sync()  # what a version starts with is on the disk before the version is named
        with self._changing:
            self._folder.mkdir(mode=0o711, exist_ok=True)
            if not (self._folder / key / MODULES).is_dir():
                os.rename(installed, self._folder / key)
            self._link(place, key)
        shutil.rmtree(installed, ignore_errors=True)

    def unlinked(self) -> list[Path]:
        """What no app needs, renamed so that nobody finds it again; the caller removes it."""
        with self._changing:
            links = (self._apps.glob(where) for where in ("*/modules/*", "*/scratch/*/modules/*"))
            needed = {link.name for inside in links for link in inside}
            found = (
                [path for path in self._folder.iterdir() if path.name not in needed] if self._folder.is_dir() else []
            )
            return [path if path.name.startswith(GONE) else _rename_aside(path) for path in found]

    # Private

    def _link(self, place: Place, key: str) -> bool:
        target = self._folder / key
        if not (target / MODULES).is_dir():
            return False
        make_root(place)
        link = place.root / "modules" / key
        link.parent.mkdir(mode=0o711, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(target, link.parent.resolve()))
        return True


def modules_path(place: Place, key: str) -> Path:
    """Where an app finds the set that one of its versions needs."""
    return place.root / "modules" / key / MODULES


# Private


def _rename_aside(path: Path) -> Path:
    aside = path.with_name(GONE + os.urandom(8).hex())
    os.rename(path, aside)
    return aside


def _seal(folder: Path, as_root: bool) -> None:
    """Nobody but root owns or may change anything below `folder`, where only files, folders and links are left: two
    apps could talk through a pipe. Follows no link; nothing runs that could make one."""
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(where, name)
            mode = os.lstat(path).st_mode
            if as_root:
                os.chown(path, 0, 0, follow_symlinks=False)
            if stat.S_ISDIR(mode):
                os.chmod(path, FOLDER)
            elif stat.S_ISREG(mode):
                os.chmod(path, PROGRAM if mode & 0o111 else FILE)
            elif not stat.S_ISLNK(mode):
                os.unlink(path)
    if as_root:
        os.chown(folder, 0, 0)
    os.chmod(folder, 0o711)
