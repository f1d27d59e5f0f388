"""Request heads: strict in, one framing out, nothing forged, and a cache that forgets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.proxy.fields import CHUNKED
from steadyd.proxy.head import (
    CACHE_BYTES_MAX,
    CACHE_ENTRIES_MAX,
    CACHED_BLOCK_BYTES_MAX,
    HeadCache,
    read_block,
    read_line,
    settle,
)
from steadyd.proxy.limits import Limits

LIMITS = Limits()
HOST = b"Host: a.localhost\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
SOCKET = HOST + b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" + KEY

SMUGGLING_BLOCKS = [
    b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    b"Content-Length: 4\r\nContent-Length: 4\r\n",
    b"Content-Length: 4\r\nContent-Length: 5\r\n",
    b"Content-Length: 4,4\r\n",
    b"Content-Length: +4\r\n",
    b"Content-Length: -4\r\n",
    b"Content-Length: 4 4\r\n",
    b"Content-Length: 0x4\r\n",
    b"Content-Length: \r\n",
    b"Content-Length: 99999999999999999999999\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: \x0bchunked\r\n",
    b'Transfer-Encoding: "chunked"\r\n',
    b"Transfer-Encoding: chunked;q=1\r\n",
    b"Transfer-Encoding:\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding\t: chunked\r\n",
    b" Transfer-Encoding: chunked\r\n",
    b"Content-Length : 4\r\n",
    b"X: y\nTransfer-Encoding: chunked\r\n",
    b"X: y\r\n Transfer-Encoding: chunked\r\n",
    b"X: y\rTransfer-Encoding: chunked\r\n",
    b"X: y\x00\r\n",
    b"X\x00: y\r\n",
    b"X: \x7f\r\n",
    b"no-colon\r\n",
    b": y\r\n",
]


def code_of(block: bytes, limits: Limits = LIMITS) -> tuple[str, int]:
    with pytest.raises(SteadyError) as caught:
        read_block(block, limits)
    return caught.value.code, caught.value.status


@pytest.mark.parametrize("block", SMUGGLING_BLOCKS)
def test_what_two_readers_could_frame_differently_is_400(block: bytes) -> None:
    assert code_of(HOST + block) == ("bad_request", 400)


def test_two_hosts_are_400() -> None:
    assert code_of(HOST + HOST) == ("bad_host", 400)
    assert code_of(b"Host: a, b\r\n") == ("bad_host", 400)


def test_the_limits_on_bytes_and_count() -> None:
    fits = HOST + b"X: " + b"y" * (LIMITS.header_bytes_max - len(HOST) - 5) + b"\r\n"
    assert len(fits) == LIMITS.header_bytes_max
    assert read_block(fits, LIMITS).host == "a.localhost"
    assert code_of(fits + b"Y: z\r\n") == ("headers_too_large", 431)
    many = HOST + b"X: y\r\n" * (LIMITS.header_count_max - 1)
    assert read_block(many, LIMITS).host
    assert code_of(many + b"X: y\r\n") == ("headers_too_large", 431)
    off = Limits(header_bytes_max=0, header_count_max=0)
    assert read_block(HOST + b"X: yyyyyyyyyyyyyyyyyyyyyy\r\n" * 4_000, off).host == "a.localhost"


def test_forged_and_hop_by_hop_headers_do_not_pass() -> None:
    dropped = (
        b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\n"
        b"Forwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nSteady-Request-Id: forged\r\nsteady-user: operator\r\n"
        b"X_Forwarded_For: 6.6.6.6\r\nmy_header: x\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\n"
        b"Proxy-Authorization: x\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
        b"Connection: X-Hop, Upgrade, HTTP2-Settings, Host, Content-Length\r\nX-Hop: 1\r\nx-hop: 2\r\n"
    )
    head = read_block(b"Host: A.localhost:80\r\nCookie: c=d\r\n" + dropped + b"Content-Length: 007\r\n", LIMITS)
    assert head.block == (
        b"Host: A.localhost:80\r\nX-Forwarded-Host: A.localhost:80\r\nCookie: c=d\r\nContent-Length: 7\r\n"
    )


def test_what_passes_keeps_its_name_value_and_order() -> None:
    head = read_block(b"b-Header:  x  y \r\nA-header: \xe9\r\n" + HOST + b"A-Header: z\r\n", LIMITS)
    assert head.block.endswith(b"b-Header: x  y\r\nA-header: \xe9\r\nA-Header: z\r\n")


def test_framing_expectation_and_trailers() -> None:
    chunked = read_block(HOST + b"Transfer-Encoding: Chunked\r\nExpect: 100-Continue\r\nTE: trailers\r\n", LIMITS)
    assert chunked.length == CHUNKED
    assert chunked.expects_continue
    assert chunked.block.endswith(
        b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\nConnection: TE\r\nTE: trailers\r\n"
    )
    assert not read_block(HOST + b"Expect: something-else\r\n", LIMITS).expects_continue


@pytest.mark.parametrize(
    ("block", "valid"),
    [
        (SOCKET, True),
        (SOCKET.replace(b": websocket", b": WebSocket"), True),
        (SOCKET.replace(b": 13", b": 8"), False),
        (SOCKET.replace(KEY, b""), False),
        (SOCKET + KEY, False),
        (SOCKET.replace(b"dGhl", b"dG l"), False),
        (SOCKET.replace(b", Upgrade", b""), False),
        (SOCKET.replace(b": websocket", b": h2c"), False),
        (SOCKET.replace(b": websocket", b": websocket, h2c"), False),
        (SOCKET + b"Content-Length: 5\r\n", False),
    ],
)
def test_only_a_valid_websocket_request_may_upgrade(block: bytes, valid: bool) -> None:
    head = read_block(block, LIMITS)
    assert (head.websocket_key is not None) == valid
    assert b"Upgrade:" not in head.block


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"CONNECT a:80 HTTP/1.1\r\n", "method_not_allowed"),
        (b"TRACE / HTTP/1.1\r\n", "method_not_allowed"),
        (b"BREW / HTTP/1.1\r\n", "not_implemented"),
        (b"get / HTTP/1.1\r\n", "not_implemented"),
        (b"GET / HTTP/1.2\r\n", "bad_request"),
        (b"GET / HTTP/2.0\r\n", "bad_request"),
        (b"PRI * HTTP/2.0\r\n", "bad_request"),
        (b"GET / HTTP/11\r\n", "bad_request"),
        (b"GET / http/1.1\r\n", "bad_request"),
        (b"GET  / HTTP/1.1\r\n", "bad_request"),
        (b"GET /  HTTP/1.1\r\n", "bad_request"),
        (b"GET / HTTP/1.1 \r\n", "bad_request"),
        (b"GET\t/ HTTP/1.1\r\n", "bad_request"),
        (b" GET / HTTP/1.1\r\n", "bad_request"),
        (b"GET /\r\n", "bad_request"),
        (b"GET /a b HTTP/1.1\r\n", "bad_request"),
        (b"GET /a#b HTTP/1.1\r\n", "bad_request"),
        (b"GET /\x00 HTTP/1.1\r\n", "bad_request"),
        (b"GET /\x7f HTTP/1.1\r\n", "bad_request"),
        (b"G(T / HTTP/1.1\r\n", "bad_request"),
        (b"GET / HTTP/1.1\n", "bad_request"),
        (b"GET /" + b"a" * LIMITS.url_bytes_max + b" HTTP/1.1\r\n", "uri_too_long"),
    ],
)
def test_a_bad_request_line_has_its_code(line: bytes, code: str) -> None:
    with pytest.raises(SteadyError) as caught:
        read_line(line, LIMITS)
    assert caught.value.code == code


def test_paths_pass_untouched() -> None:
    for path in (b"//", b"/./../x", b"/..;/", b"/%2e%2e/%00%2f", b"/\\", b"/\xff\xfe", b"/a?b=c&d|{}"):
        line = read_line(b"GET " + path + b" HTTP/1.1\r\n", LIMITS)
        assert settle(line, read_block(HOST, LIMITS)) == ("a.localhost", path)
    longest = b"/" + b"a" * (LIMITS.url_bytes_max - 1)
    assert read_line(b"GET " + longest + b" HTTP/1.1\r\n", LIMITS)[1] == longest


@pytest.mark.parametrize(
    ("line", "block", "code"),
    [
        ((b"GET", b"/", b"1"), b"", "bad_host"),
        ((b"GET", b"/", b"0"), b"", "bad_host"),
        ((b"OPTIONS", b"*", b"1"), HOST, "bad_request"),
        ((b"GET", b"a.localhost", b"1"), HOST, "bad_request"),
        ((b"GET", b"http://b.localhost/", b"1"), HOST, "bad_host"),
        ((b"GET", b"http://a.localhost/", b"1"), b"", "bad_host"),
        ((b"POST", b"/", b"0"), HOST + b"Transfer-Encoding: chunked\r\n", "bad_request"),
    ],
)
def test_an_unclear_request_is_refused(line: tuple[bytes, bytes, bytes], block: bytes, code: str) -> None:
    with pytest.raises(SteadyError) as caught:
        settle(line, read_block(block, LIMITS))
    assert caught.value.code == code


def test_an_absolute_target_loses_its_host() -> None:
    line = (b"GET", b"http://A.localhost:99/x", b"1")
    assert settle(line, read_block(HOST, LIMITS)) == ("a.localhost", b"/x")
    assert settle((b"GET", b"http://a.localhost/x", b"0"), read_block(b"", LIMITS)) == ("a.localhost", b"/x")


FRAMING_LINES = [
    b"Content-Length: 3\r\n",
    b"Content-Length: 30\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding: CHUNKED\r\n",
    b"content_length: 9\r\n",
    b"X: y\r\n",
]


@given(st.lists(st.sampled_from(FRAMING_LINES), max_size=4))
def test_never_two_framings(lines: list[bytes]) -> None:
    framings = [line for line in lines if line[:1] in b"CTt"]
    block = HOST + b"".join(lines)
    if len(framings) > 1:
        assert code_of(block)[1] == 400
        return
    sent = read_block(block, LIMITS).block
    assert sent.lower().count(b"content-length") + sent.lower().count(b"transfer-encoding") == len(framings)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_a_steady_error(junk: bytes) -> None:
    for block in (junk, HOST + junk, HOST + b"X: " + junk + b"\r\n"):
        try:
            head = read_block(block, LIMITS)
        except SteadyError:
            continue
        assert b"\n" not in head.block.replace(b"\r\n", b"")


def request(block: bytes, path: bytes = b"/") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + block


def test_a_repeated_request_and_a_repeated_block_are_found_again() -> None:
    cache = HeadCache(LIMITS)
    first = cache.read(request(HOST))
    assert cache.read(request(HOST)) is first
    other = cache.read(request(HOST, b"/other"))
    assert other is not first
    assert other.head is first.head
    assert (other.host, other.target, other.method, other.plain) == ("a.localhost", b"/other", b"GET", True)
    assert other.opening == b"GET /other HTTP/1.1\r\n" + other.head.block


@pytest.mark.parametrize(
    ("line", "block", "repeatable"),
    [
        (b"GET / HTTP/1.1", b"Accept: */*\r\nUser-Agent: x\r\n", True),
        (b"HEAD /a%20b HTTP/1.1", b"", True),
        (b"GET /?token=1 HTTP/1.1", b"", False),
        (b"POST / HTTP/1.1", b"", False),
        (b"GET / HTTP/1.1", b"Content-Length: 1\r\n", False),
        (b"GET / HTTP/1.1", b"Cookie: a=b\r\n", False),
        (b"GET / HTTP/1.1", b"Authorization: Bearer x\r\n", False),
        (b"GET / HTTP/1.1", b"X-Api-Key: x\r\n", False),
        (b"GET / HTTP/1.1", b"x-session-id: x\r\n", False),
        (
            b"GET / HTTP/1.1",
            b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
            False,
        ),
    ],
)
def test_what_anybody_may_ask_again(line: bytes, block: bytes, repeatable: bool) -> None:
    assert HeadCache(LIMITS).read(line + b"\r\nHost: x\r\n" + block).repeatable is repeatable


def test_the_cache_is_bounded_in_entries_and_bytes() -> None:
    cache = HeadCache(LIMITS)
    for number in range(2 * CACHE_ENTRIES_MAX):
        cache.read(request(HOST, b"/%d" % number))
        assert len(cache) <= CACHE_ENTRIES_MAX
    for number in range(CACHE_ENTRIES_MAX + 5):
        cache.read(request(HOST + b"X: %d\r\n" % number))
        assert len(cache) <= CACHE_ENTRIES_MAX
    filler = b"y" * (CACHED_BLOCK_BYTES_MAX - 100)
    for number in range(CACHE_BYTES_MAX // len(filler) + 5):
        cache.read(request(HOST + b"X: %d\r\nY: %b\r\n" % (number, filler)))
        assert cache.bytes_held <= CACHE_BYTES_MAX
    before = len(cache)
    cache.read(request(HOST + b"Y: " + b"y" * CACHED_BLOCK_BYTES_MAX + b"\r\n"))
    assert len(cache) == before


def test_a_refused_request_is_not_remembered() -> None:
    cache = HeadCache(LIMITS)
    for _ in range(2):
        with pytest.raises(SteadyError):
            cache.read(request(HOST + b"Content-Length: x\r\n"))
        with pytest.raises(SteadyError):
            cache.read(b"TRACE / HTTP/1.1\r\nHost: a\r\n")
        with pytest.raises(SteadyError):
            cache.read(request(b""))
    assert len(cache) <= 1  # the empty block itself is fine
