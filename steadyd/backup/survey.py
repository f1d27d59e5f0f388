"""What an app's folder holds that nobody else keeps: every file of the app's own that is no database, by content.

Shipped files belong to their version, databases and their side files to the replica, `.NAME-litestream` to Litestream,
and node_modules is installed again. What is no regular file (a link, a FIFO, a device, a socket) is counted and left. A
file that is as it was at the last survey is not opened. What a survey could not do it says, by cause: nothing is left
out silently. All of this blocks: call it from a thread.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from steadyd.backup.manifest import MODES, Kept, Manifest
from steadyd.backup.reading import PLAIN, WALK, Late, Seen, head, read, seen
from steadyd.errors import plain
from steadyd.runner.folder import MODULES, SQLITE_SIDES, Place
from steadyd.tree import SQLITE_HEADER, holds_database

FILES_MAX = 100_000
ENTRIES_MAX = 150_000
"""Files, folders and what is neither."""
FILE_BYTES_MAX = 4 << 30
BYTES_MAX = 16 << 30
"""Of all files of one app together."""
DEPTH_MAX = 64
"""Folders in one another; each is held open."""
SECONDS_MAX = 60.0
SETTLED_SECONDS = 60.0
"""A file that was written to so shortly before it was read is read again the next time: what is written through a
mapping changes no time until the kernel writes it back (mmap(2); vm.dirty_expire_centisecs is 30 s)."""
STILL_SECONDS = 0.02
"""The same where nothing runs any more, and every moment counts: more than a kernel's tick."""
LITESTREAM = "-litestream"


