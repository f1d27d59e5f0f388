"""A version's files as a tar.gz, piece by piece: the same bytes for the same version, whatever its size."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterator, Sequence

from steadyd.errors import SteadyError
from steadyd.model import File
from steadyd.runner.blobs import Blobs

PIECE_BYTES = 256 << 10
GZIP_LEVEL = 6
GZIP_WINDOW = 31  # zlib's way to ask for gzip's header, which then has no time in it
BLOCK_BYTES = tarfile.BLOCKSIZE


def pack(files: Sequence[File], blobs: Blobs, at: float) -> Iterator[bytes]:
    """The pieces of the archive; every file has the time `at` (seconds since 1970). Blocks: iterate it in a thread.

    Raises:
        SteadyError: `internal` at a content that is missing or damaged.
    """
    squeeze = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW)
    for piece in _tar(files, blobs, int(at)):
        if packed := squeeze.compress(piece):
            yield packed
    yield squeeze.flush()


# Private


def _tar(files: Sequence[File], blobs: Blobs, at: int) -> Iterator[bytes]:
    for file in files:
        entry = tarfile.TarInfo(file.path)
        entry.size, entry.mtime, entry.mode = file.size, at, 0o644
        yield entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        yield from _content(file, blobs)
        yield b"\0" * (-file.size % BLOCK_BYTES)
    yield b"\0" * (2 * BLOCK_BYTES)


def _content(file: File, blobs: Blobs) -> Iterator[bytes]:
    """What is not what its address says ends the archive: half of one is better seen than a wrong one believed."""
    digest = hashlib.sha256()
    try:
        with blobs.path(file.sha256).open("rb") as content:
            while piece := content.read(PIECE_BYTES):
                digest.update(piece)
                yield piece
    except FileNotFoundError:
        pass
    if digest.hexdigest() != file.sha256:
        raise SteadyError("internal", f"The stored content of “{file.path}” is damaged or missing.")
