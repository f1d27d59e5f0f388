"""Files as a tar.gz, piece by piece: the same bytes for the same files, whatever their size."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.model import File
from steadyd.runner.blobs import Blobs

PIECE_BYTES = 256 << 10
GZIP_LEVEL = 6
GZIP_WINDOW = 31  # zlib's way to ask for gzip's header, which then has no time in it
BLOCK_BYTES = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Packed:
    """An entry and where its content lies, or the content. `at` is in seconds since 1970."""

    path: str
    size: int
    sha256: str
    at: int
    source: Path | bytes
    mode: int = 0o644


def pack(files: Sequence[File], blobs: Blobs, at: float) -> Iterator[bytes]:
    """A version's archive in pieces; every file has the time `at`. Blocks: iterate it in a thread.

    Raises:
        SteadyError: `internal` at a content that is missing or damaged.
    """
    entries = (Packed(file.path, file.size, file.sha256, int(at), blobs.path(file.sha256)) for file in files)
    return pack_all(entries, GZIP_LEVEL)


def pack_all(entries: Iterable[Packed], level: int) -> Iterator[bytes]:
    """Any entries, in their order, as `pack`. `level` is gzip's."""
    squeeze = zlib.compressobj(level, zlib.DEFLATED, GZIP_WINDOW)
    for piece in _tar(entries):
        if packed := squeeze.compress(piece):
            yield packed
    yield squeeze.flush()


# Private


def _tar(entries: Iterable[Packed]) -> Iterator[bytes]:
    for packed in entries:
        entry = tarfile.TarInfo(packed.path)
        entry.size, entry.mtime, entry.mode = packed.size, packed.at, packed.mode
        yield entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        yield from _content(packed)
        yield b"\0" * (-packed.size % BLOCK_BYTES)
    yield b"\0" * (2 * BLOCK_BYTES)


def _content(packed: Packed) -> Iterator[bytes]:
    """What is not what its address says ends the archive: half of one is better seen than a wrong one believed."""
    if isinstance(packed.source, bytes):
        yield packed.source
        return
    digest = hashlib.sha256()
    try:
        with packed.source.open("rb") as content:
            while piece := content.read(PIECE_BYTES):
                digest.update(piece)
                yield piece
    except FileNotFoundError:
        pass
    if digest.hexdigest() != packed.sha256:
        raise SteadyError("internal", f"The stored content of “{packed.path}” is damaged or missing.")
