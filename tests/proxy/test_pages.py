"""Platform answers: HTML for browsers, JSON for programs, everything escaped."""

from __future__ import annotations

import json

from steadyd.errors import STATUS, SteadyError
from steadyd.proxy.pages import TITLES, error_page, redirect

NASTY = '<script>alert(1)</script> & "quotes" {braces}'


def test_json_for_programs() -> None:
    error = SteadyError("gate_full", "Too many.", {"waiters": 3}, retry_after=2)
    answer, body = error_page(error, False, b"rid")
    assert answer.status == 503
    assert json.loads(body) == {"error": {"code": "gate_full", "message": "Too many.", "details": {"waiters": 3}}}
    assert body.endswith(b"\n")
    for line in (
        b"Content-Type: application/json",
        b"Steady-Error: gate_full",
        b"Steady-Request-Id: rid",
        b"Retry-After: 2",
        b"Cache-Control: no-store",
        b"Content-Length: %d" % len(body),
    ):
        assert line + b"\r\n" in answer.plain


def test_html_for_browsers_with_everything_escaped() -> None:
    answer, body = error_page(SteadyError("app_died", NASTY), True, b"rid")
    assert b"text/html; charset=utf-8" in answer.plain
    assert b"<script>" not in body
    assert b"&lt;script&gt;" in body
    assert b"app_died" in body
    assert b"rid" in body
    assert b"http://" not in body  # self-contained
    assert b"prefers-color-scheme:dark" in body


def test_every_title_belongs_to_a_code() -> None:
    assert TITLES.keys() <= STATUS.keys()


def test_a_refused_method_names_those_that_are_served() -> None:
    answer, _ = error_page(SteadyError("method_not_allowed", "x"), False, b"rid")
    assert b"Allow: GET" in answer.plain


def test_a_redirect() -> None:
    answer, body = redirect(b"http://localhost:1/x", b"rid")
    assert body == b""
    assert b"Location: http://localhost:1/x\r\n" in answer.plain
