"""File contents by their SHA-256, each written once: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from steadyd.errors import SteadyError
from steadyd.model import File
from steadyd.runner.reserve import is_full
from steadyd.tree import Tree

BLOB_MODE = 0o444
T = TypeVar("T")

PART_PREFIX = "part-"


class Blobs:
    """A folder of contents. All methods block: call them from a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256

    def put(self, tree: Tree) -> list[File]:
        """Keep every content of `tree`; what is there already is not written again. Durable when it returns.

        Raises:
            SteadyError: `disk_full`.
        """
        files, folders = [], set()
        try:
            for path, content in sorted(tree.items()):
                digest = hashlib.sha256(content).hexdigest()
                target = self.path(digest)
                if not target.exists():
                    if not target.parent.exists():
                        folders |= {self._folder, self._folder.parent}
                    _write(target, [content])
                    folders.add(target.parent)
                files.append(File(path, digest, len(content)))
            for folder in folders:
                _sync_folder(folder)
        except OSError as error:
            raise _refused(error) from error
        return files

    def take(self, sha256: str, pieces: Iterable[bytes]) -> None:
        """Keep one content that comes piece by piece, if it is not there: whoever gives it vouches for its address, or
        raises. Durable when it returns.

        Raises:
            SteadyError: `disk_full`.
        """
        target = self.path(sha256)
        if target.exists():
            return
        try:
            _write(target, pieces)
            for folder in (target.parent, self._folder, self._folder.parent):
                _sync_folder(folder)
        except OSError as error:
            raise _refused(error) from error

    def get(self, sha256: str) -> bytes:
        """The content at an address.

        Raises:
            SteadyError: `internal` if it is missing or no longer what its address says.
        """
        content = b""
        with contextlib.suppress(FileNotFoundError):
            content = self.path(sha256).read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise SteadyError("internal", f"The stored content {sha256[:12]} is damaged or missing.")
        return content

    def sweep(self, in_use: Iterable[str]) -> int:
        """Remove contents that no version needs and what an interrupted write left. Returns how many."""
        keep, removed = set(in_use), 0
        for path in self._folder.glob("??/*"):
            if path.name not in keep:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def remove(self, contents: Iterable[str]) -> None:
        for sha256 in contents:
            self.path(sha256).unlink(missing_ok=True)


class Shelf:
    """Contents on their way into a version, kept apart from the removal of those that no version needs."""

    def __init__(self, blobs: Blobs, in_use: Callable[[Collection[str] | None], Awaitable[set[str]]]) -> None:
        """`in_use` answers which of some contents (None: of all) a version needs."""
        self._blobs = blobs
        self._in_use = in_use
        self._tidying = asyncio.Lock()
        self._on_their_way = 0

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """No content is removed inside, though no version needs it yet."""
        async with self._tidying:
            self._on_their_way += 1
        try:
            yield
        finally:
            self._on_their_way -= 1

    async def tidied(self, work: Awaitable[T]) -> T:
        """`work`; where it fails, what it had brought goes."""
        try:
            return await work
        except BaseException:
            await self.tidy()
            raise

    async def tidy(self) -> None:
        """Remove what no version needs, unless something is on its way: the next time does that as well."""
        async with self._tidying:
            if not self._on_their_way:
                await asyncio.to_thread(self._blobs.sweep, await self._in_use(None))

    async def let_go(self, contents: Collection[str]) -> None:
        """The same for a few contents that a version needed which is gone, without a look at all others."""
        async with self._tidying:
            if contents and not self._on_their_way:
                await asyncio.to_thread(self._blobs.remove, set(contents) - await self._in_use(contents))


# Private


def _refused(error: OSError) -> Exception:
    if not is_full(error):
        return error
    return SteadyError("disk_full", f"The files cannot be kept: {error.strerror}. Free some disk space.")


def _write(target: Path, pieces: Iterable[bytes]) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(prefix=PART_PREFIX, dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fchmod(file.fileno(), BLOB_MODE)
            os.fsync(file.fileno())
        os.rename(part, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
