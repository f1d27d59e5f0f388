"""Contents on their way to the object store, kept here only as long as they are not there.

    OUTBOX/<2 hex>/<sha256>

Each was hashed while it was written, so a content is always what its name says; after a crash of the machine that is
made sure of once more (`settle`), since nothing here is synced: what counts is the copy elsewhere, and until then the
app's own file. All of this blocks: call it from a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from steadyd.backup.reading import Read, head, opened, read
from steadyd.errors import SteadyError
from steadyd.runner.folder import Place
from steadyd.runner.reserve import check_reserve, is_full
from steadyd.tree import SQLITE_HEADER

OUTBOX_FILES_MAX = 200_000
OUTBOX_BYTES_MAX = 4 << 30
PART_PREFIX = "part-"
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Amount:
    """How much waits."""

    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """A file that is being written."""

    fileno: int
    path: Path


class Outbox:
    """A folder of contents. Methods may be called from several threads."""

    def __init__(self, folder: Path, files_max: int = OUTBOX_FILES_MAX, bytes_max: int = OUTBOX_BYTES_MAX) -> None:
        self._folder = folder
        self.files_max = files_max
        self.bytes_max = bytes_max
        self._lock = threading.Lock()
        self._apps: dict[str, str] = {}
        """Content → the app whose it is, of those that came since the start."""
        self._amount = Amount()

    @property
    def amount(self) -> Amount:
        """As far as `settle` and what came and went since tell."""
        return self._amount

    def path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256

    def holds(self, sha256: str) -> bool:
        return self.path(sha256).exists()

    def settle(self) -> None:
        """After a start: what a crash left half written goes, and what waits is counted."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = size = 0
        for path in [*self._folder.glob(f"{PART_PREFIX}*"), *self._folder.glob("??/*")]:
            if path.name.startswith(PART_PREFIX) or _digest(path) != path.name:
                path.unlink(missing_ok=True)
            else:
                files, size = files + 1, size + path.stat().st_size
        with self._lock:
            self._amount = Amount(files, size)

    def take(self, place: Place, path: str, deadline: float) -> Read | None:
        """Copy one file of an app's folder in; None where it is no file of the app's any more. What is read last is
        kept, steady or not.

        Raises:
            SteadyError: `overloaded` where so much waits already, `disk_full`.
            Late: it took longer than the `deadline` (monotonic seconds).
        """
        try:
            with opened(place.app, path) as source:
                found = os.fstat(source)
                foreign = place.uid is not None and found.st_uid != place.uid
                if not stat.S_ISREG(found.st_mode) or foreign or head(source, 16) == SQLITE_HEADER:
                    return None
                self._check_room(found.st_size)
                with self._part() as part:
                    got = read(source, deadline, lambda at, piece: os.pwrite(part.fileno, piece, at))
                    os.truncate(part.fileno, got.seen.size)
                    self._keep(part, got.sha256, got.seen.size, place.root.name)
                    return got
        except OSError as error:
            if is_full(error):
                raise SteadyError("disk_full", "The server's disk is full.") from error
            return None

    def put(self, content: bytes, app_id: str = "") -> str:
        """Keep a content of our own, for an app; returns its address.

        Raises:
            SteadyError: `overloaded` where so much waits already, `disk_full`.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        self._check_room(len(content))
        try:
            with self._part() as part:
                os.pwrite(part.fileno, content, 0)
                self._keep(part, sha256, len(content), app_id)
        except OSError as error:
            if is_full(error):
                raise SteadyError("disk_full", "The server's disk is full.") from error
            raise
        return sha256

    def waiting(self, count: int) -> list[str]:
        """Addresses of some that wait, at most so many."""
        found: list[str] = []
        with contextlib.suppress(FileNotFoundError):
            for shard in sorted(os.listdir(self._folder)):
                with contextlib.suppress(NotADirectoryError, FileNotFoundError), os.scandir(self._folder / shard) as at:
                    found += [entry.name for entry in at]
                if len(found) >= count:
                    break
        return found[:count]

    def files_of(self, app_id: str) -> int:
        """How many of an app wait, of those that came since the start."""
        return sum(whose == app_id for whose in list(self._apps.values()))

    def app_of(self, sha256: str) -> str:
        """The app that brought it; "" where that is not known any more."""
        return self._apps.get(sha256, "")

    def remove(self, sha256: str) -> None:
        """It is there, or nobody needs it any more."""
        path = self.path(sha256)
        with contextlib.suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
            with self._lock:
                self._apps.pop(sha256, None)
                self._amount = Amount(self._amount.files - 1, self._amount.bytes - size)

    # Private

    def _check_room(self, size: int) -> None:
        if self._amount.files >= self.files_max or self._amount.bytes + size > self.bytes_max:
            waits = f"{self._amount.files:,} files ({self._amount.bytes >> 20:,} MiB)"
            raise SteadyError("overloaded", f"{waits} wait for the object store already.")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_reserve(self._folder)

    def _keep(self, part: Part, sha256: str, size: int, app_id: str) -> None:
        target = self.path(sha256)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        with self._lock:
            if not target.exists():
                os.rename(part.path, target)
                self._apps[sha256] = app_id
                self._amount = Amount(self._amount.files + 1, self._amount.bytes + size)

    @contextlib.contextmanager
    def _part(self) -> Iterator[Part]:
        descriptor, path = tempfile.mkstemp(prefix=PART_PREFIX, dir=self._folder)
        try:
            yield Part(descriptor, Path(path))
        finally:
            os.close(descriptor)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


# Private


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with contextlib.suppress(OSError), open(path, "rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
