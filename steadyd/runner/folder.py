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
from dataclasses import dataclass
from pathlib import Path

from steadyd.model import File
from steadyd.runner.blobs import Blobs
from steadyd.runner.process import spawn

SQLITE_HEADER = b"SQLite format 3\0"
FOLDER_MODE = 0o1775
READ_ONLY_BINDS_MAX = 50
MODULES = "node_modules"
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
    def shipped(self) -> Path:
        return self.root / "shipped.json"


class Folder:
    """The folder of one app, or a scratch folder for its candidate. All methods block: call them from a thread."""

    def __init__(self, place: Place, blobs: Blobs) -> None:
        self._place = place
        self._blobs = blobs

    def link(self, files: Sequence[File], version: int, modules: Path | None = None) -> list[str]:
        """Make the folder show exactly `files` beside what the app wrote. May be repeated.

        Without a sandbox nothing can be bound over node_modules: then it is a link to `modules`.

        Returns the paths of files that the app had written where the version now ships one: they were put aside.
        """
        self._prepare()
        self._point_modules(modules)
        before, kept = self._shipped(), []
        wanted = {file.path: file.sha256 for file in files if not self._is_database(file)}
        # Recorded before anything changes: after a crash, both old and new paths are known to be ours.
        self._remember(sorted({*before, *wanted}))
        for path in sorted(set(before) - set(wanted), reverse=True):
            self._remove(path)
        for file in files:
            if file.path not in wanted:
                self._seed(file)
            elif self._place_file(file, file.path in before, version):
                kept.append(file.path)
        self._remember(sorted(wanted))
        return kept

    def top_level(self, files: Sequence[File]) -> tuple[str, ...]:
        """Names to bind read-only where ownership cannot protect the shipped files."""
        if self._place.uid is not None:
            return ()
        return tuple(sorted({file.path.split("/")[0] for file in files}))[:READ_ONLY_BINDS_MAX]

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

    def _shipped(self) -> list[str]:
        try:
            return list(json.loads(self._place.shipped.read_bytes()))
        except (FileNotFoundError, ValueError):
            return []

    def _remember(self, paths: Sequence[str]) -> None:
        part = self._place.shipped.with_suffix(".part")
        part.write_text(json.dumps(paths))
        os.replace(part, self._place.shipped)

    def _is_database(self, file: File) -> bool:
        if file.size < len(SQLITE_HEADER):
            return False
        with open(self._blobs.path(file.sha256), "rb") as content:
            return content.read(len(SQLITE_HEADER)) == SQLITE_HEADER

    def _remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), self._parent(path, None) as (parent, name):
            os.unlink(name, dir_fd=parent)
        # A folder that only held shipped files goes with them.
        while "/" in path:
            path = path.rpartition("/")[0]
            try:
                with self._parent(path, None) as (parent, name):
                    os.rmdir(name, dir_fd=parent)
            except OSError:
                return

    def _seed(self, file: File) -> None:
        """A shipped database only seeds an absent one."""
        with self._parent(file.path, 0) as (parent, name):
            if _exists(parent, name):
                return
            self._copy(file, parent, name, 0o644, self._place.uid)

    def _place_file(self, file: File, ours: bool, version: int) -> bool:
        """Put one file in its place; true if something that the app wrote was put aside for it."""
        with self._parent(file.path, version) as (parent, name):
            aside = not ours and _exists(parent, name)
            if aside or (ours and not _is_plain(parent, name)):
                self._put_aside(parent, name, file.path, version)
            part = f".steady-{os.urandom(6).hex()}"
            if self._place.uid is None:
                self._copy(file, parent, part, 0o444, None)
            else:
                try:
                    os.link(self._blobs.path(file.sha256), part, dst_dir_fd=parent, follow_symlinks=False)
                except OSError as error:
                    if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
                        raise
                    self._copy(file, parent, part, 0o444, 0)
            os.rename(part, name, src_dir_fd=parent, dst_dir_fd=parent)
            if _exists(parent, part):
                os.unlink(part, dir_fd=parent)  # rename(2) leaves both names when they were one file already
        return aside

    def _copy(self, file: File, parent: int, name: str, mode: int, uid: int | None) -> None:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode, dir_fd=parent)
        with os.fdopen(descriptor, "wb") as target, open(self._blobs.path(file.sha256), "rb") as source:
            while piece := source.read(1 << 20):
                target.write(piece)
            os.fchmod(target.fileno(), mode)
            if uid is not None:
                os.fchown(target.fileno(), uid, uid)

    def _put_aside(self, parent: int, name: str, path: str, version: int) -> None:
        target = self._place.aside / f"{version}-{path.replace('/', '%2F')[-200:]}"
        while os.path.lexists(target):
            target = target.with_name(f"{target.name}~")
        os.rename(name, target, src_dir_fd=parent)

    @contextmanager
    def _parent(self, path: str, version: int | None) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that holds `path`, and the last name. With a version, missing folders are
        made and whatever is no folder is put aside; without, they raise."""
        *folders, name = path.split("/")
        descriptor = os.open(self._place.app, WALK)
        try:
            for depth, folder in enumerate(folders):
                if version is not None:
                    self._make_folder(descriptor, folder, "/".join(folders[: depth + 1]), version)
                inner = os.open(folder, WALK, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
                if version is not None and self._place.uid is not None:
                    os.fchown(descriptor, 0, self._place.uid)
                    os.fchmod(descriptor, FOLDER_MODE)
            yield descriptor, name
        finally:
            os.close(descriptor)

    def _make_folder(self, parent: int, name: str, path: str, version: int) -> None:
        try:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        except FileNotFoundError:
            os.mkdir(name, 0o755, dir_fd=parent)
            return
        if not stat.S_ISDIR(mode):
            self._put_aside(parent, name, path, version)
            os.mkdir(name, 0o755, dir_fd=parent)


def make_root(place: Place) -> None:
    """The app's own corner: nobody but the daemon and the app's uid can enter it."""
    place.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.uid is not None:
        os.chown(place.root, 0, place.uid)
        place.root.chmod(0o710)


async def remove_tree(path: Path) -> None:
    """Remove a folder with whatever the app put into it: deep, large, full of links; none is followed."""
    await spawn(["/bin/rm", "-rf", "--", str(path)], {}, {}).ended


# Private


def _exists(parent: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _is_plain(parent: int, name: str) -> bool:
    """A regular file, or nothing: what may be renamed over."""
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return True
