"""Who is asking, and what proves that a form is ours. Who may make which call is in test_who_may.py."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.model import Kind, Principal
from steadyd.urls import Urls
from steadyd.web import auth
from steadyd.web.auth import Caller
from tests.web.conftest import HELLO, Stage, Web, code

HTTP = Urls("localhost", "localhost", 8080)
HTTPS = Urls("apps.example", "steady.example", 443, "https://steady.example")


@pytest.mark.parametrize("caller", ["another guest", "nobody"])
def test_a_stranger_sees_name_url_and_state(web: Web, caller: str) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("theirs", await stage.guest())
        async with stage.client(await stage.guest() if caller == "another guest" else "") as client:
            shown = (await client.get("/api/apps/theirs")).json()
            assert set(shown["app"]) == {"name", "url", "state"}

    web(body)


@pytest.mark.parametrize("shown", ["Bearer steady_nonsense", "Basic YTpi", "Bearer", ""])
def test_a_header_that_is_no_token_of_ours_is_refused_everywhere(web: Web, shown: str) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(authorization=shown) as client:
            for path in ("/healthz", "/api/apps", "/api/apps/absent", "/api/host", "/api/openapi.json"):
                assert code(await client.get(path)) == "unauthorized"

    web(body)


def test_an_absent_app_and_somebody_elses_answer_alike(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("theirs")
        async with stage.client(await stage.guest()) as client:
            absent = await client.get("/api/apps/absent/logs")
            theirs = await client.get("/api/apps/theirs/logs")
        assert absent.text.replace("absent", "") == theirs.text.replace("theirs", "")

    web(body)


def test_revoked_and_expired_are_nobody(web: Web) -> None:
    async def body(stage: Stage) -> None:
        token = await stage.guest()
        async with stage.client(token) as client:
            assert (await client.get("/api/me")).json()["user"]["kind"] == "guest"
            (kept,) = (await client.get("/api/tokens")).json()["tokens"]
            await client.delete(f"/api/tokens/{kept['id']}")
            assert code(await client.get("/api/me")) == "unauthorized"
        secret = await stage.rooms.people.add_session(stage.operator, 0.0)  # 1970: long over
        async with stage.client(cookie=f"steady-session-8080={secret}") as client:
            assert code(await client.get("/api/me")) == "unauthorized"

    web(body)


def test_a_cookie_works_for_json_only(web: Web) -> None:
    """Anything a form of another site could send is refused when a cookie comes with it."""

    async def body(stage: Stage) -> None:
        await stage.app("mine")
        secret = await stage.rooms.people.add_session(stage.operator, stage.rooms.now())
        async with stage.client(cookie=f"steady-session-8080={secret}") as client:
            assert (await client.get("/api/apps")).json()["apps"][0]["name"] == "mine"
            for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "a/b"):
                for path in ("/api/apps?name=more", "/api/apps/mine/deploys", "/api/apps/mine/stop"):
                    refused = await client.post(path, content=b"{}", headers={"content-type": kind})
                    assert code(refused) == "unsupported_media_type", (kind, path)
            bare = await client.post("/api/apps?name=more", content=HELLO)
            assert code(bare) == "unsupported_media_type"
            assert (await client.post("/api/apps/mine/stop")).status_code == 200
            made = await client.post("/api/apps", json={"name": "more", "files": {"index.ts": HELLO.decode()}})
            assert made.status_code == 201
            assert made.json()["app"]["owner"] == "operator"
            assert "token" not in made.json()
            assert "Bearer steady_" in made.json()["next"]["redeploy"]

    web(body)


def test_a_stale_cookie_needs_json_too(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(cookie="steady-session-8080=stale") as client:
            assert code(await client.post("/api/apps", content=HELLO)) == "unsupported_media_type"
            made = await client.post("/api/apps", json={"files": {"index.ts": HELLO.decode()}})
            assert made.status_code == 201
            assert made.json()["token"]

    web(body)


def test_another_sites_reads_are_a_strangers(web: Web) -> None:
    """An app's page (same site) learns nothing from what its visitor may see here."""

    async def body(stage: Stage) -> None:
        await stage.app("mine")
        secret = await stage.rooms.people.add_session(stage.operator, stage.rooms.now())
        async with stage.client(cookie=f"steady-session-8080={secret}") as client:
            for site, status in {"same-site": 404, "cross-site": 404, "same-origin": 200, "none": 200}.items():
                answer = await client.get("/api/apps/mine/logs", headers={"sec-fetch-site": site})
                assert answer.status_code == status, site

    web(body)


def request_with(cookie: str = "", *more: str) -> Request:
    headers = [(b"cookie", value.encode()) for value in (cookie, *more) if value]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers, "query_string": b""})


def test_cookies_are_host_only_and_named_for_their_port() -> None:
    response = Response()
    auth.set_session(response, HTTPS, "secret")
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-steady-session=secret;")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    assert auth.cookie_name(HTTP, "session") != auth.cookie_name(Urls("localhost", "localhost", 8081), "session")


def test_a_planted_second_cookie_logs_nobody_in() -> None:
    assert auth.session_secret(HTTP, request_with("a=b; steady-session-8080=x")) == "x"
    assert auth.session_secret(HTTP, request_with("steady-session-8080=x; steady-session-8080=evil")) == ""
    assert auth.session_secret(HTTP, request_with("steady-session-8080=x", "steady-session-8080=evil")) == ""


def test_a_form_token_belongs_to_one_browser() -> None:
    one, two = request_with("steady-session-8080=one"), request_with("steady-session-8080=two")
    token, fresh = auth.form_token(one, HTTP)
    assert not fresh
    auth.check_form_token(one, HTTP, token)
    for request, shown in ((two, token), (one, ""), (one, "é"), (request_with(), token)):
        with pytest.raises(SteadyError) as caught:
            auth.check_form_token(request, HTTP, shown)
        assert caught.value.code == "cross_site"
    visitor, secret = auth.form_token(request_with(), HTTP)
    auth.check_form_token(request_with(f"steady-visitor-8080={secret}"), HTTP, visitor)


def test_the_client_is_who_our_own_proxy_saw() -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b""}
    forged = Request({**scope, "headers": [(b"x-forwarded-for", b"127.0.0.1, 203.0.113.9")]})
    assert auth.client_address(forged) == "203.0.113.9"
    assert auth.client_address(Request({**scope, "headers": []})) == ""


def test_nobody_owns_nothing(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("mine")
        assert Caller(stage.operator).owns(app)
        assert not Caller().owns(app)
        assert not Caller(Principal("x", Kind.GUEST, "X", 0.0)).owns(app)

    web(body)
