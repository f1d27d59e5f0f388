"""The HTTP/1.1 door: one client connection.

Reads one request at a time, hands it to an `Exchange`, and writes the answer. Bytes of later requests wait here,
bounded, until the answer is complete.
"""

from __future__ import annotations

import asyncio
import time
from typing import cast

from steadyd.errors import SteadyError
from steadyd.proxy.answer import AnswerHead
from steadyd.proxy.body import RequestBody
from steadyd.proxy.cookies import HEAD_BYTES
from steadyd.proxy.exchange import Exchange
from steadyd.proxy.fields import HEAD_END
from steadyd.proxy.head import check_partial
from steadyd.proxy.limits import LINGER_SECONDS_MAX, PIPELINE_BYTES_MAX
from steadyd.proxy.pages import error_page
from steadyd.proxy.plane import Plane
from steadyd.proxy.writer import JOINED_BYTES_MAX, AnswerWriter

_HEAD, _BODY, _ANSWER, _LINGER, _SPLICED = range(5)


class ClientConnection(AnswerWriter, asyncio.Protocol):
    """A `Door` for HTTP/1.1.

    `_held` are bytes that cannot be used yet: a part of a head, or later requests. `_since` is when the present wait
    began: for a request, for the rest of its head, for more of its body, for the end of a farewell.
    """

    __slots__ = (
        "_body",
        "_exchange",
        "_full_since",
        "_held",
        "_mode",
        "_partial",
        "_plain",
        "_plane",
        "_reading",
        "address",
        "forwarded",
    )

    def __init__(self, plane: Plane) -> None:
        super().__init__()
        self._plane = plane
        self._exchange: Exchange | None = None
        self._body: RequestBody | None = None
        self._mode = _HEAD
        self._held = b""
        self._partial = False
        self._plain = False
        self._reading = False
        self._full_since = 0.0
        self.address = b""
        self.forwarded = b""

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plane = self._plane
        self._transport = cast(asyncio.Transport, transport)
        self._since = time.monotonic()
        peer = transport.get_extra_info("peername")
        host = peer[0] if isinstance(peer, tuple) and peer else ""
        self.address = host.removeprefix("::ffff:").partition("%")[0].encode() or b"unknown"
        self.forwarded = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\n" % (self.address, plane.scheme)
        if not plane.admit(self, self.address):
            self._reject(SteadyError("overloaded", "Too many connections.", retry_after=1))

    def data_received(self, data: bytes) -> None:
        mode = self._mode
        if mode == _HEAD:
            self._read_requests(data)
        elif mode == _BODY:
            self._read_body(data)
        elif mode == _ANSWER:
            self._held += data
            if len(self._held) > PIPELINE_BYTES_MAX:
                self.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """A client that stops sending has gone too (EOF closes the transport): like nginx, we do not guess that it may
        still listen."""
        self._plane.dismiss(self, self.address)
        exchange = self._exchange
        self._exchange = None
        self._mode = _LINGER
        self._held = b""
        if exchange is not None:
            exchange.client_gone()

    def pause_writing(self) -> None:
        self._full_since = time.monotonic()
        if self._exchange is not None:
            self._exchange.client_full()

    def resume_writing(self) -> None:
        self._full_since = 0.0
        if self._exchange is not None:
            self._exchange.client_ready()

    # Door

    @property
    def exchanges(self) -> int:
        return 0 if self._exchange is None else 1

    def start(self, answer: AnswerHead, piece: bytes, ended: bool, trailers: bytes = b"") -> None:
        if self._plain and ended and 0 <= answer.length <= JOINED_BYTES_MAX and not self._plane.closing:
            self._transport.write(answer.plain + piece)  # by far the most frequent case
            return
        if self._plane.closing:
            self._close = True
        if self._full_since and self._exchange is not None:  # an earlier answer still waits for this client
            self._exchange.client_full()
        self.write_start(answer, piece, ended, trailers)

    def refuse(self, answer: AnswerHead, body: bytes) -> None:
        if self._mode == _BODY:
            self._close = True
            self._plain = False
        self.start(answer, body, True)
        self.done()

    def done(self) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        self._exchange = None
        self._body = None
        now = time.monotonic()
        self._since = now
        if self._full_since:
            self._full_since = now
        if not exchange.body_ended:
            self._linger()
        elif self._close:
            self._mode = _LINGER
            self._transport.close()
        else:
            self._mode = _HEAD
            self.resume_reading()
            if self._held and not self._reading:
                held = self._held
                self._held = b""
                self._read_requests(held)

    def abort(self) -> None:
        self._exchange = None
        self._mode = _LINGER
        self.reset()

    def upgrade(self, answer: AnswerHead, upstream: asyncio.Transport, rest: bytes) -> None:
        splice = cast(Exchange, self._exchange).splice
        self._mode = _SPLICED
        self._full_since = 0.0
        self.resume_reading()
        self._transport.write(b"%b%bConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" % (answer.line, answer.block))
        splice.join(self._transport, upstream, self)
        if rest:
            splice.from_instance(rest)
        if self._held:
            splice.from_client(self._held)
            self._held = b""

    # The listener's view

    def tick(self, now: float) -> None:
        limits = self._plane.limits
        mode = self._mode
        waited = now - self._since
        if self._full_since and limits.write_stall_seconds_max:
            if now - self._full_since > limits.write_stall_seconds_max:
                self.kill()
        elif mode == _HEAD and self._held:
            if limits.header_seconds_max and waited > limits.header_seconds_max:
                self._reject(SteadyError("request_timeout", "The request headers took too long."))
        elif mode == _HEAD:
            if limits.idle_seconds_max and waited > limits.idle_seconds_max:
                self._transport.close()
        elif mode == _BODY:
            stall = limits.body_stall_seconds_max
            if stall and waited > stall and not self._reading_paused and self._exchange is not None:
                self._exchange.fail(SteadyError("request_timeout", "The request body stopped coming."))
        elif mode == _LINGER:
            unsent = self._transport.get_write_buffer_size()
            if waited > (limits.write_stall_seconds_max if unsent else LINGER_SECONDS_MAX):
                self.kill()

    def close_soon(self) -> None:
        """The listener is closing: end what is idle or endless, and take no request after the present one."""
        self._close = True
        if self._mode == _HEAD and not self._held:
            self._transport.close()
        if self._exchange is not None:
            self._exchange.wind_down()

    def cut(self) -> None:
        """The listener's deadline passed."""
        if self._exchange is not None:
            self._exchange.cut()
        self._transport.close()

    # Private

    def _read_requests(self, data: bytes) -> None:
        """Read requests until one is under way or the bytes run out. A loop: a refused request ends at once, and a
        pipeline of them must not nest."""
        self._reading = True
        try:
            while True:
                if self._held:
                    data = self._held + data
                    self._held = b""
                self._read_request(data)
                if self._mode != _HEAD or not self._held or self._partial:
                    return
                data, self._held = self._held, b""
        except SteadyError as error:
            self._reject(error)
        finally:
            self._reading = False

    def _read_request(self, data: bytes) -> None:
        if data[0] == 13 and data.startswith(b"\r\n"):  # an old client's blank line after a body; one is forgiven
            data = data[2:]
        end = data.find(HEAD_END)
        plane = self._plane
        if (end if end >= 0 else len(data)) > HEAD_BYTES:
            data = plane.without_junk(data, end)
            end = data.find(HEAD_END)
        if end < 0:
            check_partial(data, plane.limits)
            if not self._partial:
                self._partial = True
                self._since = time.monotonic()
            self._held = data
            return
        self._partial = False
        request = plane.heads.read(data[: end + 2])
        head = request.head
        self._plain = request.plain
        self._minor = request.minor
        self._close = request.closes
        self._no_body = request.asks_head
        piece = trailers = b""
        if head.length:
            self._body = body = RequestBody(head.length)
            piece, trailers = body.feed(data[end + 4 :]), body.trailers
            self._held = body.rest
            self._mode = _ANSWER if body.ended else _BODY
            self._since = time.monotonic()
        else:
            self._held = data[end + 4 :]
            self._mode = _ANSWER
        self._exchange = exchange = Exchange(plane, self, request)
        exchange.begin(piece, self._mode == _ANSWER, trailers)

    def _read_body(self, data: bytes) -> None:
        self._since = time.monotonic()
        exchange, body = cast(Exchange, self._exchange), cast(RequestBody, self._body)
        try:
            piece = body.feed(data)
        except SteadyError as error:
            exchange.fail(error)
            return
        if body.ended:
            self._mode = _ANSWER
            self._held = body.rest
        exchange.body(piece, body.ended, body.trailers)

    def _reject(self, error: SteadyError) -> None:
        """Answer what is not a request, and close."""
        self._close = True
        self._plain = False
        self._minor = b"1"
        self._no_body = False
        request_id = self._plane.next_request_id()
        self._plane.record_rejected(self.address, request_id, error)
        answer, body = error_page(error, False, request_id)
        self.start(answer, body, True)
        self._linger()

    def _linger(self) -> None:
        """Say that nothing more will come, and take in what the client still sends so that it can read our answer."""
        self._mode = _LINGER
        self._since = time.monotonic()
        self._held = b""
        self.resume_reading()
        if not self._transport.is_closing():
            self._transport.write_eof()
