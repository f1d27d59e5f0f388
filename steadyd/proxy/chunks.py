"""Chunked bodies, read strictly and written anew (RFC 9112 section 7.1). No I/O.

We never pass the other side's chunk lines on: each piece that leaves is a whole chunk of ours, so an answer can be
ended properly at any moment, and nothing hidden in an extension survives.
"""

from __future__ import annotations

import re

from steadyd.proxy.fields import HEAD_END, forwardable_trailers, well_formed
from steadyd.proxy.limits import CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX

LAST_CHUNK = b"0\r\n\r\n"

_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class BadChunk(Exception):
    """The bytes are not a chunked body."""


class ChunkReader:
    """Takes bytes as they come and gives back the body; `done` once the last chunk and its trailers are in.

    `trailers` holds forwardable trailer lines and `rest` what followed the body.
    """

    __slots__ = ("_left", "_part", "_state", "rest", "trailers")

    def __init__(self) -> None:
        self._state = _SIZE
        self._left = 0
        self._part = b""
        self.trailers = b""
        self.rest = b""

    @property
    def done(self) -> bool:
        return self._state == _DONE

    def feed(self, data: bytes) -> bytes:
        """The body bytes in `data`. Raises BadChunk."""
        if self._state == _DATA and len(data) <= self._left:
            self._took(len(data))
            return data
        if self._part:
            data = self._part + data
            self._part = b""
        pieces: list[bytes] = []
        at = 0
        while at < len(data) and self._state != _DONE:
            step = self._step(data, at, pieces)
            if step < 0:
                self._part = data[at:]
                break
            at = step
        if self._state == _DONE:
            self.rest = data[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _step(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Read one element at `at`; the position after it, or -1 if it is not complete."""
        if self._state == _SIZE:
            return self._read_line(data, at)
        if self._state == _DATA:
            piece = data[at : at + self._left]
            pieces.append(piece)
            self._took(len(piece))
            return at + len(piece)
        if self._state == _DATA_END:
            return self._read_data_end(data, at)
        return self._read_trailers(data, at)

    def _took(self, count: int) -> None:
        self._left -= count
        if not self._left:
            self._state = _DATA_END

    def _read_line(self, data: bytes, at: int) -> int:
        match = _LINE.match(data, at)
        if match is None:
            if data.find(b"\n", at) >= 0 or len(data) - at > CHUNK_LINE_BYTES_MAX:
                raise BadChunk("malformed chunk size line")
            return -1
        if match.end() - at > CHUNK_LINE_BYTES_MAX:
            raise BadChunk("chunk extension too long")
        self._left = int(match[1], 16)
        self._state = _DATA if self._left else _TRAILERS
        return match.end()

    def _read_data_end(self, data: bytes, at: int) -> int:
        end = data[at : at + 2]
        if end == b"\r\n":
            self._state = _SIZE
            return at + 2
        if end == b"\r":
            return -1
        raise BadChunk("chunk data longer than its size")

    def _read_trailers(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self._state = _DONE
            return at + 2
        end = data.find(HEAD_END, at, at + TRAILER_BYTES_MAX)
        if end < 0:
            if len(data) - at > TRAILER_BYTES_MAX:
                raise BadChunk("trailers too long")
            return -1
        block = data[at : end + 2]
        if not well_formed(block):
            raise BadChunk("malformed trailers")
        self.trailers = forwardable_trailers(block)
        self._state = _DONE
        return end + 4


def one_chunk(piece: bytes) -> bytes:
    """`piece` as one chunk; nothing for nothing, since an empty chunk would be the last."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


def last_chunk(trailers: bytes = b"") -> bytes:
    return b"0\r\n%b\r\n" % trailers if trailers else LAST_CHUNK
