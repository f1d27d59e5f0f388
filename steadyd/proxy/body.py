"""The body of one HTTP/1.1 request, by its length or by chunks. No I/O."""

from __future__ import annotations

from steadyd.errors import SteadyError
from steadyd.proxy.chunks import BadChunk, ChunkReader
from steadyd.proxy.fields import CHUNKED


class RequestBody:
    """Takes bytes as they come; after the last of them `ended` is true and `rest` holds what followed the body."""

    __slots__ = ("_left", "_reader", "ended", "rest", "trailers")

    def __init__(self, length: int) -> None:
        self._left = length
        self._reader = ChunkReader() if length == CHUNKED else None
        self.ended = False
        self.rest = b""
        self.trailers = b""

    def feed(self, data: bytes) -> bytes:
        """The body bytes in `data`. Raises `bad_request`."""
        reader = self._reader
        if reader is None:
            self._left -= len(data)
            if self._left < 0:
                data, self.rest = data[: self._left], data[self._left :]
            self.ended = self._left <= 0
            return data
        try:
            data = reader.feed(data)
        except BadChunk:
            raise SteadyError("bad_request", "The chunked request body is malformed.") from None
        if reader.done:
            self.ended = True
            self.rest = reader.rest
            self.trailers = reader.trailers
        return data
