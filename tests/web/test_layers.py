"""The cross-site rule, as a table; the headers on every answer; and that no failure escapes."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from steadyd.errors import SteadyError
from steadyd.web.layers import DRAIN_BYTES_MAX, HEADERS, Drain, Failures
from tests.web.conftest import CONTROL, HELLO, Stage, Web, code

APP = "http://evil.localhost:8080"
SITES: dict[str, tuple[dict[str, str], bool]] = {
    "a program": ({}, True),
    "our own page": ({"origin": CONTROL, "sec-fetch-site": "same-origin"}, True),
    "our own page, old browser": ({"origin": CONTROL}, True),
    "typed by the person": ({"sec-fetch-site": "none"}, True),
    "another site": ({"origin": "https://evil.example", "sec-fetch-site": "cross-site"}, False),
    "an app on a sibling subdomain": ({"origin": APP, "sec-fetch-site": "same-site"}, False),
    "a sibling without an origin": ({"sec-fetch-site": "same-site"}, False),
    "another site without an origin": ({"sec-fetch-site": "cross-site"}, False),
    "a sandboxed frame": ({"origin": "null"}, False),
    "another port": ({"origin": "http://localhost:9090", "sec-fetch-site": "same-site"}, False),
    "another scheme": ({"origin": "https://localhost:8080"}, False),
    "the address instead of the name": ({"origin": "http://127.0.0.1:8080"}, False),
    "an origin that begins like ours": ({"origin": f"{CONTROL}.evil.example"}, False),
    "no origin's words": ({"origin": ""}, False),
    "a site we do not know": ({"sec-fetch-site": "other"}, False),
}
FORMS = ("/apps", "/apps/mine/deploy", "/apps/mine/stop", "/apps/mine/delete", "/login", "/logout")
CALLS = (
    ("POST", "/api/apps?name=more"), ("PUT", "/api/apps/more"), ("PUT", "/api/apps/mine"), ("DELETE", "/api/apps/mine"),
    ("POST", "/api/apps/mine/deploys"), ("POST", "/api/apps/mine/rollback"), ("POST", "/api/apps/mine/stop"),
    ("POST", "/api/apps/mine/start"), ("POST", "/api/apps/mine/restart"), ("POST", "/api/apps/mine/undelete"),
    ("PATCH", "/api/apps/mine"), ("POST", "/api/nowhere"),
)  # fmt: skip


@pytest.mark.parametrize("cookie", [False, True])
@pytest.mark.parametrize("site", SITES)
def test_only_our_own_pages_and_programs_change_anything(web: Web, site: str, cookie: bool) -> None:
    """Every changing call × every kind of sender, with and without a session: 403 `cross_site` or not."""
    headers, allowed = SITES[site]

    async def body(stage: Stage) -> None:
        await stage.app("mine")
        secret = await stage.rooms.people.add_session(stage.operator, stage.rooms.now())
        sent = {**headers, **({"cookie": f"__Host-steady-session-8080={secret}"} if cookie else {})}
        async with stage.client(**sent) as client:
            for method, path in (*CALLS, *(("POST", path) for path in FORMS)):
                kind = {"content-type": "application/json"}
                answer = await client.request(method, path, content=b'{"files": {"x": ""}}', headers=kind)
                refused = answer.status_code == 403 and answer.headers["steady-error"] == "cross_site"
                if path not in FORMS:  # those also want a form token, which nothing here has
                    assert refused is not allowed, (method, path, answer.text)
                else:
                    assert refused or allowed, (method, path, answer.text)
            if not allowed:
                assert (await client.get("/api/apps")).status_code == 200
        app = await stage.rooms.apps.by_name("mine")
        assert app is not None
        if not allowed:
            assert (app.deleted_at, app.version, app.held) == (None, 1, False)
            assert len(await stage.rooms.apps.everything()) == 1

    web(body)


def test_a_bearer_token_exempts(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token, **SITES["another site"][0]) as client:
            assert (await client.put("/api/apps/hello", content=HELLO)).status_code == 201
        async with stage.client("nonsense", **SITES["another site"][0]) as client:
            assert code(await client.put("/api/apps/hello", content=HELLO)) == "unauthorized"

    web(body)


def test_no_other_origin_is_ever_let_in_by_cors(web: Web) -> None:
    """A preflight gets no permission, and no answer carries one."""

    async def body(stage: Stage) -> None:
        async with stage.client(origin=APP) as client:
            asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
            preflight = await client.options("/api/apps", headers=asked)
            plain = await client.get("/api/apps")
        for answer in (preflight, plain):
            assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert preflight.status_code == 405

    web(body)


def test_every_answer_carries_the_security_headers(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("mine")
        async with stage.client(stage.operator_token, accept="text/html") as client:
            for path in ("/", "/api/apps", "/nowhere", "/api/nowhere", "/healthz", "/apps/mine", "/static/steady.css"):
                answer = await client.get(path)
                for name, value in HEADERS.items():
                    # Of pages the policy allows two things more (tests/web/test_policy.py).
                    said = re.sub(r" 'nonce-[\w-]{16}'|; frame-src [^;]*", "", answer.headers[name])
                    assert said == value, path
            raw = await client.get("/api/apps/mine/versions/1/files/index.ts")
            assert "sandbox" in raw.headers["content-security-policy"]
            assert raw.headers["x-content-type-options"] == "nosniff"

    web(body)


def test_nothing_may_run_or_frame_what_is_not_ours() -> None:
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'self'" in policy


@pytest.mark.parametrize("failure", [ValueError("secret detail"), SteadyError("overloaded", "Busy.", retry_after=3)])
def test_what_escapes_becomes_an_answer(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise failure

    async def body() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(Failures(broken)), base_url=CONTROL) as client:
            return await client.get("/api/x", headers={"steady-request-id": "r1"})

    answer = asyncio.run(body())
    assert "secret" not in answer.text
    if isinstance(failure, SteadyError):
        assert (answer.status_code, code(answer), answer.headers["retry-after"]) == (503, "overloaded", "3")
    else:
        assert (answer.status_code, code(answer)) == (500, "internal")
        assert answer.json()["error"]["details"] == {"request_id": "r1"}
        assert "secret detail" in caplog.text


def test_a_failure_after_the_start_does_not_start_again() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError

    async def body() -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            raise AssertionError

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        await Failures(broken)(scope, receive, send)
        assert [message["type"] for message in sent] == ["http.response.start"]

    asyncio.run(body())


def refuse_unread(body: list[Message]) -> tuple[dict[str, str], list[Message]]:
    """An app that answers without reading; the answer's headers, and what was left of the body."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    sent: list[Message] = []

    async def receive() -> Message:
        if body:
            return body.pop(0)
        return await asyncio.Future()

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Drain(app)({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send))
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}, body


def part(size: int, more: bool) -> Message:
    return {"type": "http.request", "body": bytes(size), "more_body": more}


def test_a_refused_body_is_taken_before_the_answer() -> None:
    """Hypercorn would close the connection behind the data plane's back, and the next request on it would be lost."""
    headers, left = refuse_unread([part(1_000, True), part(1_000, True), part(0, False)])
    assert (headers, left) == ({}, [])


def test_a_body_too_large_to_take_ends_the_connection_and_says_so() -> None:
    many = [part(64 << 10, True) for _ in range(DRAIN_BYTES_MAX // (64 << 10) + 5)]
    headers, left = refuse_unread(many)
    assert headers == {"connection": "close"}
    assert len(left) >= 3


def test_a_body_that_does_not_come_ends_the_connection() -> None:
    assert refuse_unread([part(10, True)])[0] == {"connection": "close"}
    assert refuse_unread([part(10, True), {"type": "http.disconnect"}])[0] == {"connection": "close"}
