"""What goes upstream, to the byte."""

from __future__ import annotations

from steadyd.proxy.fields import CHUNKED
from steadyd.proxy.head import Line, ParsedRequest, read_block
from steadyd.proxy.limits import Limits
from steadyd.proxy.sending import Sending

HOST = b"Host: a.localhost\r\n"
FORWARDED = b"X-Forwarded-For: ::1\r\n"


def sending(block: bytes, line: Line = (b"GET", b"/x", b"1"), pending: bytes = b"", ended: bool = True) -> Sending:
    request = Sending()
    request._request = ParsedRequest(line, read_block(block, Limits()))
    request._head = request._request.head
    request._pending, request._trailers, request.body_ended = pending, b"", ended
    request.request_id = b"rid"
    return request


def test_a_plain_request() -> None:
    assert sending(HOST).opening(FORWARDED) == (
        b"GET /x HTTP/1.1\r\nHost: a.localhost\r\nX-Forwarded-Host: a.localhost\r\n"
        b"X-Forwarded-For: ::1\r\nSteady-Request-Id: rid\r\n\r\n"
    )


def test_a_host_that_was_only_in_the_target_is_said() -> None:
    opening = sending(b"", (b"GET", b"http://a.localhost/x", b"0")).opening(FORWARDED)
    assert opening.startswith(b"GET /x HTTP/1.1\r\n")
    assert opening.count(b"Host: a.localhost\r\n") == 2  # Host and X-Forwarded-Host


def test_bodies_are_framed_by_us() -> None:
    chunked = sending(HOST + b"Transfer-Encoding: chunked\r\n", pending=b"abc", ended=False)
    assert chunked._head.length == CHUNKED
    assert chunked.opening(FORWARDED).endswith(b"\r\n\r\n3\r\nabc\r\n")
    assert chunked.framed(b"") == b""
    chunked.body_ended, chunked._trailers = True, b"A: b\r\n"
    assert chunked.framed(b"de") == b"2\r\nde\r\n0\r\nA: b\r\n\r\n"
    plain = sending(HOST + b"Content-Length: 5\r\n", pending=b"ab", ended=False)
    assert plain.opening(FORWARDED).endswith(b"\r\n\r\nab")
    assert plain.framed(b"cde") == b"cde"


def test_only_a_whole_idempotent_request_is_kept_to_be_sent_again() -> None:
    for method, ended, again in [
        (b"GET", True, True),
        (b"PUT", True, True),
        (b"PUT", False, False),
        (b"POST", True, False),
        (b"PATCH", True, False),
    ]:
        request = sending(HOST + b"Content-Length: 2\r\n", (method, b"/x", b"1"), b"ab", ended)
        request.opening(FORWARDED)
        assert request.may_send_again() == again
