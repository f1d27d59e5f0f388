"""What goes to the instance: one request as we write it. No I/O.

The framing is ours, the client's address and the request id are ours, and a request that was sent whole is kept until
its answer begins, so that it can be sent again where that is harmless.
"""

from __future__ import annotations

from steadyd.proxy.chunks import last_chunk, one_chunk
from steadyd.proxy.fields import CHUNKED
from steadyd.proxy.head import IDEMPOTENT, ParsedRequest, RequestHead


class Sending:
    """The request's half of an exchange. `Exchange` has the one constructor: chains of them cost time in each request.

    `_pending` holds body bytes that came before there was a connection to send them on.
    """

    __slots__ = (
        "_head",
        "_pending",
        "_replay",
        "_request",
        "_trailers",
        "asks_head",
        "body_ended",
        "request_bytes",
        "request_id",
    )

    _request: ParsedRequest
    _head: RequestHead
    _trailers: bytes
    _pending: bytes
    _replay: bytes | None
    asks_head: bool
    body_ended: bool
    """Whether the client's request is complete, so that its connection can carry another."""
    request_id: bytes
    request_bytes: int

    def upgrade_key(self) -> bytes | None:
        """The WebSocket key, if this is a request that may upgrade (RFC 6455 section 4.1)."""
        key = self._head.websocket_key
        request = self._request
        return key if key is not None and request.method == b"GET" and request.minor == b"1" else None

    def may_send_again(self) -> bool:
        return self._replay is not None and self._request.method in IDEMPOTENT

    def opening(self, forwarded: bytes) -> bytes:
        """The head and what there is of the body. `forwarded` are the header lines about the client."""
        head = self._head
        extra = b""
        if head.websocket_key is not None and self.upgrade_key():
            extra = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        elif head.host is None:  # HTTP/1.0 with the host in the target
            host = self._request.host.encode()
            extra = b"Host: %b\r\nX-Forwarded-Host: %b\r\n" % (host, host)
        data = b"%b%bSteady-Request-Id: %b\r\n%b\r\n" % (self._request.opening, forwarded, self.request_id, extra)
        if head.length:
            data += self.framed(self._pending)
            self._pending = b""
        self._replay = data if self.body_ended else None
        return data

    def framed(self, piece: bytes) -> bytes:
        """More of the body as it goes upstream; with the last piece, its end."""
        if self._head.length != CHUNKED:
            return piece
        return one_chunk(piece) + (last_chunk(self._trailers) if self.body_ended else b"")
