"""An app is a hostile upstream: what of its head we take, and what we make of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.proxy.answer import CACHE_ENTRIES_MAX, AnswerCache, BadAnswer, make_answer, read_answer
from steadyd.proxy.fields import CHUNKED, UNTIL_CLOSE
from steadyd.proxy.limits import ANSWER_HEADER_COUNT_MAX

OK = b"HTTP/1.1 200 OK\r\n"
HOSTILE_HEADS = [
    b"hello\r\n\r\n",
    b"HTTP/0.9 200 OK\r\n\r\n",
    b"HTTP/2.0 200 OK\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 099 OK\r\n\r\n",
    b"HTTP/1.1 999 OK\r\n\r\n",
    b"HTTP/1.1  200 OK\r\n\r\n",
    b"HTTP/1.1 200 O\x00K\r\n\r\n",
    OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
    OK + b"Content-Length: 5, 5\r\n\r\n",
    OK + b"Content-Length: -5\r\n\r\n",
    OK + b"Content-Length: 0x5\r\n\r\n",
    OK + b"Content-Length: 5x\r\n\r\n",
    OK + b"Content-Length:\r\n\r\n",
    OK + b"Content-Length: 99999999999999999999\r\n\r\n",
    OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    OK + b"Transfer-Encoding: identity\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    OK + b"A: b\nC: d\r\n\r\n",
    OK + b"A: b\r\n c\r\n\r\n",
    OK + b"A : b\r\n\r\n",
    OK + b"A: \x00\r\n\r\n",
    OK + b"no colon\r\n\r\n",
    OK + b"A: b\r\n" * (ANSWER_HEADER_COUNT_MAX + 1) + b"\r\n",
]


@pytest.mark.parametrize("head", HOSTILE_HEADS)
def test_a_hostile_head_is_refused(head: bytes) -> None:
    with pytest.raises(BadAnswer):
        read_answer(head)


def test_the_usual_answer_passes_to_the_byte_but_for_hop_by_hop_and_steady_headers() -> None:
    head = read_answer(
        OK
        + b"content-type: text/html\r\nX-Own: a  b\r\nConnection: keep-alive, X-Secret\r\nKeep-Alive: timeout=5\r\n"
        + b"X-Secret: s\r\nSteady-Error: forged\r\nsteady-anything: forged\r\nUpgrade: h2c\r\n"
        + b"Content-Length: 12\r\n\r\n"
    )
    assert head.plain == OK + b"content-type: text/html\r\nX-Own: a  b\r\nContent-Length: 12\r\n\r\n"
    assert (head.status, head.length, head.reusable) == (200, 12, True)


def test_the_control_plane_may_say_steady_things() -> None:
    head = OK + b"Steady-Error: held\r\nSet-Cookie: a=b; Domain=localhost\r\nContent-Length: 0\r\n\r\n"
    trusted = read_answer(head, trusted=True)
    assert b"Steady-Error: held" in trusted.plain
    assert not trusted.wide_cookies
    assert b"Steady-Error" not in read_answer(head).plain


@pytest.mark.parametrize(
    ("head", "length", "reusable", "plain_end"),
    [
        (OK + b"Transfer-Encoding: Chunked\r\n\r\n", CHUNKED, True, b"Transfer-Encoding: chunked\r\n\r\n"),
        (OK + b"\r\n", UNTIL_CLOSE, False, b"Transfer-Encoding: chunked\r\n\r\n"),
        (b"HTTP/1.0 200 OK\r\n\r\n", UNTIL_CLOSE, False, b"Transfer-Encoding: chunked\r\n\r\n"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", 3, False, b"Content-Length: 3\r\n\r\n"),
        (
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n",
            3,
            True,
            b"Content-Length: 3\r\n\r\n",
        ),
        (OK + b"Connection: close\r\nContent-Length: 3\r\n\r\n", 3, False, b"Content-Length: 3\r\n\r\n"),
        (b"HTTP/1.1 204\r\n\r\n", UNTIL_CLOSE, True, b"HTTP/1.1 204 \r\n\r\n"),
        (b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", 0, True, b"HTTP/1.1 204 No\r\n\r\n"),
        (b"HTTP/1.1 304 NM\r\nContent-Length: 9\r\n\r\n", 9, True, b"HTTP/1.1 304 NM\r\nContent-Length: 9\r\n\r\n"),
        (b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n", UNTIL_CLOSE, True, b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n"),
    ],
)
def test_one_framing_which_we_write(head: bytes, length: int, reusable: bool, plain_end: bytes) -> None:
    answer = read_answer(head)
    assert (answer.length, answer.reusable) == (length, reusable)
    assert answer.plain.endswith(plain_end)


@given(st.lists(st.sampled_from([b"Content-Length: 4", b"Transfer-Encoding: chunked", b"Content-Length: 5", b"A: b"])))
def test_never_two_framings(lines: list[bytes]) -> None:
    framings = [line for line in lines if not line.startswith(b"A")]
    head = OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    if len(framings) > 1:
        with pytest.raises(BadAnswer):
            read_answer(head)
    else:
        plain = read_answer(head).plain
        assert plain.count(b"Content-Length") + plain.count(b"Transfer-Encoding") == 1


@pytest.mark.parametrize(
    ("cookie", "narrowed"),
    [
        (b"a=b; Domain=localhost", b"a=b"),
        (b"a=b; domain=.LOCALHOST; Path=/", b"a=b; Path=/"),
        (b"a=b;Domain = localhost ;Secure", b"a=b;Secure"),
        (b"a=b; Domain=localhost.", b"a=b"),
        (b'a=b; Domain="localhost"', b"a=b"),
        (b"a=b; Domain=%6cocalhost", b"a=b"),
        (b"a=b; Domain=app.localhost; Domain=localhost", b"a=b"),
        (b"a=b; Domain=app.localhost", b"a=b; Domain=app.localhost"),
        (b"a=b; Domain=elsewhere.example", b"a=b; Domain=elsewhere.example"),
        (b"a=b; Domain=", b"a=b; Domain="),
        (b"domain=localhost; Path=/", b"domain=localhost; Path=/"),
        (b"a=b; Path=/domain", b"a=b; Path=/domain"),
    ],
)
def test_a_cookie_for_more_than_the_apps_host_becomes_host_only(cookie: bytes, narrowed: bytes) -> None:
    answer = read_answer(OK + b"Set-Cookie: " + cookie + b"\r\nX: y\r\nContent-Length: 1\r\n\r\n")
    assert answer.wide_cookies
    copy = answer.narrowed("app.localhost")
    assert (copy or answer).plain == OK + b"Set-Cookie: " + narrowed + b"\r\nX: y\r\nContent-Length: 1\r\n\r\n"
    assert (copy is None) == (cookie == narrowed)


def test_the_cache_is_bounded_and_never_holds_a_cookie_that_depends_on_the_host() -> None:
    cache = AnswerCache(trusted=False)
    head = OK + b"Content-Length: 1\r\n\r\n"
    assert cache.read(head) is cache.read(head)
    for number in range(CACHE_ENTRIES_MAX + 10):
        cache.read(OK + b"X: %d\r\nContent-Length: 1\r\n\r\n" % number)
    assert len(cache) <= CACHE_ENTRIES_MAX
    before = len(cache)
    cache.read(OK + b"Set-Cookie: a=b; Domain=localhost\r\nContent-Length: 1\r\n\r\n")
    cache.read(OK + b"X: " + b"y" * 3000 + b"\r\nContent-Length: 1\r\n\r\n")
    assert len(cache) == before


def test_an_answer_of_our_own() -> None:
    assert make_answer(404, [(b"A", b"b")], 3).plain == b"HTTP/1.1 404 Not Found\r\nA: b\r\nContent-Length: 3\r\n\r\n"
