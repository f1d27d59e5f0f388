"""One app's log folder: `app.log`, older parts beside it as `app.log.N` (N grows), the oldest removed past the cap."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from steadyd.runner.logparts import BLOCK_BYTES, Part, Parts

PARTS = 10
"""The cap is kept by whole parts: each holds a tenth of it."""

logger = logging.getLogger("steadyd.logs")


class LogFolder:
    """Appends to and reads from one folder. Only one thread appends at a time."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self._folder = folder
        self._part_bytes = max(bytes_max // PARTS, BLOCK_BYTES) if bytes_max else 0
        self._parts_max = PARTS - 1

    @property
    def _current(self) -> Path:
        return self._folder / "app.log"

    def append(self, content: bytes | bytearray) -> None:
        """Append whole lines; a full disk loses them with a warning, and nothing else fails."""
        for piece in self._pieces(content):
            self._append(piece)

    def open(self) -> Parts:
        """All that is there now, to be read and closed. Called where nobody appends meanwhile."""
        paths = self._parts()
        numbers = [int(path.suffix[1:]) for path in paths[:-1]]
        opened = []
        for path, number in zip(paths, [*numbers, (numbers[-1] if numbers else 0) + 1], strict=True):
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                opened.append(Part(number, descriptor, os.fstat(descriptor).st_size))
        return Parts(opened)

    # Private

    def _pieces(self, content: bytes | bytearray) -> Iterator[bytes | bytearray]:
        """Whole lines that fit into one part: a batch may be larger, and the parts together must keep the cap."""
        begin = 0
        while begin < len(content):
            fits = not self._part_bytes or len(content) - begin <= self._part_bytes
            end = len(content) if fits else content.rfind(b"\n", begin, begin + self._part_bytes) + 1
            end = end or len(content)
            yield content[begin:end]
            begin = end

    def _append(self, content: bytes | bytearray) -> None:
        if not self._folder.parent.is_dir():
            return  # the app was purged while its last lines were on the way
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._make_room(len(content))
            descriptor = os.open(self._current, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(self._repair() + content)
        except OSError as error:
            logger.warning("log lines lost in %s: %s", self._folder.name, error)

    def _parts(self) -> list[Path]:
        """Oldest first, the current one last."""
        older = []
        with contextlib.suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                if path.name.startswith("app.log.") and path.suffix[1:].isdigit():
                    older.append(path)
        return [*sorted(older, key=lambda path: int(path.suffix[1:])), self._current]

    def _make_room(self, coming: int) -> None:
        """Begin a new part where this one would grow past its share."""
        size = 0
        with contextlib.suppress(FileNotFoundError):
            size = os.lstat(self._current).st_size
        if self._part_bytes and size and size + coming > self._part_bytes:
            self._rotate()

    def _repair(self) -> bytes:
        """A newline where a crash cut the last line off, so that the next one is whole."""
        with open(self._current, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            return b"\n" if size and os.pread(file.fileno(), 1, size - 1) != b"\n" else b""

    def _rotate(self) -> None:
        older = self._parts()[:-1]
        number = int(older[-1].suffix[1:]) + 1 if older else 1
        os.rename(self._current, self._folder / f"app.log.{number}")
        for path in older[: max(0, len(older) + 1 - self._parts_max)]:
            path.unlink(missing_ok=True)
