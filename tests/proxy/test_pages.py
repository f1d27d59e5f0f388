"""Platform answers: HTML for browsers, JSON for programs, everything escaped."""

from __future__ import annotations

import json

from steadyd.errors import STATUS, SteadyError
from steadyd.proxy.pages import OWNERS_BUSINESS, TITLES, Links, error_page, redirect

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


def test_an_owner_is_led_to_the_apps_page_and_nobody_is_told_more() -> None:
    page = 'http://localhost:8080/apps/hello"#death'
    body = error_page(SteadyError("app_died", "It stopped."), True, b"rid", Links(page))[1]
    assert b'If this is your app, <a href="http://localhost:8080/apps/hello&quot;#death" rel="noreferrer">see' in body
    for code, wants_html, url in (("gate_full", True, page), ("app_died", True, ""), ("app_died", False, page)):
        assert b"your app" not in error_page(SteadyError(code, "No."), wants_html, b"rid", Links(url))[1]


def test_the_abuse_contact_is_named_where_there_is_one() -> None:
    error = SteadyError("suspended", "The operator suspended this app.")
    named = error_page(error, True, b"rid", Links("", f"a{NASTY}@b.c", 'mailto:"a@b.c'))[1]
    assert b'report abuse: <a href="mailto:&quot;a@b.c" rel="noreferrer">a&lt;script&gt;' in named
    for body in (error_page(error, True, b"rid")[1], error_page(error, False, b"rid", Links("", "a@b.c", "x"))[1]):
        assert b"abuse" not in body


def test_the_code_leads_to_its_entry_where_there_is_a_page_of_errors() -> None:
    error = SteadyError("held", "The owner stopped it.")
    page = error_page(error, True, b"rid", Links(errors="http://localhost:8080/errors"))[1]
    assert b'<a href="http://localhost:8080/errors#held" rel="noreferrer">held</a>' in page
    assert b"<a" not in error_page(error, True, b"rid")[1]


def test_every_title_belongs_to_a_code() -> None:
    assert TITLES.keys() | OWNERS_BUSINESS <= STATUS.keys()


def test_a_refused_method_names_those_that_are_served() -> None:
    answer, _ = error_page(SteadyError("method_not_allowed", "x"), False, b"rid")
    assert b"Allow: GET" in answer.plain


def test_a_redirect() -> None:
    answer, body = redirect(302, b"http://localhost:1/x", b"rid")
    assert body == b""
    assert b"Location: http://localhost:1/x\r\n" in answer.plain
    assert b"Cache-Control: no-store\r\n" in answer.plain
