"""What request and answer heads have in common: the grammar of a header block. No I/O.

The grammar is checked by one regular expression over the whole block, so a bare LF, a folded line, a NUL, a control
character or a space before the colon can hide nowhere (RFC 9112 sections 2.2 and 5). Then llhttp reads the same bytes:
two independent readers must accept a head before it goes anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import httptools

CHUNKED = -1
UNTIL_CLOSE = -2

HEAD_END = b"\r\n\r\n"

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_BLOCK = re.compile(rb"(?:" + _TOKEN + rb":[\t\x20-\x7e\x80-\xff]*\r\n)*")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_BARE_LF = re.compile(rb"(?<!\r)\n")

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"content-length",
    )
)
"""Names that speak about one connection (RFC 9110 section 7.6.1), and the framing that we always write ourselves."""

NOT_IN_TRAILERS = HOP_BY_HOP | {b"host", b"trailer", b"set-cookie", b"cookie", b"authorization", b"content-encoding"}


def well_formed(block: bytes) -> bool:
    """Whether `block` (lines ending in CRLF, without the empty one) is a strict header block."""
    return _BLOCK.fullmatch(block) is not None


def each_field(block: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(name as sent, name in lower case, value without outer blanks) of each line of a well-formed block."""
    for line in block.split(b"\r\n"):
        if line:
            name, _, value = line.partition(b":")
            yield name, name.lower(), value.strip(b" \t")


def read_length(value: bytes) -> int | None:
    """A `Content-Length`, or None if it is not plain digits (at most 18, so that it fits everywhere)."""
    return int(value) if _LENGTH.fullmatch(value) else None


def listed(value: bytes) -> list[bytes]:
    """The lower-case members of a comma-separated value."""
    return [member for part in value.split(b",") if (member := part.strip(b" \t").lower())]


def has_bare_lf(data: bytes) -> bool:
    """True once an unfinished head can no longer become a good one, so that it need not wait for its time-out."""
    return _BARE_LF.search(data) is not None


def llhttp_accepts_request(block: bytes) -> bool:
    """The second opinion on a request's header block."""
    return _accepted(httptools.HttpRequestParser(_Silent()), b"GET / HTTP/1.1\r\n" + block + b"\r\n")


def llhttp_accepts_answer(head: bytes) -> bool:
    """The second opinion on an answer's whole head."""
    return _accepted(httptools.HttpResponseParser(_Silent()), head)


def forwardable_trailers(block: bytes) -> bytes:
    """The trailer lines that may follow a forwarded body: none that frames, routes or authenticates."""
    kept = []
    for name, lower, value in each_field(block):
        if lower not in NOT_IN_TRAILERS and not lower.startswith(b"steady-") and b"_" not in lower:
            kept.append(b"%b: %b\r\n" % (name, value))
    return b"".join(kept)


class _Silent:
    """A parser's client without callbacks: only acceptance matters."""


def _accepted(parser: httptools.HttpRequestParser | httptools.HttpResponseParser, head: bytes) -> bool:
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        return True
    except httptools.HttpParserError:
        return False
    return True
