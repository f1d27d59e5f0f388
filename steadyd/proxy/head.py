"""One request head: from bytes to what routing, forwarding and framing need to know. No I/O.

A keep-alive client repeats its header block to the byte, so everything that depends on the block alone is worked out
once and found again by the bytes themselves: a dictionary hit instead of ten microseconds of Python. The request line
changes from request to request and is read each time.
"""

from __future__ import annotations

import re

from steadyd.errors import SteadyError
from steadyd.proxy.fields import (
    CHUNKED,
    HEAD_END,
    HOP_BY_HOP,
    each_field,
    has_bare_lf,
    listed,
    llhttp_accepts_request,
    read_length,
    well_formed,
)
from steadyd.proxy.hosts import agree, read_host, split_absolute
from steadyd.proxy.limits import Limits

CACHE_ENTRIES_MAX = 2_048
CACHE_BYTES_MAX = 4 * 1024 * 1024
CACHED_BLOCK_BYTES_MAX = 4 * 1024
CACHED_REQUEST_BYTES_MAX = 1024
"""Longer ones are read each time: a few clients with huge cookies must not push everyone else out."""

METHODS = frozenset(
    b"GET HEAD POST PUT DELETE PATCH OPTIONS PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH QUERY PURGE "
    b"LINK UNLINK MKCALENDAR ACL BIND REBIND UNBIND CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE".split()
)
SAFE = frozenset((b"GET", b"HEAD"))
IDEMPOTENT = frozenset((b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"))

_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21\x22\x24-\x7e\x80-\xff]+) HTTP/1\.([01])\r\n")
_KEY = re.compile(rb"[0-9A-Za-z+/]{21}[AQgw]==")
_FORWARDED = (b"x-forwarded-", b"steady-")
_TELLS_WHO = re.compile(rb"cookie|auth|token|secret|session|credential|api-?key")
"""Names of headers that may say who asks."""
_DROPPED = HOP_BY_HOP | {b"host", b"forwarded", b"x-real-ip", b"expect"}

Line = tuple[bytes, bytes, bytes]
"""Method, target, minor version: as in the request line."""


class RequestHead:
    """What one header block says.

    `host` is None without a Host header. `block` is what goes upstream, ready but for what belongs to the single
    request: the client's address and the request id. `length` counts body bytes, or is CHUNKED.
    """

    __slots__ = (
        "anonymous",
        "block",
        "close",
        "expects_continue",
        "host",
        "keep_alive",
        "length",
        "raw_host",
        "wants_html",
        "websocket_key",
    )

    def __init__(self) -> None:
        self.host: str | None = None
        self.raw_host = b""
        self.block = b""
        self.length = 0
        self.anonymous = True
        self.close = False
        self.keep_alive = False
        self.wants_html = False
        self.expects_continue = False
        self.websocket_key: bytes | None = None


class ParsedRequest:
    """A whole request head, read: what is the same for equal bytes. `opening` is its request line and headers as they
    go upstream, but for what belongs to the single request."""

    __slots__ = (
        "asks_head",
        "closes",
        "head",
        "host",
        "method",
        "minor",
        "opening",
        "path",
        "plain",
        "repeatable",
        "target",
    )

    def __init__(self, line: Line, head: RequestHead) -> None:
        self.head = head
        self.method, _, self.minor = line
        self.host, self.target = settle(line, head)
        self.path, _, _ = self.target.partition(b"?")
        self.asks_head = self.method == b"HEAD"
        self.closes = head.close or (self.minor == b"0" and not head.keep_alive)
        self.plain = self.minor == b"1" and not self.closes and not self.asks_head
        """Whether its answer goes out in the usual form."""
        self.repeatable = (
            self.method in SAFE
            and head.anonymous
            and not (head.length or head.websocket_key)
            and (self.path == self.target)
        )
        """Whether asking again, by anybody, would ask for the same and change nothing."""
        self.opening = b"%b %b HTTP/1.1\r\n%b" % (line[0], self.target, head.block)


