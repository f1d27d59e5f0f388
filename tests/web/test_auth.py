"""Who may make which call: the whole table of calls × callers, made from the endpoints themselves."""

from __future__ import annotations

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.model import Kind, Principal
from steadyd.urls import Urls
from steadyd.web import auth
from steadyd.web.app import endpoints
from steadyd.web.auth import Caller
from steadyd.web.endpoint import Access, Endpoint
from tests.web.conftest import HELLO, Stage, Web, code

HTTP = Urls("localhost", "localhost", 8080)
HTTPS = Urls("apps.example", "steady.example", 443, "https://steady.example")


async def ask(client: httpx.AsyncClient, endpoint: Endpoint) -> httpx.Response:
    path = endpoint.path.replace("{name}", "theirs").replace("{path:path}", "index.ts")
    path = path.replace("{n}", "1").replace("{m}", "1")
    if endpoint.path == "/api/host/serves":
        path += "?domain=localhost"
    content = HELLO if endpoint.upload else b'{"version": 1}' if "rollback" in path else b""
    kind = "text/plain" if endpoint.upload else "application/json"
    return await client.request(endpoint.method, path, content=content, headers={"content-type": kind})


def outcome(endpoint: Endpoint) -> int:
    """The status for whoever may: there is no address to send a notice to, and nothing named that should be opened."""
    lacking = endpoint.path.endswith(("/notify/test", "/rename", "/query")) or (
        endpoint.changes and "/targets" in endpoint.path
    )
    return 422 if lacking else endpoint.status


def expected(endpoint: Endpoint, caller: str) -> set[int]:
    """The statuses that a caller who does not own the app may see."""
    if caller in ("a bad token", "no bearer"):
        return {401}
    if endpoint.access in (Access.OPERATOR, Access.OWNER, Access.READER, Access.OWNER_OF_DELETED):
        return {404}
    if endpoint.access is Access.KNOWN and caller == "nobody":
        return {401}
    if endpoint.method == "PUT":
        return {409}
    return {outcome(endpoint)}


@pytest.mark.parametrize("caller", ["another guest", "nobody", "a bad token", "no bearer"])
def test_a_stranger_sees_name_url_and_state_and_changes_nothing(web: Web, caller: str) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("theirs", await stage.guest())
        headers = {
            "another guest": {"authorization": f"Bearer {await stage.guest()}"},
            "nobody": {},
            "a bad token": {"authorization": "Bearer steady_nonsense"},
            "no bearer": {"authorization": "Basic YTpi"},
        }[caller]
        async with stage.client(**headers) as client:
            for endpoint in endpoints(stage.rooms):
                if endpoint.path == "/api/apps" and endpoint.method == "POST" and caller in ("another guest", "nobody"):
                    continue  # they may: test_apps.py
                answer = await ask(client, endpoint)
                assert answer.status_code in expected(endpoint, caller), (endpoint.method, endpoint.path, answer.text)
                if answer.status_code >= 400:
                    code(answer)
                assert "steady_" not in answer.text
            if caller in ("another guest", "nobody"):
                shown = (await client.get("/api/apps/theirs")).json()
                assert set(shown["app"]) == {"name", "url", "state"}
        app = await stage.rooms.apps.by_name("theirs")
        assert app is not None
        assert (app.version, app.deleted_at, app.held) == (1, None, False)

    web(body)


@pytest.mark.parametrize("caller", ["owner", "operator"])
def test_the_owner_and_the_operator_may_everything(web: Web, caller: str) -> None:
    async def body(stage: Stage) -> None:
        owner = await stage.guest()
        await stage.app("theirs", owner)
        async with stage.client(owner if caller == "owner" else stage.operator_token) as client:
            for endpoint in endpoints(stage.rooms):
                if endpoint.method in ("DELETE", "POST") and endpoint.path in ("/api/apps/{name}", "/api/apps"):
                    continue  # last, and with a name of its own: test_apps.py
                answer = await ask(client, endpoint)
                allowed = endpoint.access is not Access.OPERATOR or caller == "operator"
                assert answer.status_code == (outcome(endpoint) if allowed else 404), (endpoint.path, answer.text)
            assert (await client.delete("/api/apps/theirs")).status_code == 204

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
            await stage.rooms.apps._database.write(
                lambda db: db.execute("UPDATE tokens SET revoked_at = 1 WHERE label = 'test'")
            )
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
