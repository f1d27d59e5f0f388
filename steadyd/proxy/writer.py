"""Answers in HTTP/1.1 framing, on one client's transport."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import cast

from steadyd.proxy.answer import AnswerHead
from steadyd.proxy.chunks import LAST_CHUNK, last_chunk

JOINED_BYTES_MAX = 64 * 1024
"""A head and a body up to this size leave in one write; copying more costs more than a second write."""


class AnswerWriter:
    """The writing half of the HTTP/1.1 door.

    `_close` says that the connection ends after this answer, `_minor` is the client's HTTP version, `_no_body` that it
    asked for the head alone. `_since` is when the present wait for the client began.
    """

    __slots__ = ("_chunked", "_close", "_minor", "_no_body", "_reading_paused", "_since", "_transport", "can_end")

    def __init__(self) -> None:
        self._transport = cast(asyncio.Transport, None)
        self._minor = b"1"
        self._close = False
        self._no_body = False
        self._chunked = False
        self._reading_paused = False
        self._since = 0.0
        self.can_end = False

    def write_start(self, answer: AnswerHead, piece: bytes, ended: bool, trailers: bytes) -> None:
        """The head, and the first bytes of the body in the same write if they are few."""
        open_ended = answer.length < 0 and not answer.bodiless
        if self._close or self._no_body or self._minor == b"0":
            head = self._unusual_head(answer)
        else:
            head = answer.plain
            self._chunked = open_ended
        self.can_end = open_ended
        if self._no_body or answer.bodiless:
            self._transport.write(head)
        elif self._chunked:
            self._write_chunk(head, piece, ended, trailers)
        elif len(piece) <= JOINED_BYTES_MAX:
            self._transport.write(head + piece)
        else:
            self._transport.write(head)
            self._transport.write(piece)

    def more(self, piece: bytes, ended: bool, trailers: bytes = b"") -> None:
        if self._chunked:
            self._write_chunk(b"", piece, ended, trailers)
        elif piece:
            self._transport.write(piece)

    def interim(self, answer: AnswerHead) -> None:
        if self._minor == b"1":
            self._transport.write(answer.plain)

    def kill(self) -> None:
        self._transport.abort()

    def reset(self) -> None:
        """Break off with a reset: to an old client a mere close looks like the end of the answer."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            self._since = time.monotonic()
            if not self._transport.is_closing():
                self._transport.resume_reading()

    # Private

    def _write_chunk(self, head: bytes, piece: bytes, ended: bool, trailers: bytes) -> None:
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
        old = self._minor == b"0"
        open_ended = answer.length < 0 and not answer.bodiless
        framing = answer.framing(self._no_body)
        self._chunked = open_ended and not old and not self._no_body
        if open_ended and old:
            framing = b""
            self._close = self._close or not self._no_body
        connection = b"Connection: close\r\n" if self._close else b"Connection: keep-alive\r\n" if old else b""
        return b"%b%b%b%b\r\n" % (answer.line, answer.block, framing, connection)