class HeadCache:
    """Request bytes -> what they say, bounded in entries and in bytes; emptied whole when full.

    Two tables: whole heads, for clients that repeat a request, and header blocks, for those that ask for one thing
    after another.
    """

    __slots__ = ("_blocks", "_bytes", "_limits", "_requests")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._requests: dict[bytes, ParsedRequest] = {}
        self._blocks: dict[bytes, RequestHead] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._requests) + len(self._blocks)

    @property
    def bytes_held(self) -> int:
        return self._bytes

    def read(self, data: bytes) -> ParsedRequest:
        """The request whose head `data` is (without the empty line). Raises SteadyError for one that must not be
        forwarded."""
        request = self._requests.get(data)
        if request is None:
            line = read_line(data, self._limits)
            request = ParsedRequest(line, self.read_block(data[data.index(b"\n") + 1 :]))
            if len(data) <= CACHED_REQUEST_BYTES_MAX:
                self._make_room(len(data) + len(request.opening))
                self._requests[data] = request
        return request

    def read_block(self, block: bytes) -> RequestHead:
        """The same for the header block alone."""
        head = self._blocks.get(block)
        if head is None:
            head = read_block(block, self._limits)
            if len(block) <= CACHED_BLOCK_BYTES_MAX:
                self._make_room(len(block) + len(head.block))
                self._blocks[block] = head
        return head

    def _make_room(self, size: int) -> None:
        if len(self) >= CACHE_ENTRIES_MAX or self._bytes + size > CACHE_BYTES_MAX:
            self._requests.clear()
            self._blocks.clear()
            self._bytes = 0
        self._bytes += size


def read_line(data: bytes, limits: Limits) -> Line:
    """Method, target and minor version of the request line at the start of `data`, which ends in CRLF.

    Raises `bad_request`, `method_not_allowed`, `not_implemented` or `uri_too_long`.
    """
    match = _LINE.match(data)
    if match is None:
        raise SteadyError("bad_request", "The request line is malformed.")
    method, target, minor = match.groups()
    if method not in METHODS:
        if method in (b"CONNECT", b"TRACE"):
            raise SteadyError("method_not_allowed", f"{method.decode()} is not served here.")
        raise SteadyError("not_implemented", "This method is unknown here.")
    if limits.url_bytes_max and len(target) > limits.url_bytes_max:
        raise SteadyError("uri_too_long", f"The URL is longer than {limits.url_bytes_max} bytes.")
    return method, target, minor


def settle(line: Line, head: RequestHead) -> tuple[str, bytes]:
    """The host that decides and the path that goes upstream. Raises `bad_host` or `bad_request` where in doubt."""
    _, target, minor = line
    if minor == b"0" and head.length == CHUNKED:
        raise SteadyError("bad_request", "An HTTP/1.0 request cannot be chunked.")
    if target.startswith(b"/"):
        if head.host is None:
            raise SteadyError("bad_host", "The request has no Host header.")
        return head.host, target
    host, path = split_absolute(target)
    if head.host is None and minor == b"1":
        raise SteadyError("bad_host", "The request has no Host header.")
    return agree(host, head.host), path


def read_block(block: bytes, limits: Limits) -> RequestHead:
    """Read one header block (lines ending in CRLF). Raises SteadyError; see the limits for the sizes."""
    if limits.header_bytes_max and len(block) > limits.header_bytes_max:
        raise _too_many_header_bytes(limits)
    if not well_formed(block) or not llhttp_accepts_request(block):
        raise SteadyError("bad_request", "The request headers are malformed.")
    fields = list(each_field(block))
    if limits.header_count_max and len(fields) > limits.header_count_max:
        raise SteadyError("headers_too_large", f"The request has more than {limits.header_count_max} headers.")
    head = RequestHead()
    notes = _Notes()
    kept: list[bytes] = []
    for name, lower, value in fields:
        if lower in _READ:
            _READ[lower](head, notes, value)
        elif _TELLS_WHO.search(lower):
            head.anonymous = False
        if lower not in _DROPPED and b"_" not in lower and not lower.startswith(_FORWARDED):
            kept.append(b"%b: %b\r\n" % (name, value))
    _finish(head, notes, kept)
    return head


def check_partial(data: bytes, limits: Limits) -> None:
    """Refuse the beginning of a request, as soon as it can no longer become a good one. Raises SteadyError."""
    line_end = data.find(b"\r\n")
    longest = len(b"UNSUBSCRIBE  HTTP/1.1") + limits.url_bytes_max
    if limits.url_bytes_max and (line_end if line_end >= 0 else len(data)) > longest:
        raise SteadyError("uri_too_long", f"The URL is longer than {limits.url_bytes_max} bytes.")
    if limits.header_bytes_max and len(data) - max(line_end, 0) > limits.header_bytes_max + len(HEAD_END):
        raise _too_many_header_bytes(limits)
    if has_bare_lf(data):
        raise SteadyError("bad_request", "The request has a line that ends in a bare line feed.")
    if line_end >= 0:
        read_line(data, limits)


