"""Thousands of ways to ask wrongly, through the front door of a real daemon: always a clear answer, never a 5xx.

Paths come from openapi.json, so a new call is asked oddly from its first day. The seed is in the message of a failure.
"""

from __future__ import annotations

import random
import time
from typing import Any

import httpx
import pytest

from tests.served import Daemon

REQUESTS_PER_CALL = 12
SECONDS_MAX = 5.0
STRAYED = {"not_found", "method_not_allowed", "bad_request", "uri_too_long"}
"""Answers to a path so odd that it leads to another call, or to none."""
HELLO = "export default { fetch: () => new Response('hello') }\n"
NAMES = [
    *["odd"] * 8,
    "x",
    "%00",
    "%ff%fe",
    "..",
    "%2e%2e",
    "a" * 3_000,
    "é",
    "'%22<>",
    "%ed%a0%80",
    "ODD",
    "a%2Fb",
    "%20",
]
NUMBERS = ["1", "%00", "-1", "9" * 30, "x"]
PATHS = ["index.ts", "%00", "../x", "a%2fb", "é"]
QUERIES = [
    "", "", "?follow=0&tail=5", "?tail=-5", "?since=%00", "?q=%ff", "?purge=x", "?name=%00", "?domain=%ff.localhost",
    "?deleted=2", "?tail=1e9", "?since=-inf", "?" + "a=b&" * 500,
]  # fmt: skip
TYPES = [
    "application/json", "text/plain", "application/gzip", "application/zip", "multipart/form-data; boundary=b",
    "application/x-www-form-urlencoded", "multipart/form-data; boundary=", "", ";;;",
    "application/json; charset=utf-16",
]  # fmt: skip
BODIES = [
    b"", b"{}", b"[]", b"null", b"\xff", b"0" * 10, b'{"version":1e400}', b'{"version":99999999999999999999999}',
    b'{"files":{"\\ud800":"x"}}', b'{"files":{"a":{"base64":"!!"}}}', b'{"hold":[]}', b'{"merge":true,"files":{}}',
    b'{"merge":true,"files":{"nope":null}}', b'{"files":{"index.ts":"x"},"base_version":-1}', b"[" * 50_000,
    b"\x1f\x8b" + bytes(50), b"PK\x03\x04" + bytes(40), b"PK\x05\x06" + bytes(18), b"a=b&c=d",
    bytes(70_000),
]  # fmt: skip
ACCEPTS = ["*/*", "text/html", "application/json", "text/event-stream", "application/x-ndjson", ""]


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 12))])
def test_every_odd_request_gets_a_clear_answer(daemon: Daemon, seed: int) -> None:
    chance = random.Random(seed)
    calls = httpx.get(f"{daemon.url}/api/openapi.json").json()["paths"]
    with httpx.Client(base_url=daemon.url, timeout=30) as client:
        for path in calls:
            for method in calls[path]:
                if daemon.api("GET", "/apps/odd").json().get("app", {}).get("state") not in ("running", "frozen"):
                    daemon.api("DELETE", "/apps/odd?purge=1")
                    daemon.create("odd", {"index.ts": HELLO})
                for _ in range(REQUESTS_PER_CALL):
                    ask(client, chance, method.upper(), path, calls[path][method]["responses"], daemon.token)


def ask(
    client: httpx.Client, chance: random.Random, method: str, path: str, responses: dict[str, Any], token: str
) -> None:
    """`responses` are those that openapi.json describes."""
    pick = chance.choice
    path = path.replace("{name}", pick(NAMES)).replace("{n}", pick(NUMBERS)).replace("{path}", pick(PATHS))
    headers = {"accept": pick(ACCEPTS), "content-type": pick(TYPES)}
    if chance.random() < 0.7:
        headers["authorization"] = f"Bearer {token}"
    headers = {name: value for name, value in headers.items() if value}
    content = pick(BODIES) if method != "GET" else b""
    began = time.monotonic()
    answer = client.request(method, path + pick(QUERIES), content=content, headers=headers)
    said = f"{method} {path} {headers} {content[:60]!r}: {answer.status_code} {answer.text[:300]}"
    code = answer.headers.get("steady-error", "")
    assert answer.status_code < 500 or code == "not_implemented", said
    assert (answer.status_code >= 400) == bool(code), said
    if code and code not in STRAYED:
        assert code in responses[str(answer.status_code)]["headers"]["Steady-Error"]["schema"]["enum"], said
    assert time.monotonic() - began < SECONDS_MAX, said
