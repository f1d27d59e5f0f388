"""One connection to an instance, and the pool of idle ones that each instance has for itself.

Connections are never shared between instances, and one that sent a single byte more than its answer is never used
again: an app may try to answer the next visitor's request before it was asked.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

from steadyd.errors import SteadyError
from steadyd.proxy.answer import AnswerCache, AnswerHead, BadAnswer
from steadyd.proxy.chunks import BadChunk, ChunkReader
from steadyd.proxy.fields import CHUNKED, HEAD_END, UNTIL_CLOSE, has_bare_lf
from steadyd.proxy.limits import (
    ANSWER_HEADER_BYTES_MAX,
    INTERIM_ANSWERS_MAX,
    POOL_IDLE_MAX,
    POOL_IDLE_SECONDS_MAX,
)
from steadyd.proxy.service import Upstream

if TYPE_CHECKING:
    from steadyd.proxy.exchange import Exchange
    from steadyd.proxy.plane import Plane

_IDLE, _HEAD, _BODY, _CHUNKS, _CLOSE = range(5)


class UpstreamConnection(asyncio.Protocol):
    """Reads answers for one exchange at a time. The exchange writes to `transport` and pauses it."""

    __slots__ = (
        "_answers",
        "_exchange",
        "_held",
        "_home",
        "_idle_since",
        "_interims",
        "_left",
        "_mode",
        "_plane",
        "_reader",
        "_reusable",
        "closed",
        "reused",
        "transport",
    )

    def __init__(self, plane: Plane, answers: AnswerCache) -> None:
        self._plane = plane
        self._answers = answers
        self.transport = cast(asyncio.Transport, None)
        self._exchange: Exchange | None = None
        self._mode = _IDLE
        self._held = b""
        self._left = 0
        self._interims = 0
        self._reader: ChunkReader | None = None
        self._reusable = True
        self._idle_since = 0.0
        self._home: Upstream | None = None
        self.reused = False
        self.closed = False

    @property
    def answering(self) -> bool:
        """Whether any byte of an answer has come."""
        return self._mode != _HEAD or bool(self._held)

    def begin(self, exchange: Exchange, data: bytes) -> None:
        """Send a request, or its beginning."""
        self._exchange = exchange
        self._mode = _HEAD
        self._interims = 0
        self.transport.write(data)

    def let_go(self, upstream: Upstream, now: float) -> None:
        """The exchange is over and its request was sent whole: back to the pool, if nothing speaks against it."""
        self._exchange = None
        pool = upstream.pool
        if self._mode != _IDLE or not self._reusable or upstream.retired or len(pool) >= POOL_IDLE_MAX:
            self.close()
            return
        self.reused = True
        dialers = self._plane.dialers
        if dialers and upstream.address in dialers and dialers[upstream.address].offer(self):
            return
        self._idle_since = now
        self._home = upstream
        pool.append(self)

    def close(self) -> None:
        """Drop the connection now; the app sees its request aborted."""
        self._exchange = None
        if not self.closed:
            self.closed = True
            self.transport.abort()

    kill = close

    def hand_over(self) -> asyncio.Transport:
        """Give the transport away to a splice."""
        self._exchange = None
        self._plane.upstreams.discard(self)
        return self.transport

    def resume(self) -> None:
        if not self.closed:
            self.transport.resume_reading()

    def tick(self, now: float) -> None:
        if self._exchange is not None:
            if self._mode == _HEAD:
                self._exchange.check_answer_time(now)
        elif now - self._idle_since > POOL_IDLE_SECONDS_MAX or (self._home is not None and self._home.retired):
            _leave_pool(self)
            self.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._plane.upstreams.add(self)
        self._idle_since = time.monotonic()

    def data_received(self, data: bytes) -> None:
        mode = self._mode
        exchange = self._exchange
        if exchange is None or mode == _IDLE:
            _leave_pool(self)
            self.close()
            if exchange is not None:  # its upload is still under way
                exchange.upstream_lost(self)
        elif mode == _HEAD:
            self._read_head(exchange, data)
        elif mode == _BODY:
            self._left -= len(data)
            if self._left > 0:
                exchange.more(data, False)
                return
            self._mode = _IDLE
            if self._left < 0:
                self._reusable = False
                data = data[: self._left]
            exchange.more(data, True)
        elif mode == _CHUNKS:
            self._read_chunks(exchange, data)
        else:
            exchange.more(data, False)

    def eof_received(self) -> None:
        exchange = self._exchange
        if exchange is None:
            _leave_pool(self)
            self.close()
        elif self._mode == _CLOSE:
            self._mode = _IDLE
            self._reusable = False
            exchange.more(b"", True)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._plane.upstreams.discard(self)
        _leave_pool(self)
        exchange = self._exchange
        self._exchange = None
        if exchange is not None:
            exchange.upstream_lost(self)

    def pause_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.door.pause_reading()

    def resume_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.door.resume_reading()

    # Private

    def _read_head(self, exchange: Exchange, data: bytes) -> None:
        if self._held:
            data = self._held + data
            self._held = b""
        end = data.find(HEAD_END)
        if end < 0 or end > ANSWER_HEADER_BYTES_MAX:
            self._hold_head(exchange, data)
            return
        try:
            answer = self._answers.read(data[: end + 4])
        except BadAnswer as error:
            self._fail(exchange, str(error))
            return
        rest = data[end + 4 :]
        if not answer.reusable:
            self._reusable = False
        if len(rest) == answer.length and not answer.bodiless and not exchange.asks_head:
            self._mode = _IDLE  # all of it at once: by far the most frequent case
            exchange.answered(answer, rest, True)
        elif answer.status < 200:
            self._interim(exchange, answer, rest)
        else:
            self._start(exchange, answer, rest)

    def _hold_head(self, exchange: Exchange, data: bytes) -> None:
        if len(data) > ANSWER_HEADER_BYTES_MAX:
            self._fail(exchange, "headers too long")
        elif has_bare_lf(data) or not data.startswith(b"HTTP/"[: len(data)]):
            self._fail(exchange, "not an HTTP answer")
        else:
            self._held = data

    def _interim(self, exchange: Exchange, answer: AnswerHead, rest: bytes) -> None:
        if answer.status == 101:
            if exchange.upgraded(answer, rest):
                return
            self._fail(exchange, "switched protocols unasked")
            return
        self._interims += 1
        if self._interims > INTERIM_ANSWERS_MAX:
            self._fail(exchange, "too many interim answers")
            return
        exchange.interim(answer)
        if rest and self._exchange is exchange:
            self._read_head(exchange, rest)

    def _start(self, exchange: Exchange, answer: AnswerHead, rest: bytes) -> None:
        length = 0 if answer.bodiless or exchange.asks_head else answer.length
        if length == CHUNKED:
            self._mode = _CHUNKS
            self._reader = ChunkReader()
            self._read_chunks(exchange, rest, answer)
            return
        if length == UNTIL_CLOSE:
            self._mode = _CLOSE
            exchange.answered(answer, rest, False)
            return
        self._left = length - len(rest)
        if self._left < 0:
            self._fail(exchange, "more bytes than the answer has")
            return
        self._mode = _BODY if self._left else _IDLE
        exchange.answered(answer, rest, not self._left)

    def _read_chunks(self, exchange: Exchange, data: bytes, answer: AnswerHead | None = None) -> None:
        """Read a piece of a chunked body; `answer` is given with the first piece."""
        reader = self._reader
        assert reader is not None
        try:
            piece = reader.feed(data)
        except BadChunk as error:
            self._fail(exchange, str(error))
            return
        done = reader.done
        if done:
            if reader.rest:
                self._reusable = False
                if answer is not None:
                    self._fail(exchange, "more bytes than the answer has")
                    return
            self._mode = _IDLE
            self._reader = None
        if answer is not None:
            exchange.answered(answer, piece, done, reader.trailers)
        elif piece or done:
            exchange.more(piece, done, reader.trailers)

    def _fail(self, exchange: Exchange, reason: str) -> None:
        self.close()
        exchange.upstream_failed(
            SteadyError("bad_upstream", "The app sent an answer that is not valid HTTP.", {"reason": reason})
        )


def take_idle(upstream: Upstream) -> UpstreamConnection | None:
    """The most recently used idle connection of an instance."""
    pool: list[UpstreamConnection] = upstream.pool
    while pool:
        connection = pool.pop()
        connection._home = None
        if not connection.closed:
            return connection
    return None


def _leave_pool(connection: UpstreamConnection) -> None:
    home = connection._home
    if home is not None:
        connection._home = None
        if connection in home.pool:
            home.pool.remove(connection)
