"""An app's folder: the version's files and what the app itself wrote, side by side, code swapped under foot.

Shipped files belong to root with mode 0444 and shipped folders are `root:APP-GID` 1775 (sticky), so the app can write
beside them but neither change nor remove them. Databases never move. Every step walks with descriptors and
O_NOFOLLOW: a link that the app made is never followed, it is put aside. Only called while no instance runs in it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from steadyd.model import File
from steadyd.runner.blobs import Blobs
from steadyd.tree import SQLITE_HEADER, holds_database

FOLDER_MODE = 0o1775
READ_ONLY_BINDS_MAX = 50
MODULES = "node_modules"
SHIPPED, CHANGES = "shipped.json", "changes.json"
SQLITE_SIDES = ("-wal", "-shm", "-journal")
WALK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Place:
    """Where one app lives on this host. `uid` is None where the daemon is not root: then files are copies."""

    root: Path
    uid: int | None

    @property
    def app(self) -> Path:
        return self.root / "app"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def aside(self) -> Path:
        return self.root / "aside"

    @property
    def scratch(self) -> Path:
        """Folders that live as long as one step of an operation; what a crash left there can go."""
        return self.root / "scratch"


@dataclass(frozen=True, slots=True)
class Changes:
    """What linking `version` did to the app's own files: path → name in the folder `aside`, and databases seeded."""

    version: int
    aside: dict[str, str]
    seeded: list[str]


