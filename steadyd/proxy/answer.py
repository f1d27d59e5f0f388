"""One answer head from an instance, read as strictly as a request: an app is a hostile upstream. No I/O.

An app's answer passes untouched but for what speaks about one connection, for `Steady-*` headers, which nobody may
forge, and for cookies meant for more than the app's own host.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from steadyd.proxy.fields import (
    CHUNKED,
    HOP_BY_HOP,
    UNTIL_CLOSE,
    each_field,
    listed,
    llhttp_accepts_answer,
    read_length,
    well_formed,
)
from steadyd.proxy.limits import ANSWER_HEADER_COUNT_MAX

CACHE_ENTRIES_MAX = 1_024
CACHED_HEAD_BYTES_MAX = 2 * 1024

_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
_PLAIN_DOMAIN = re.compile(rb"[0-9a-z.-]+")


class BadAnswer(Exception):
    """The upstream's bytes are no acceptable answer; the text is for the owner's log."""


class AnswerHead:
    """What one answer head says. A function of its bytes alone, so equal heads share one object.

    `line` and `block` go to an HTTP/1.1 client as they are (no framing in them). `length` is a number of bytes,
    CHUNKED or UNTIL_CLOSE, before the request's method has its say; `declared` is the `Content-Length` or None.
    `plain` is the whole head for the usual case: HTTP/1.1, kept alive, not an answer to HEAD.
    """

    __slots__ = (
        "accept",
        "block",
        "bodiless",
        "declared",
        "event_stream",
        "length",
        "line",
        "plain",
        "reusable",
        "status",
        "wide_cookies",
    )

    def __init__(self, status: int, line: bytes, block: bytes, length: int) -> None:
        self.status = status
        self.line = line
        self.block = block
        self.length = length
        self.declared: int | None = length if length >= 0 else None
        self.bodiless = status < 200 or status in (204, 304)
        self.reusable = True
        self.event_stream = False
        self.wide_cookies = False
        self.accept: bytes | None = None
        self.plain = b""

    def seal(self) -> AnswerHead:
        """Work out `plain` once everything else is known."""
        self.plain = b"%b%b%b\r\n" % (self.line, self.block, self.framing(answers_head=False))
        return self

    def framing(self, answers_head: bool) -> bytes:
        """The framing lines for an HTTP/1.1 client."""
        if self.status < 200 or self.status == 204:
            return b""
        if self.declared is not None:
            return b"Content-Length: %d\r\n" % self.declared
        return b"" if self.bodiless or answers_head else b"Transfer-Encoding: chunked\r\n"

    def narrowed(self, host: str) -> AnswerHead | None:
        """A copy without `Domain` in cookies that cover more than `host`, or None if there are none."""
        changed = False
        lines = []
        for name, lower, value in each_field(self.block):
            if lower == b"set-cookie":
                narrow = _narrow_cookie(value, host.encode())
                changed = changed or narrow != value
                value = narrow
            lines.append(b"%b: %b\r\n" % (name, value))
        if not changed:
            return None
        copy = AnswerHead(self.status, self.line, b"".join(lines), self.length)
        copy.declared, copy.reusable = self.declared, self.reusable
        copy.event_stream, copy.accept = self.event_stream, self.accept
        return copy.seal()


class AnswerCache:
    """Head bytes -> AnswerHead. A busy app's heads differ only by their date, so each second brings one new entry."""

    __slots__ = ("_added", "_heads", "_trusted")

    def __init__(self, trusted: bool, added: bytes = b"") -> None:
        """`added` are lines of ours that every head gets."""
        self._trusted = trusted
        self._added = added
        self._heads: dict[bytes, AnswerHead] = {}

    def __len__(self) -> int:
        return len(self._heads)

    def read(self, head: bytes) -> AnswerHead:
        """The answer for `head` (up to and with the empty line). Raises BadAnswer."""
        answer = self._heads.get(head)
        if answer is None:
            answer = read_answer(head, self._trusted, self._added)
            if len(head) <= CACHED_HEAD_BYTES_MAX and not answer.wide_cookies:
                if len(self._heads) >= CACHE_ENTRIES_MAX:
                    self._heads.clear()
                self._heads[head] = answer
        return answer


