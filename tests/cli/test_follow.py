"""`logs` and `requests`."""

from __future__ import annotations

import json

from steadyd.cli.follow import log_line, request_line
from tests.cli.conftest import Api, Steadyd

EVIL = "\x1b]52;c;aGk=\x07 \x1b[2J\rfake steadyd line\x9b31m"
LINES = [
    {"at": "2026-01-01T00:00:00Z", "source": "app", "text": EVIL},
    {"at": "2026-01-01T00:00:01Z", "source": "steadyd", "text": "Started."},
]
REQUEST = {"at": 0, "method": "GET", "path": "/a\x1b", "status": 503, "total_us": 31_200, "error": "held"}


def test_no_control_character_of_an_app_reaches_the_terminal(api: Api, steadyd: Steadyd) -> None:
    api.answers["GET /api/apps/hello/logs?tail=100"] = (200, LINES)
    result = steadyd("logs", "hello", "--server", api.url)
    assert result.exit_code == 0
    assert not any(c in result.stdout for c in "\x1b\r\x07\x9b")
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["app", "steadyd"]
    as_json = steadyd("logs", "hello", "--server", api.url, "--json").stdout
    assert not any(c in as_json for c in "\x1b\r\x07\x9b")
    assert [json.loads(line) for line in as_json.splitlines()] == LINES


def test_raw_is_the_apps_text_and_nothing_else(api: Api, steadyd: Steadyd) -> None:
    api.answers["GET /api/apps/hello/logs?tail=1"] = (200, LINES[:1])
    result = steadyd("logs", "hello", "--tail", "1", "--raw", "--server", api.url)
    assert result.stdout_bytes == EVIL.encode() + b"\n"


def test_a_followed_stream_that_ends_is_a_failure(api: Api, steadyd: Steadyd) -> None:
    api.answers["GET /api/apps/hello/logs?tail=100&follow=1"] = (200, LINES)
    result = steadyd("logs", "hello", "-f", "--server", api.url)
    assert (result.exit_code, len(result.stdout.splitlines())) == (1, 2)
    assert "ended the stream" in result.stderr


def test_requests(api: Api, steadyd: Steadyd) -> None:
    api.answers["GET /api/apps/hello/requests?tail=5"] = (200, [REQUEST])
    result = steadyd("requests", "hello", "--tail", "5", "--server", api.url)
    assert result.stdout.split()[1:] == ["GET", "503", "31", "ms", "/a\\x1b", "held"]
    assert json.loads(steadyd("requests", "hello", "--tail", "5", "--server", api.url, "--json").stdout) == REQUEST


def test_items_that_lack_something_are_shown_all_the_same() -> None:
    assert log_line({}) == " app     "
    assert request_line({"ms": 3}).split() == ["3.0", "ms"]
