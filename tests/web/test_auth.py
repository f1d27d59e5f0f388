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
        async with stage.client(cookie=f"__Host-steady-session-8080={secret}") as client:
            assert code(await client.get("/api/me")) == "unauthorized"

    web(body)


def test_a_cookie_works_for_json_only(web: Web) -> None:
    """Anything a form of another site could send is refused when a cookie comes with it."""

    async def body(stage: Stage) -> None:
        await stage.app("mine")
        secret = await stage.rooms.people.add_session(stage.operator, stage.rooms.now())
        async with stage.client(cookie=f"__Host-steady-session-8080={secret}") as client:
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
        async with stage.client(cookie="__Host-steady-session-8080=stale") as client:
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
        async with stage.client(cookie=f"__Host-steady-session-8080={secret}") as client:
            for site, status in {"same-site": 404, "cross-site": 404, "same-origin": 200, "none": 200}.items():
                answer = await client.get("/api/apps/mine/logs", headers={"sec-fetch-site": site})
                assert answer.status_code == status, site

    web(body)


def request_with(*cookies: str, agent: str = "Mozilla/5.0 Chrome/140.0") -> Request:
    """As a browser asks; without an `agent`, as a program does."""
    headers = [(b"cookie", value.encode()) for value in cookies]
    if agent:
        headers += [(b"user-agent", agent.encode()), (b"sec-fetch-site", b"same-origin")]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers, "query_string": b""})


LAN = Urls("apps.lan", "steady.lan", 8080)
WEBKIT = "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15"
CHROMIUM = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"


@pytest.mark.parametrize(
    ("urls", "agent", "name"),
    [
        (HTTPS, CHROMIUM, "__Host-steady-session"),
        (HTTPS, WEBKIT, "__Host-steady-session"),
        (HTTP, CHROMIUM, "__Host-steady-session-8080"),
        (HTTP, "", "steady-session-8080"),
        (HTTP, WEBKIT, "steady-session-8080"),
        (Urls("127.0.0.1", "127.0.0.1", 8080), CHROMIUM, "__Host-steady-session-8080"),
        (Urls("localhost", "control.localhost", 80), CHROMIUM, "__Host-steady-session-80"),
        (LAN, CHROMIUM, "steady-session-8080"),
        (Urls("lan", "localhost.lan", 8080), CHROMIUM, "steady-session-8080"),
    ],
)
def test_a_cookie_is_of_this_host_alone_and_where_browsers_keep_that_its_name_says_so(
    urls: Urls, agent: str, name: str
) -> None:
    response = Response()
    auth.set_session(request_with(agent=agent), response, urls, "secret")
    cookie = response.headers["set-cookie"]
    assert cookie.startswith(f"{name}=secret;")
    assert ("Secure" in cookie) == name.startswith("__Host-")
    assert "Path=/" in cookie
    assert "HttpOnly" in cookie
    assert "Domain" not in cookie


def test_only_the_name_that_cannot_be_planted_counts_where_there_is_one() -> None:
    planted = request_with("steady-session-8080=evil; __Host-steady-session-8080=x")
    assert auth.session_secrets(HTTP, planted) == ["x"]
    assert auth.session_secrets(HTTP, request_with("steady-session-8080=evil")) == []
    program = request_with("steady-session-8080=x; __Host-steady-session-8080=y", agent="")
    assert auth.session_secrets(HTTP, program) == ["x", "y"]  # nobody plants a cookie in a program
    assert auth.session_secrets(LAN, request_with("steady-session-8080=x; steady-session-8080=y")) == ["x", "y"]


def test_so_many_cookies_of_one_name_are_looked_at() -> None:
    many = request_with("; ".join(f"steady-session-8080={number}" for number in range(100)))
    assert len(auth.session_secrets(LAN, many)) == auth.SAME_COOKIES_MAX


def test_a_planted_cookie_logs_nobody_out_and_nobody_in(web: Web) -> None:
    """On plain http beside apps: of several the valid one counts; where an app's author plants a session of their own,
    nobody is logged in, rather than somebody else."""

    async def body(stage: Stage) -> None:
        stage = stage.rebuilt(urls=LAN)
        people, now = stage.rooms.people, stage.rooms.now()
        mine = await people.add_session(stage.operator, now)
        theirs = await people.add_session(await people.add_guest(now), now)
        for cookies, status in (([mine], 200), (["junk", mine], 200), ([mine, "junk"], 200), ([mine, theirs], 401)):
            cookie = "; ".join(f"steady-session-8080={secret}" for secret in cookies)
            async with stage.client(cookie=cookie) as client:
                assert (await client.get("/api/me")).status_code == status, cookies

    web(body)


def test_a_form_token_belongs_to_one_browser() -> None:
    one, two = Caller(None, "session", "one"), Caller(None, "session", "two")
    request = request_with()
    token, fresh = auth.form_token(request, HTTP, one)
    assert not fresh
    auth.check_form_token(request, HTTP, one, token)
    for caller, shown in ((two, token), (one, ""), (one, "é"), (Caller(), token)):
        with pytest.raises(SteadyError) as caught:
            auth.check_form_token(request, HTTP, caller, shown)
        assert caught.value.code == "cross_site"
    visitor, secret = auth.form_token(request, HTTP, Caller())
    auth.check_form_token(request_with(f"__Host-steady-visitor-8080={secret}"), HTTP, Caller(), visitor)


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
