"""How answers leave: JSON with a newline, error codes in a header, pages for browsers."""

from __future__ import annotations

import json

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from steadyd.errors import SteadyError
from steadyd.web.answers import encode_error, error_answer, from_http_exception, json_answer, wants_html
from steadyd.web.host import Health


def request(path: str, accept: str = "*/*") -> Request:
    headers = [(b"accept", accept.encode())]
    return Request({"type": "http", "method": "GET", "path": path, "headers": headers, "query_string": b""})


def test_json_ends_with_a_newline_and_is_not_kept() -> None:
    answer = json_answer(Health(status="ok"))
    assert bytes(answer.body) == b'{"status":"ok"}\n'
    assert answer.headers["cache-control"] == "no-store"


def test_a_name_that_is_no_text_loses_what_makes_it_so() -> None:
    assert bytes(json_answer({"path": "\udcffä\n"}).body) == '{"path": "?ä\\n"}\n'.encode()


def test_an_error_says_its_code_twice() -> None:
    answer = error_answer(request("/x"), SteadyError("rate_limited", "Slow down.", {"limit": 60}, retry_after=7))
    assert (answer.status_code, answer.headers["steady-error"], answer.headers["retry-after"]) == (
        429,
        "rate_limited",
        "7",
    )
    assert json.loads(bytes(answer.body)) == {
        "error": {"code": "rate_limited", "message": "Slow down.", "details": {"limit": 60}}
    }
    assert error_answer(request("/x"), SteadyError("unauthorized", "Who?")).headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("path", "accept", "html"),
    [
        ("/x", "text/html,application/xhtml+xml", True), ("/x", "*/*", False), ("/x", "application/json", False),
        ("/api/x", "text/html", False), ("/api", "text/html", False), ("/apiary", "text/html", True),
    ],
)  # fmt: skip
def test_a_page_only_for_who_asks_for_one(path: str, accept: str, html: bool) -> None:
    assert wants_html(request(path, accept)) is html
    answer = error_answer(request(path, accept), SteadyError("not_found", "<No>."))
    assert answer.headers["content-type"].startswith("text/html" if html else "application/json")
    if html:
        assert b"&lt;No&gt;." in bytes(answer.body)


def test_every_error_can_be_shown_as_a_page() -> None:
    for code in ("internal", "cross_site", "deploy_failed", "not_found", "disk_full"):
        assert error_answer(request("/x", "text/html"), SteadyError(code, "No.")).status_code >= 400


@pytest.mark.parametrize("odd", ["\ud800", object(), {1: 2}, b"\xff", float("nan")])
def test_details_that_json_cannot_hold_do_not_break_the_answer(odd: object) -> None:
    encoded = json.loads(encode_error(SteadyError("invalid", "Bad \ud800.", {"it": odd})))
    assert encoded["error"]["code"] == "invalid"


def test_the_routers_words_become_ours() -> None:
    assert from_http_exception(HTTPException(404)).code == "not_found"
    assert from_http_exception(HTTPException(400, "why")).code == "bad_request"
    refused = from_http_exception(HTTPException(405, headers={"Allow": "POST, GET"}))
    assert (refused.code, refused.details["allow"]) == ("method_not_allowed", "GET, POST")
