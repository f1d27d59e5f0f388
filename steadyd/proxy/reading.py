"""Answers read off one connection's bytes, one exchange at a time, as strictly as a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steadyd.errors import SteadyError
from steadyd.proxy.answer import AnswerCache, AnswerHead, BadAnswer
from steadyd.proxy.chunks import BadChunk, ChunkReader
from steadyd.proxy.fields import CHUNKED, HEAD_END, UNTIL_CLOSE, has_bare_lf
from steadyd.proxy.limits import ANSWER_HEADER_BYTES_MAX, INTERIM_ANSWERS_MAX
from steadyd.proxy.withholding import Withholding

if TYPE_CHECKING:
    from steadyd.proxy.exchange import Exchange

IDLE, HEAD, BODY, CHUNKS, CLOSE = range(5)
"""What the next byte belongs to; in CLOSE, to a body that lasts as long as the connection."""


class AnswerReading(Withholding):
    """The reading half of a connection to an instance. `_held` is a part of a head."""

    __slots__ = ("_answers", "_exchange", "_held", "_interims", "_left", "_mode", "_reader", "_reusable")

    def __init__(self, answers: AnswerCache) -> None:
        super().__init__()
        self._answers = answers
        self._exchange: Exchange | None = None
        self._mode = IDLE
        self._held = b""
        self._left = 0
        self._interims = 0
        self._reader: ChunkReader | None = None
        self._reusable = True

    @property
    def answering(self) -> bool:
        """Whether any byte of an answer has come."""
        return self._mode != HEAD or bool(self._held) or self.withheld

    def close(self) -> None:
        """Drop the connection now."""
        raise NotImplementedError

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        """The next bytes; none at all are the end of what the instance sends."""
        exchange = self._exchange
        if exchange is None or (barrier := exchange.barrier) is None or not self.withhold(barrier, data):
            self._take(data)

    def eof_received(self) -> None:
        if self._exchange is None or self._mode == CLOSE:
            self.data_received(b"")

    # Withholding

    def release(self, piece: bytes) -> None:
        exchange = self._exchange
        self._take(piece)
        if exchange is not None and self._exchange is exchange:
            exchange.went_on()

    def give_up(self, error: SteadyError) -> None:
        exchange = self._exchange
        self.close()
        if exchange is not None:
            exchange.upstream_failed(error)

    # Private

    def _take(self, data: bytes) -> None:
        mode = self._mode
        exchange = self._exchange
        if exchange is None or mode == IDLE:
            self.lost()  # to an exchange whose upload is still under way
            self.close()
        elif mode == HEAD:
            self._read_head(exchange, data)
        elif mode == BODY:
            self._left -= len(data)
            if self._left > 0:
                exchange.more(data, False)
                return
            self._mode = IDLE
            if self._left < 0:
                self._reusable = False
                data = data[: self._left]
            exchange.more(data, True)
        elif mode == CHUNKS:
            self._read_chunks(exchange, data)
        elif data:
            exchange.more(data, False)
        else:
            self._mode = IDLE
            self._reusable = False
            exchange.more(b"", True)

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
            self._mode = IDLE  # all of it at once: by far the most frequent case
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
            self._mode = CHUNKS
            self._reader = ChunkReader()
            self._read_chunks(exchange, rest, answer)
            return
        if length == UNTIL_CLOSE:
            self._mode = CLOSE
            exchange.answered(answer, rest, False)
            return
        self._left = length - len(rest)
        if self._left < 0:
            self._fail(exchange, "more bytes than the answer has")
            return
        self._mode = BODY if self._left else IDLE
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
            self._mode = IDLE
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
