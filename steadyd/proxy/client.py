"""The HTTP/1.1 door: one client connection.

Reads one request at a time, hands it to an `Exchange`, and frames the answer for this client. Bytes of later requests
wait here, bounded, until the answer is complete.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import cast

from steadyd.errors import SteadyError
from steadyd.proxy.answer import AnswerHead
from steadyd.proxy.chunks import LAST_CHUNK, BadChunk, ChunkReader, last_chunk
from steadyd.proxy.exchange import Exchange
from steadyd.proxy.fields import CHUNKED, HEAD_END, has_bare_lf
from steadyd.proxy.head import read_line, settle, too_many_header_bytes
from steadyd.proxy.limits import LINGER_SECONDS_MAX, PIPELINE_BYTES_MAX
from steadyd.proxy.pages import error_page
from steadyd.proxy.plane import Plane

JOINED_BYTES_MAX = 64 * 1024
"""A head and a body up to this size leave in one write; copying more costs more than a second write."""

_HEAD, _BODY, _ANSWER, _LINGER, _SPLICED = range(5)


class ClientConnection(asyncio.Protocol):
    """A `Door` for HTTP/1.1."""

    __slots__ = (
        "_chunked",
        "_close",
        "_continue",
        "_exchange",
        "_full_since",
        "_held",
        "_left",
        "_minor",
        "_mode",
        "_no_body",
        "_partial",
        "_plane",
        "_reader",
        "_reading",
        "_reading_paused",
        "_since",
        "_transport",
        "address",
        "can_end",
        "forwarded",
    )

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._transport = cast(asyncio.Transport, None)
        self._exchange: Exchange | None = None
        self._reader: ChunkReader | None = None
        self._mode = _HEAD
        self._held = b""
        self._left = 0
        self._since = 0.0
        self._full_since = 0.0
        self._minor = b"1"
        self._close = False
        self._partial = False
        self._chunked = False
        self._no_body = False
        self._reading = False
        self._reading_paused = False
        self.address = b""
        self.forwarded = b""
        self.can_end = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plane = self._plane
        self._transport = cast(asyncio.Transport, transport)
        self._since = time.monotonic()
        peer = transport.get_extra_info("peername")
        host = peer[0] if isinstance(peer, tuple) and peer else ""
        address = self.address = host.removeprefix("::ffff:").partition("%")[0].encode() or b"unknown"
        self.forwarded = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\n" % (address, plane.scheme)
        plane.clients.add(self)
        here = plane.per_client[address] = plane.per_client.get(address, 0) + 1
        limits = plane.limits
        if (limits.connections_per_client_max and here > limits.connections_per_client_max) or (
            limits.connections_max and len(plane.clients) > limits.connections_max
        ):
            self._reject(SteadyError("overloaded", "Too many connections.", retry_after=1), linger=False)

    def data_received(self, data: bytes) -> None:
        mode = self._mode
        if mode == _HEAD:
            self._read_requests(data)
        elif mode == _BODY:
            self._read_body(data)
        elif mode == _ANSWER:
            self._held += data
            if len(self._held) > PIPELINE_BYTES_MAX:
                self._pause_reading()

    def eof_received(self) -> None:
        """A client that stops sending has gone: like nginx, we do not guess that it may still listen."""

    def connection_lost(self, exc: Exception | None) -> None:
        plane = self._plane
        plane.clients.discard(self)
        if plane.closing and not plane.clients:
            plane.empty.set()
        left = plane.per_client.get(self.address, 0) - 1
        if left > 0:
            plane.per_client[self.address] = left
        else:
            plane.per_client.pop(self.address, None)
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

    def start(self, answer: AnswerHead, piece: bytes, ended: bool, trailers: bytes = b"") -> None:
        if self._plane.closing:
            self._close = True
        if self._full_since and self._exchange is not None:  # an earlier answer still waits for this client
            self._exchange.client_full()
        if self._close or self._no_body or self._minor == b"0":
            head = self._unusual_head(answer)
        else:
            head = answer.plain
            self._chunked = answer.length < 0 and not answer.bodiless
        self.can_end = self._chunked or (answer.length < 0 and not answer.bodiless)
        if self._no_body or answer.bodiless:
            self._transport.write(head)
        elif self._chunked:
            self._write_chunk(piece, ended, trailers, head)
        elif len(piece) <= JOINED_BYTES_MAX:
            self._transport.write(head + piece)
        else:
            self._transport.write(head)
            self._transport.write(piece)

    def more(self, piece: bytes, ended: bool, trailers: bytes = b"") -> None:
        if self._chunked:
            self._write_chunk(piece, ended, trailers, b"")
        elif piece:
            self._transport.write(piece)

    def refuse(self, answer: AnswerHead, body: bytes) -> None:
        if self._mode == _BODY:
            self._close = True
        self.start(answer, body, True)
        self.done()

    def interim(self, answer: AnswerHead) -> None:
        if self._minor == b"1":
            self._transport.write(answer.plain)

    def done(self) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        self._exchange = None
        whole = exchange.body_ended
        self._reader = None
        if self._full_since:
            self._full_since = time.monotonic()
        if not whole:
            self._linger()
        elif self._close:
            self._mode = _LINGER
            self._since = time.monotonic()
            self._transport.close()
        else:
            self._mode = _HEAD
            self._since = time.monotonic()
            self._resume_reading()
            if self._held and not self._reading:
                held = self._held
                self._held = b""
                self._read_requests(held)

    def abort(self) -> None:
        self._exchange = None
        self._mode = _LINGER
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():  # a reset: to an old client a close looks like an end
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def pause_body(self) -> None:
        if self._mode == _BODY:
            self._pause_reading()

    def resume_body(self) -> None:
        self._since = time.monotonic()
        if self._mode == _BODY:
            self._resume_reading()

    def upgrade(self, answer: AnswerHead, upstream: asyncio.Transport, rest: bytes) -> None:
        exchange = cast(Exchange, self._exchange)
        self._mode = _SPLICED
        self._full_since = 0.0
        self._resume_reading()
        self._transport.write(b"%b%bConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" % (answer.line, answer.block))
        exchange.splice.join(self._transport, upstream, self)
        if rest:
            exchange.splice.from_instance(rest)
        if self._held:
            exchange.splice.from_client(self._held)
            self._held = b""

    # The listener's view

    def tick(self, now: float) -> None:
        limits = self._plane.limits
        mode = self._mode
        if self._full_since and limits.write_stall_seconds_max:
            if now - self._full_since > limits.write_stall_seconds_max:
                self._transport.abort()
        elif mode == _HEAD:
            waited = now - self._since
            if self._held:
                if limits.header_seconds_max and waited > limits.header_seconds_max:
                    self._reject(SteadyError("request_timeout", "The request headers took too long."))
            elif limits.idle_seconds_max and waited > limits.idle_seconds_max:
                self._transport.close()
        elif mode == _BODY:
            stall = limits.body_stall_seconds_max
            if stall and not self._reading_paused and now - self._since > stall:
                self._stalled()
        elif mode == _LINGER:
            unsent = self._transport.get_write_buffer_size()
            if now - self._since > (limits.write_stall_seconds_max if unsent else LINGER_SECONDS_MAX):
                self._transport.abort()

    def close_when_idle(self) -> None:
        """The listener is closing: no request after this one."""
        if self._mode == _HEAD and not self._held:
            self._transport.close()
        else:
            self._close = True

    def wind_down(self) -> None:
        if self._exchange is not None:
            self._exchange.wind_down()

    def cut(self) -> None:
        """The listener's deadline passed."""
        if self._exchange is not None:
            self._exchange.cut()
        self._transport.close()

    def kill(self) -> None:
        self._transport.abort()

    # Private: reading

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
                if self._mode != _HEAD or not self._held or self._held is data:
                    return
                data, self._held = self._held, b""
        except SteadyError as error:
            self._reject(error)
        finally:
            self._reading = False

    def _read_request(self, data: bytes) -> None:
        end = data.find(HEAD_END)
        if end < 0:
            self._hold_head(data)
            return
        if data.startswith(b"\r\n"):  # an old client's blank line after a body; one is forgiven
            data = data[2:]
            end -= 2
            if end < 0:
                self._held = data
                return
        plane = self._plane
        line = read_line(data, plane.limits)
        head = plane.heads.read(data[data.index(b"\n") + 1 : end + 2])
        host, target = settle(line, head)
        self._minor = line[2]
        self._close = head.close or plane.closing or (line[2] == b"0" and not head.keep_alive)
        self._no_body = line[0] == b"HEAD"
        self._partial = False
        rest = data[end + 4 :]
        piece = trailers = b""
        if head.length:
            piece, trailers = self._begin_body(head.length, rest)
        else:
            self._mode = _ANSWER
            self._held = rest
        exchange = self._exchange = Exchange(plane, self, head, line)
        exchange.begin((host, target), piece, self._mode == _ANSWER, trailers)

    def _begin_body(self, length: int, rest: bytes) -> tuple[bytes, bytes]:
        self._mode = _BODY
        self._since = time.monotonic()
        self._left = length
        self._reader = ChunkReader() if length == CHUNKED else None
        piece, _, trailers = self._split(rest)
        return piece, trailers

    def _hold_head(self, data: bytes) -> None:
        """Part of a head: keep it, unless it can no longer become a good one."""
        limits = self._plane.limits
        line_end = data.find(b"\r\n", 2)
        if limits.url_bytes_max and (line_end if line_end >= 0 else len(data)) > limits.url_bytes_max + 64:
            raise SteadyError("uri_too_long", f"The URL is longer than {limits.url_bytes_max} bytes.")
        if limits.header_bytes_max and len(data) - max(line_end, 0) > limits.header_bytes_max:
            raise too_many_header_bytes(limits)
        if has_bare_lf(data):
            raise SteadyError("bad_request", "The request has a line that ends in a bare line feed.")
        if line_end >= 0:
            read_line(data.removeprefix(b"\r\n"), limits)
        if not self._partial:
            self._partial = True
            self._since = time.monotonic()
        self._held = data

    def _split(self, data: bytes) -> tuple[bytes, bool, bytes]:
        """Body bytes in `data`, whether the body ends with them, and its trailers; the rest is held back."""
        reader = self._reader
        trailers = b""
        if reader is None:
            self._left -= len(data)
            ended = self._left <= 0
            if self._left < 0:
                self._held = data[self._left :]
                data = data[: self._left]
        else:
            try:
                data = reader.feed(data)
            except BadChunk:
                raise SteadyError("bad_request", "The chunked request body is malformed.") from None
            ended = reader.done
            if ended:
                self._held = reader.rest
                trailers = reader.trailers
        if ended:
            self._mode = _ANSWER
        return data, ended, trailers

    def _read_body(self, data: bytes) -> None:
        self._since = time.monotonic()
        exchange = cast(Exchange, self._exchange)
        try:
            piece, ended, trailers = self._split(data)
        except SteadyError as error:
            exchange.fail(error)
            return
        exchange.body(piece, ended, trailers)

    def _stalled(self) -> None:
        if self._exchange is not None:
            self._exchange.fail(SteadyError("request_timeout", "The request body stopped coming."))

    def _pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    # Private: writing

    def _write_chunk(self, piece: bytes, ended: bool, trailers: bytes, head: bytes) -> None:
        end = (last_chunk(trailers) if trailers else LAST_CHUNK) if ended else b""
        if not piece:
            self._transport.write(head + end)
        elif len(piece) <= JOINED_BYTES_MAX:
            self._transport.write(b"%b%x\r\n%b\r\n%b" % (head, len(piece), piece, end))
        else:
            self._transport.write(b"%b%x\r\n" % (head, len(piece)))
            self._transport.write(piece)
            self._transport.write(b"\r\n" + end)

    def _unusual_head(self, answer: AnswerHead) -> bytes:
        """The head for a client that speaks HTTP/1.0, asked for the head alone or will be closed."""
        self._chunked = False
        framing = answer.framing(self._no_body)
        if self._minor == b"0" and answer.length < 0 and not answer.bodiless:
            framing = b""
            self._close = self._close or not self._no_body
        elif not self._no_body:
            self._chunked = answer.length < 0 and not answer.bodiless
        connection = b"Connection: close\r\n" if self._close else b""
        if self._minor == b"0" and not self._close:
            connection = b"Connection: keep-alive\r\n"
        return b"%b%b%b%b\r\n" % (answer.line, answer.block, framing, connection)

    def _reject(self, error: SteadyError, linger: bool = True) -> None:
        """Answer what is not a request, and close."""
        self._close = True
        self._held = b""
        plane = self._plane
        request_id = plane.next_request_id()
        answer, body = error_page(error, False, request_id)
        self._minor = b"1"
        self._no_body = False
        plane.record_rejected(self.address, request_id, error)
        self.start(answer, body, True)
        if linger:
            self._linger()
        else:
            self._mode = _LINGER
            self._since = time.monotonic()
            self._transport.close()

    def _linger(self) -> None:
        """Say that nothing more will come, and take in what the client still sends so that it can read our answer."""
        self._mode = _LINGER
        self._since = time.monotonic()
        self._held = b""
        self._resume_reading()
        if not self._transport.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()