@dataclass(frozen=True, slots=True)
class Known:
    """A file as it was read. `read_at` is in seconds since 1970."""

    seen: Seen
    sha256: str
    read_at: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one survey may take, and how long a file must have been left alone to be trusted unread."""

    files: int = FILES_MAX
    entries: int = ENTRIES_MAX
    file_bytes: int = FILE_BYTES_MAX
    bytes: int = BYTES_MAX
    depth: int = DEPTH_MAX
    seconds: float = SECONDS_MAX
    settled_seconds: float = SETTLED_SECONDS


@dataclass(slots=True)
class Lack:
    """So many times something could not be done; the first path it is about ("" for the whole)."""

    count: int
    path: str


@dataclass(slots=True)
class Found:
    """What a survey found. `at` is when it began, seconds since 1970."""

    at: float
    files: dict[str, Kept] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    databases: list[str] = field(default_factory=list)
    skipped: int = 0
    """Links, FIFOs, devices and sockets."""
    late: bool = False
    """It ended for want of time."""
    lacking: dict[str, Lack] = field(default_factory=dict)
    """What could not be done."""

    @property
    def manifest(self) -> Manifest:
        return Manifest(self.files, self.folders)

    @property
    def problem(self) -> str:
        """Why this is not all that the app has, in words; "" if it is."""
        return "; ".join(_told(why, lack) for why, lack in self.lacking.items())

    def lacks(self, why: str, path: str = "") -> None:
        self.lacking.setdefault(why, Lack(0, path)).count += 1


class Enough(Exception):
    """A bound of the whole survey is reached."""


class TooLate(Enough):
    """So is the last moment for it."""


class Survey:
    """One walk over one app's folder."""

    def __init__(
        self, place: Place, shipped: Collection[str], known: Mapping[str, Known], bounds: Bounds = Bounds()
    ) -> None:
        """`shipped` are the paths of the version's files, which tell only where they have no owner of their own."""
        self._place = place
        self._shipped = shipped
        self._known = known
        self._bounds = bounds
        self._deadline = time.monotonic() + bounds.seconds
        self._entries = 0
        self._bytes = 0
        self._device = -1
        self.found = Found(time.time())

    def look(self) -> Found:
        """Walk, and read what is not known."""
        try:
            top = os.open(self._place.app, WALK)
        except FileNotFoundError:
            return self.found
        self._device = os.fstat(top).st_dev
        levels: list[tuple[int, str, Iterator[str]]] = []
        try:
            levels.append((top, "", iter(())))
            levels[0] = (top, "", self._folder(top, ""))
            while levels:
                folder, path, pending = levels[-1]
                name = next(pending, None)
                if name is not None:
                    self._enter(levels, f"{path}{name}/", name, folder)
                else:
                    os.close(levels.pop()[0])
        except Enough as enough:
            self.found.late = isinstance(enough, TooLate)
            self.found.lacks(str(enough))
        finally:
            for folder, _, _ in levels:
                os.close(folder)
        return self.found

    # Private

    def _enter(self, levels: list[tuple[int, str, Iterator[str]]], path: str, name: str, above: int) -> None:
        if len(levels) > self._bounds.depth:
            self.found.lacks(f"deeper than {self._bounds.depth} folders", path)
            return
        try:
            folder = os.open(name, WALK, dir_fd=above)
        except FileNotFoundError:
            return
        except NotADirectoryError:
            self.found.skipped += 1  # a link took its place
            return
        except OSError as error:
            self.found.lacks(f"not readable ({error.strerror})", path)
            return
        levels.append((folder, path, iter(())))
        found = os.fstat(folder)
        if found.st_dev != self._device:
            self.found.skipped += 1
            return
        if self._is_apps(found, path[:-1]):
            self.found.folders[path] = found.st_mode & MODES
        levels[-1] = (folder, path, self._folder(folder, path))

    def _folder(self, folder: int, path: str) -> Iterator[str]:
        """Keep the files that lie directly in `folder`; returns the names of its folders."""
        files, folders = [], []
        for name, found in self._entries_of(folder):
            if stat.S_ISDIR(found.st_mode):
                if not (name.startswith(".") and name.endswith(LITESTREAM)) and path + name != MODULES:
                    folders.append(name)
            elif not stat.S_ISREG(found.st_mode):
                self.found.skipped += path + name != MODULES
            elif self._is_apps(found, path + name):
                files.append((name, found))
        databases = {name for name, found in files if self._is_database(folder, path + name, name, found)}
        sides = {name + suffix for name in databases for suffix in SQLITE_SIDES}
        self.found.databases += sorted(path + name for name in databases - sides)
        for name, found in files:
            if name not in databases and name not in sides:
                self._keep(folder, path + name, name, found)
        return iter(folders)

    def _entries_of(self, folder: int) -> Iterator[tuple[str, os.stat_result]]:
        with os.scandir(folder) as entries:
            for entry in entries:
                self._entries += 1
                if self._entries > self._bounds.entries:
                    raise Enough(f"more than {self._bounds.entries:,} entries")
                if self._entries % 256 == 0:
                    self._check_time()
                try:
                    found = os.stat(entry.name, dir_fd=folder, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield entry.name, found

    def _is_apps(self, found: os.stat_result, path: str) -> bool:
        """Whether the app made it. The owner tells; where all have one owner, that a shipped file is read-only."""
        if self._place.uid is not None:
            return found.st_uid == self._place.uid
        return path not in self._shipped or bool(found.st_mode & 0o222)

    def _is_database(self, folder: int, path: str, name: str, found: os.stat_result) -> bool:
        if self._trusted(path, found) is not None:
            return False
        if found.st_size == 0:
            return holds_database(name, b"")
        try:
            descriptor = os.open(name, PLAIN, dir_fd=folder)
        except OSError:
            return False  # whether it is one or not, reading it will say why it cannot be
        try:
            return stat.S_ISREG(os.fstat(descriptor).st_mode) and head(descriptor, 16) == SQLITE_HEADER
        finally:
            os.close(descriptor)

    def _trusted(self, path: str, found: os.stat_result) -> Known | None:
        """What it was when it was read last, if that is so long after it was written that it is still true."""
        known = self._known.get(path)
        if known is None or known.seen != seen(found):
            return None
        return known if known.read_at - found.st_ctime > self._bounds.settled_seconds else None

    def _keep(self, folder: int, path: str, name: str, found: os.stat_result) -> None:
        if len(self.found.files) >= self._bounds.files:
            raise Enough(f"more than {self._bounds.files:,} files")
        if found.st_size > self._bounds.file_bytes:
            self.found.lacks(f"larger than {self._bounds.file_bytes >> 20:,} MiB", path)
            return
        self._bytes += found.st_size
        if self._bytes > self._bounds.bytes:
            raise Enough(f"more than {self._bounds.bytes >> 20:,} MiB together")
        trusted = self._trusted(path, found)
        if trusted is not None:
            self.found.known[path] = trusted
            self.found.files[path] = Kept(trusted.sha256, found.st_size, found.st_mode & MODES)
        else:
            self._check_time()
            self._read(folder, path, name)

    def _read(self, folder: int, path: str, name: str) -> None:
        read_at = time.time()
        try:
            descriptor = os.open(name, PLAIN, dir_fd=folder)
        except FileNotFoundError:
            return
        except OSError as error:
            self.found.lacks(f"not readable ({error.strerror})", path)
            return
        try:
            now = os.fstat(descriptor)
            if not stat.S_ISREG(now.st_mode) or now.st_dev != self._device or not self._is_apps(now, path):
                self.found.skipped += 1  # something else took its place
                return
            if now.st_size > self._bounds.file_bytes:
                self.found.lacks(f"larger than {self._bounds.file_bytes >> 20:,} MiB", path)
                return
            got = read(descriptor, self._deadline)
        except Late:
            raise self._too_late() from None
        except OSError as error:
            self.found.lacks(f"not readable ({error.strerror or error})", path)
            return
        finally:
            os.close(descriptor)
        if got.steady:
            self.found.known[path] = Known(got.seen, got.sha256, read_at)
        else:
            self.found.lacks("changed while it was read", path)
        self.found.files[path] = Kept(got.sha256, got.seen.size, got.mode & MODES)

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise self._too_late()

    def _too_late(self) -> TooLate:
        return TooLate(f"more than {self._bounds.seconds:g} s of reading")


def _told(why: str, lack: Lack) -> str:
    if not lack.path:
        return f"stopped at {why}"
    more = f" and {lack.count - 1:,} more" if lack.count > 1 else ""
    return f"{why}: {plain(lack.path[:200])}{more}"
