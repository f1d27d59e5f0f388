"""Whose page cache a file is in: the memory group of whoever reads it first is charged for it, until it is thrown out.

So the first app to start would pay for Bun's binary, and in a small group would throw it out and read it back for ever
(16 clients of a hello in 24 MiB got hardly an answer in 5 s; with the binary charged to others, 10 MiB are enough).
"""

from __future__ import annotations

from pathlib import Path

PIECE_BYTES = 1 << 20


def hold(path: Path) -> None:
    """Read a file through, so that its pages are charged to us and are there. 100 MB take 20 ms if they were there
    already. Raises OSError."""
    piece = bytearray(PIECE_BYTES)
    with path.open("rb", buffering=0) as file:
        while file.readinto(piece):
            pass