def _too_many_header_bytes(limits: Limits) -> SteadyError:
    return SteadyError("headers_too_large", f"The request headers are longer than {limits.header_bytes_max} bytes.")


# Private


class _Notes:
    """What must be seen whole before it means something."""

    __slots__ = ("chunked", "connection", "length", "te_trailers", "upgrade", "version", "ws_key")

    def __init__(self) -> None:
        self.chunked = False
        self.length: int | None = None
        self.connection: list[bytes] = []
        self.te_trailers = False
        self.upgrade: list[bytes] = []
        self.ws_key: bytes | None = None
        self.version: bytes | None = None


def _read_host(head: RequestHead, notes: _Notes, value: bytes) -> None:
    if head.host is not None:
        raise SteadyError("bad_host", "The request has two Host headers.")
    head.host = read_host(value)
    head.raw_host = value


def _read_content_length(head: RequestHead, notes: _Notes, value: bytes) -> None:
    length = read_length(value)
    if notes.length is not None or length is None:
        raise SteadyError("bad_request", "The Content-Length header is repeated or not a number.")
    notes.length = length


def _read_transfer_encoding(head: RequestHead, notes: _Notes, value: bytes) -> None:
    if notes.chunked or value.lower() != b"chunked":
        raise SteadyError("bad_request", "Transfer-Encoding may only be `chunked`, once.")
    notes.chunked = True


def _read_connection(head: RequestHead, notes: _Notes, value: bytes) -> None:
    notes.connection += listed(value)


def _read_upgrade(head: RequestHead, notes: _Notes, value: bytes) -> None:
    notes.upgrade += listed(value)


def _read_te(head: RequestHead, notes: _Notes, value: bytes) -> None:
    notes.te_trailers = notes.te_trailers or b"trailers" in listed(value)


def _read_expect(head: RequestHead, notes: _Notes, value: bytes) -> None:
    head.expects_continue = value.lower() == b"100-continue"


def _read_accept(head: RequestHead, notes: _Notes, value: bytes) -> None:
    head.wants_html = head.wants_html or b"text/html" in value.lower()


def _read_key(head: RequestHead, notes: _Notes, value: bytes) -> None:
    notes.ws_key = value if notes.ws_key is None and _KEY.fullmatch(value) else b""


def _read_version(head: RequestHead, notes: _Notes, value: bytes) -> None:
    notes.version = value if notes.version is None else b""


_READ = {
    b"host": _read_host,
    b"content-length": _read_content_length,
    b"transfer-encoding": _read_transfer_encoding,
    b"connection": _read_connection,
    b"upgrade": _read_upgrade,
    b"te": _read_te,
    b"expect": _read_expect,
    b"accept": _read_accept,
    b"sec-websocket-key": _read_key,
    b"sec-websocket-version": _read_version,
}


def _finish(head: RequestHead, notes: _Notes, kept: list[bytes]) -> None:
    if notes.chunked and notes.length is not None:
        raise SteadyError("bad_request", "A request has either a Content-Length or a Transfer-Encoding.")
    head.length = CHUNKED if notes.chunked else notes.length or 0
    head.close = b"close" in notes.connection
    head.keep_alive = b"keep-alive" in notes.connection
    if (
        notes.upgrade == [b"websocket"]
        and b"upgrade" in notes.connection
        and notes.version == b"13"
        and notes.ws_key
        and not head.length
    ):
        head.websocket_key = notes.ws_key
    named = [name + b":" for name in notes.connection]
    lines = [line for line in kept if not _is_named(line, named)] if named else kept
    if head.host is not None:
        lines.insert(0, b"Host: %b\r\nX-Forwarded-Host: %b\r\n" % (head.raw_host, head.raw_host))
    if notes.chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    elif notes.length is not None:
        lines.append(b"Content-Length: %d\r\n" % head.length)
    if head.expects_continue and head.length:
        lines.append(b"Expect: 100-continue\r\n")
    if notes.te_trailers:
        lines.append(b"Connection: TE\r\nTE: trailers\r\n")
    head.block = b"".join(lines)


def _is_named(line: bytes, named: list[bytes]) -> bool:
    lower = line.lower()
    return any(lower.startswith(name) for name in named)
