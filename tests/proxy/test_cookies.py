from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.proxy.cookies import authority, only_ours

LINE = b"GET / HTTP/1.1\r\nHost: localhost:8080\r\n"


@pytest.mark.parametrize(
    ("cookies", "kept"),
    [
        (b"Cookie: a=1; b=2\r\n", b""),
        (b"Cookie: a=1; steady-session-8080=x; b=2\r\n", b"Cookie: steady-session-8080=x\r\n"),
        (b"cookie:__Host-steady-session=x;a=1\r\n", b"Cookie:__Host-steady-session=x\r\n"),
        (b"Cookie: a=steady-session=x; steadyd=1\r\nX: y\r\n", b"X: y\r\n"),
        (b"Cookie: a=1\r\nCookie: b=2\r\nX: y\r\n", b"X: y\r\n"),
        (b"X-Cookie: a=1\r\n", b"X-Cookie: a=1\r\n"),
        (b"Cookie: a=1\n; b=2\r\n", b"Cookie: a=1\n; b=2\r\n"),
        (b"Cookie: a=1; b\0=2\r\n", b"Cookie: a=1; b\0=2\r\n"),
    ],
)
def test_what_is_ours_stays_and_what_is_malformed_too(cookies: bytes, kept: bytes) -> None:
    assert only_ours(LINE + cookies) == LINE + kept


def test_of_a_part_the_last_cookie_stays_because_more_of_it_may_come() -> None:
    assert only_ours(LINE + b"Cookie: a=1; b=2; steady-vis") == LINE + b"Cookie: steady-vis"
    assert only_ours(LINE + b"Cookie: a=1\r") == LINE + b"Cookie: a=1\r"


@given(st.lists(st.integers(1, 200), max_size=6))
def test_however_it_comes_in_the_same_is_left(cuts: list[int]) -> None:
    whole = LINE + b"Cookie: a=1; steady-session-1=x; b=2; __Host-steady-visitor-1=y\r\nAccept: */*\r\n"
    held = b""
    places = sorted({0, *(cut for cut in cuts if cut < len(whole)), len(whole)})
    for begin, end in itertools.pairwise(places):
        held = only_ours(held + whole[begin:end])
    names = [cookie.partition(b"=")[0].strip() for cookie in held.split(b"Cookie:")[1].split(b"\r\n")[0].split(b";")]
    assert names == [b"steady-session-1", b"__Host-steady-visitor-1"]
    assert held.endswith(b"Accept: */*\r\n")


def test_the_host_that_a_head_names() -> None:
    assert authority(LINE) == b"localhost:8080"
    assert authority(b"GET / HTTP/1.1\r\nX: host: a\r\nhost:\tb \r\n") == b"b"
    assert authority(b"GET / HTTP/1.1\r\n") == authority(b"GET / HTTP/1.1\r\nHost: loc") == b""