def read_answer(head: bytes, trusted: bool = False, added: bytes = b"") -> AnswerHead:
    """Read one head. `trusted` is the control plane, which may send `Steady-*` headers and any cookie. What is `added`
    comes last."""
    match = _LINE.match(head)
    if match is None:
        raise BadAnswer("malformed status line")
    minor, status_text, reason = match.groups()
    block = head[match.end() : -2]
    if not well_formed(block) or not llhttp_accepts_answer(head):
        raise BadAnswer("malformed headers")
    fields = list(each_field(block))
    if len(fields) > ANSWER_HEADER_COUNT_MAX:
        raise BadAnswer("too many headers")
    length, connection = _read_framing(fields, minor)
    kept = []
    for name, lower, value in fields:
        if lower in HOP_BY_HOP or lower in connection or (lower.startswith(b"steady-") and not trusted):
            continue
        kept.append(b"%b: %b\r\n" % (name, value))
    line = b"HTTP/1.1 %b %b\r\n" % (status_text, reason or b"")
    answer = AnswerHead(int(status_text), line, b"".join(kept) + added, length)
    persistent = b"close" not in connection and (minor == b"1" or b"keep-alive" in connection)
    answer.reusable = persistent and (answer.bodiless or length != UNTIL_CLOSE)
    _note(answer, fields, trusted)
    return answer.seal()


def make_answer(status: int, fields: list[tuple[bytes, bytes]], length: int) -> AnswerHead:
    """An answer of our own. `length` is its number of bytes."""
    line = b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode())
    return AnswerHead(status, line, b"".join(b"%b: %b\r\n" % field for field in fields), length).seal()


# Private


def _read_framing(fields: list[tuple[bytes, bytes, bytes]], minor: bytes) -> tuple[int, list[bytes]]:
    length = UNTIL_CLOSE
    framed = 0
    connection: list[bytes] = []
    for _, lower, value in fields:
        if lower == b"content-length":
            number = read_length(value)
            if number is None:
                raise BadAnswer("invalid Content-Length")
            length = number
            framed += 1
        elif lower == b"transfer-encoding":
            if value.lower() != b"chunked" or minor == b"0":
                raise BadAnswer("unsupported Transfer-Encoding")
            length = CHUNKED
            framed += 1
        elif lower == b"connection":
            connection += listed(value)
    if framed > 1:
        raise BadAnswer("more than one framing")
    return length, connection


def _note(answer: AnswerHead, fields: list[tuple[bytes, bytes, bytes]], trusted: bool) -> None:
    for _, lower, value in fields:
        if lower == b"content-type":
            answer.event_stream = value.lower().startswith(b"text/event-stream")
        elif lower == b"set-cookie" and not trusted and b"domain" in value.lower():
            answer.wide_cookies = True
        elif lower == b"sec-websocket-accept":
            answer.accept = value


def _narrow_cookie(value: bytes, host: bytes) -> bytes:
    """`value` without its Domain attributes if any of them covers more than `host`, or might to some browser."""
    parts = value.split(b";")
    rest = [part for part in parts[1:] if not _is_domain(part)]
    if len(rest) == len(parts) - 1 or not any(_covers_more(part, host) for part in parts[1:] if _is_domain(part)):
        return value
    return b";".join([parts[0], *rest])


def _is_domain(part: bytes) -> bool:
    return part.partition(b"=")[0].strip(b" \t").lower() == b"domain"


def _covers_more(part: bytes, host: bytes) -> bool:
    domain = part.partition(b"=")[2].strip(b" \t").lower().removeprefix(b".").removesuffix(b".")
    if not domain or domain == host:
        return False
    return host.endswith(b"." + domain) or not _PLAIN_DOMAIN.fullmatch(domain)