class Folder:
    """The folder of one app, or a scratch folder for its candidate. All methods block: call them from a thread."""

    def __init__(self, place: Place, blobs: Blobs) -> None:
        self._place = place
        self._blobs = blobs
        self._before: frozenset[str] = frozenset()
        """Paths that an earlier version shipped."""
        self._changes = Changes(0, {}, [])

    def link(self, files: Sequence[File], version: int, live: int, modules: Path | None = None) -> list[str]:
        """Make the folder show exactly `files` beside what the app wrote. May be repeated, and interrupted anywhere.

        `live` is the version that is live by the records: what an earlier call did to the app's own files for a version
        that never went live is undone first. Without a sandbox nothing can be bound over node_modules: then it is a
        link to `modules`.

        Returns the paths of files that the app had written where the version now ships one: they were put aside.
        """
        self._prepare()
        self._point_modules(modules)
        changes = self._read_changes()
        self._before = frozenset(shipped(self._place))
        wanted = {file.path for file in files if not _is_database(self._blobs, file)}
        # Recorded before anything changes: after a crash, both old and new paths are known to be ours.
        self._remember(SHIPPED, sorted(self._before | wanted))
        never_live = changes if changes.version != live else Changes(0, {}, [])
        in_the_way = {path for path in self._before if any(_within(path, aside) for aside in never_live.aside)}
        for path in sorted(self._before - wanted | in_the_way, reverse=True):
            self._remove(path)
        self._undo(never_live)
        self._changes = Changes(version, {}, [])
        if changes.aside or changes.seeded:
            self._remember(CHANGES, asdict(self._changes))
        for file in files:
            if file.path in wanted:
                self._place_file(file)
            else:
                self._seed(file)
        self._remember(SHIPPED, sorted(wanted))
        return sorted(self._changes.aside)

    def top_level(self, files: Sequence[File]) -> tuple[str, ...]:
        """Names to bind read-only where ownership cannot protect the shipped files; never one that holds a database."""
        if self._place.uid is not None:
            return ()
        databases = {_first(file.path) for file in files if _is_database(self._blobs, file)}
        return tuple(sorted({_first(file.path) for file in files} - databases))[:READ_ONLY_BINDS_MAX]

    def has_written(self) -> bool:
        """Whether the folder holds a file that no version shipped, or a database. Links are not followed."""
        self._before = frozenset(shipped(self._place))
        pending = [""]
        while pending:  # os.walk recurses, and an app's folders may be deeper than Python's stack
            inner = pending.pop()
            try:
                with os.scandir(self._place.app / inner) as entries:
                    for entry in entries:
                        path = f"{inner}/{entry.name}".lstrip("/")
                        if path == MODULES:
                            continue
                        found = entry.stat(follow_symlinks=False)
                        if stat.S_ISDIR(found.st_mode):
                            pending.append(path)
                        elif not self._is_ours(found, path):
                            return True
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    return True  # nothing that ships is so deep
        return False

    def holds(self, path: str) -> bool:
        """Whether something lies there whose name begins with the path's last: `./lib/a` may mean `lib/a.ts`."""
        with contextlib.suppress(OSError), self._parent(path) as (parent, name):
            return any(found.startswith(name) for found in os.listdir(parent))
        return False

    # Private

    def _prepare(self) -> None:
        place = self._place
        make_root(place)
        for folder, mode in ((place.app, FOLDER_MODE), (place.aside, 0o700)):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)
        if place.uid is not None:
            os.chown(place.app, 0, place.uid)

    def _point_modules(self, modules: Path | None) -> None:
        """node_modules: an empty folder to bind over, or a link."""
        path = self._place.app / MODULES
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISDIR(path.lstat().st_mode):
                path.unlink()
            elif modules is not None:
                path.rmdir()
        if modules is not None:
            path.symlink_to(modules)
        else:
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=0o755)

    def _read_changes(self) -> Changes:
        try:
            return Changes(**json.loads((self._place.root / CHANGES).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return Changes(0, {}, [])

    def _remember(self, name: str, value: object) -> None:
        target, content = self._place.root / name, json.dumps(value).encode()
        with contextlib.suppress(FileNotFoundError):
            if target.read_bytes() == content:
                return
        part = target.with_name(f"{name}.part")
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)

    def _is_ours(self, found: os.stat_result, path: str) -> bool:
        """Whether a version shipped it. The owner tells; where all have one owner, that we never let it be written."""
        if self._place.uid is not None:
            return found.st_uid != self._place.uid
        return path in self._before and not found.st_mode & 0o222

    def _remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), self._parent(path) as (parent, name):
            found = _look(parent, name)
            if found is not None and stat.S_ISREG(found.st_mode) and self._is_ours(found, path):
                os.unlink(name, dir_fd=parent)
        # A folder that only held shipped files goes with them.
        while "/" in path:
            path = path.rpartition("/")[0]
            try:
                with self._parent(path) as (parent, name):
                    os.rmdir(name, dir_fd=parent)
            except FileNotFoundError:
                continue
            except OSError:
                return

    def _undo(self, changes: Changes) -> None:
        """Take back what a link did to the app's own files for a version that never went live."""
        for path in changes.seeded:
            for suffix in ("", *SQLITE_SIDES):
                with contextlib.suppress(OSError), self._parent(path) as (parent, name):
                    os.unlink(name + suffix, dir_fd=parent)
        for path, kept in changes.aside.items():
            with contextlib.suppress(OSError), self._parent(path) as (parent, name):
                if _look(parent, name) is None:
                    os.rename(self._place.aside / kept, name, dst_dir_fd=parent)

    def _seed(self, file: File) -> None:
        """A shipped database only seeds an absent one."""
        with self._parent(file.path, make=True) as (parent, name):
            if _look(parent, name) is None:
                self._changes.seeded.append(file.path)
                self._remember(CHANGES, asdict(self._changes))
                self._copy(file, 0o644, self._place.uid)
                os.rename(self._part, name, dst_dir_fd=parent)

    def _place_file(self, file: File) -> None:
        with self._parent(file.path, make=True) as (parent, name):
            found = _look(parent, name)
            if found is not None and not (stat.S_ISREG(found.st_mode) and self._is_ours(found, file.path)):
                self._put_aside(parent, name, file.path)
            blob = self._blobs.path(file.sha256)
            if self._place.uid is None:
                self._copy(file, 0o444, None)
            elif found is not None and os.path.samestat(found, os.stat(blob)):
                return
            else:
                try:
                    self._part.unlink(missing_ok=True)
                    os.link(blob, self._part, follow_symlinks=False)
                except OSError as error:
                    if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
                        raise
                    self._copy(file, 0o444, 0)
            os.rename(self._part, name, dst_dir_fd=parent)

    @property
    def _part(self) -> Path:
        """What is on its way into the folder, made where the app cannot reach."""
        return self._place.root / "part"

    def _copy(self, file: File, mode: int, uid: int | None) -> None:
        self._part.unlink(missing_ok=True)
        descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as target, open(self._blobs.path(file.sha256), "rb") as source:
            while piece := source.read(1 << 20):
                target.write(piece)
            os.fchmod(target.fileno(), mode)
            if uid is not None:
                os.fchown(target.fileno(), uid, uid)

    def _put_aside(self, parent: int, name: str, path: str) -> None:
        target = self._place.aside / f"{self._changes.version}-{path.replace('/', '%2F')[-200:]}"
        while os.path.lexists(target):
            target = target.with_name(f"{target.name}~")
        self._changes.aside[path] = target.name
        self._remember(CHANGES, asdict(self._changes))
        os.rename(name, target, src_dir_fd=parent)

    @contextmanager
    def _parent(self, path: str, make: bool = False) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that holds `path`, and the last name. With `make`, missing folders are made and
        whatever is no folder is put aside; without, they raise."""
        *folders, name = path.split("/")
        descriptor = os.open(self._place.app, WALK)
        try:
            for depth, folder in enumerate(folders):
                if make:
                    self._make_folder(descriptor, folder, "/".join(folders[: depth + 1]))
                inner = os.open(folder, WALK, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
                if make and self._place.uid is not None:
                    os.fchown(descriptor, 0, self._place.uid)
                    os.fchmod(descriptor, FOLDER_MODE)
            yield descriptor, name
        finally:
            os.close(descriptor)

    def _make_folder(self, parent: int, name: str, path: str) -> None:
        found = _look(parent, name)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            self._put_aside(parent, name, path)
            found = None
        if found is None:
            os.mkdir(name, 0o755, dir_fd=parent)


def shipped(place: Place) -> list[str]:
    """Paths of the files that the version in the folder ships. Blocks."""
    try:
        return list(json.loads((place.root / SHIPPED).read_bytes()))
    except (FileNotFoundError, ValueError):
        return []


def make_root(place: Place) -> None:
    """The app's own corner: nobody but the daemon and the app's uid can enter it."""
    place.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.uid is not None:
        os.chown(place.root, 0, place.uid)
        place.root.chmod(0o710)


def make_own(path: Path, uid: int | None) -> None:
    """A folder that belongs to the app alone, for what a program of ours does as the app."""
    path.mkdir(mode=0o700)
    if uid is not None:
        os.chown(path, uid, uid)


def scratch_path(place: Place, kind: str) -> Path:
    """Where one step of an operation may make a folder."""
    make_root(place)
    place.scratch.mkdir(exist_ok=True)
    place.scratch.chmod(0o711)
    return place.scratch / f"{kind}-{os.urandom(6).hex()}"


# Private


def _is_database(blobs: Blobs, file: File) -> bool:
    if file.size < len(SQLITE_HEADER):
        return file.size == 0 and holds_database(file.path, b"")
    with open(blobs.path(file.sha256), "rb") as content:
        return holds_database(file.path, content.read(len(SQLITE_HEADER)))


def _first(path: str) -> str:
    return path.split("/")[0]


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _look(parent: int, name: str) -> os.stat_result | None:
    """What is there, the link itself if it is one; None if there is nothing."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
