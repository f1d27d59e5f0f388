"""The grammar of header blocks, and the second opinion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.proxy.fields import (
    each_field,
    forwardable_trailers,
    has_bare_lf,
    listed,
    llhttp_accepts_answer,
    llhttp_accepts_request,
    read_length,
    well_formed,
)


@pytest.mark.parametrize(
    "block",
    [
        b"A: b\n",
        b"A: b\r\n c\r\n",
        b"A: b\r\n\tc\r\n",
        b" A: b\r\n",
        b"A : b\r\n",
        b"A\t: b\r\n",
        b": b\r\n",
        b"A\r\n",
        b"A: \x00\r\n",
        b"A: b\rc\r\n",
        b"A: b\nB: c\r\n",
        b"A: \x7f\r\n",
        b"A(: b\r\n",
        b"\xc3\xa4: b\r\n",
        b"A: b",
        b"A: b\r\n\r\n",
    ],
)
def test_a_lenient_readers_block_is_refused(block: bytes) -> None:
    assert not well_formed(block)


def test_a_strict_block_is_read_line_by_line() -> None:
    block = b"Host: a\r\nX-Empty:\r\nx-blanks: \t v w \t\r\nX-High: \xff\r\n"
    assert well_formed(block)
    assert llhttp_accepts_request(block)
    assert list(each_field(block)) == [
        (b"Host", b"host", b"a"),
        (b"X-Empty", b"x-empty", b""),
        (b"x-blanks", b"x-blanks", b"v w"),
        (b"X-High", b"x-high", b"\xff"),
    ]
    assert well_formed(b"")


@given(st.lists(st.tuples(st.from_regex(r"[A-Za-z0-9-]{1,10}", fullmatch=True), st.text("ab ,;=\t", max_size=10))))
def test_what_we_write_we_read(fields: list[tuple[str, str]]) -> None:
    block = b"".join(f"{name}: {value}\r\n".encode() for name, value in fields)
    assert well_formed(block)
    assert [(n, v) for n, _, v in each_field(block)] == [(n.encode(), v.strip(" \t").encode()) for n, v in fields]


@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b"1,1", b"0x1", b"1 ", b"1_0", b"\xb2", b"9" * 19])
def test_a_length_is_plain_digits(value: bytes) -> None:
    assert read_length(value) is None


def test_lengths_lists_and_bare_line_feeds() -> None:
    assert read_length(b"0012") == 12
    assert read_length(b"9" * 18) == 10**18 - 1
    assert listed(b" Close , ,x-A") == [b"close", b"x-a"]
    assert has_bare_lf(b"GET / HTTP/1.1\n")
    assert not has_bare_lf(b"GET / HTTP/1.1\r\nA: b\r\n")


def test_the_second_opinion_counts() -> None:
    assert not llhttp_accepts_request(b"Content-Length: 1\r\nContent-Length: 2\r\n")
    assert llhttp_accepts_request(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
    assert not llhttp_accepts_answer(b"HTTP/1.1 2 OK\r\n\r\n")
    assert llhttp_accepts_answer(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")


def test_trailers_neither_frame_nor_route_nor_forge() -> None:
    block = b"X-Sum: 1\r\nHost: b\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\nSteady-Error: x\r\nx_y: z\r\n"
    assert forwardable_trailers(block) == b"X-Sum: 1\r\n"
