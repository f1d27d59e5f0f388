"""The account page as a browser without scripts uses it."""

from __future__ import annotations

import re

import httpx

from steadyd.web.account import DONE
from tests.web.conftest import HELLO, Stage, Web, code, form_token

ADA = {"username": "ada", "password": "correct horse"}
NASTY = "<img src=x onerror=hit()>\"'"
FILES = {"files": {"index.ts": HELLO.decode()}}


async def send(browser: httpx.AsyncClient, form: str, **fields: str) -> httpx.Response:
    """Load the page, and send one of its forms."""
    token = form_token((await browser.get("/account")).text)
    return await browser.post(f"/account/{form}", data={**fields, "form_token": token})


def test_only_who_is_logged_in_has_one(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as nobody:
            assert "Log in to see your account" in (await nobody.get("/account")).text
            for form in ("nickname", "notices", "password", "sessions", "tokens", "tokens/revoke", "delete"):
                assert "Log in to see your account" in (await send(nobody, form, name="x")).text
                bare = await nobody.post(f"/account/{form}", data={"name": "x"})
                assert (bare.status_code, bare.headers["steady-error"]) == (403, "cross_site"), form

    web(body)


def test_a_guest_reads_what_that_means_and_chooses_a_nickname(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as guest:
            await guest.post("/api/apps", json={"name": "hello", **FILES})
            page = (await guest.get("/account")).text
            for words in ("You are a guest", "7 days after its last edit", "Sign up to keep them", 'href="/signup"'):
                assert words in page
            assert "Present password" not in page
            assert (await send(guest, "nickname", nickname=f"  {NASTY[:25]} ")).status_code == 303
            page = (await guest.get("/account?done=nickname")).text
            assert "&lt;img src=x onerror=hit()" in page
            assert "<img" not in page
            assert DONE["nickname"] in page
            refused = await send(guest, "nickname", nickname="x" * 41)
            assert (refused.status_code, 'id="nickname-wrong"' in refused.text) == (422, True)
            assert f'value="{"x" * 41}"' in refused.text
        for rule, words in (("invite", "by invitation only"), ("closed", "takes no new users")):
            async with stage.rebuilt(signup=rule).client(accept="text/html") as guest:
                await guest.post("/api/apps", json=FILES)
                page = (await guest.get("/account")).text
                assert (words in page, 'href="/signup"' in page) == (True, False)

    web(body)


def test_sessions_are_told_in_words_and_end_one_by_one_or_all(web: Web) -> None:
    async def body(stage: Stage) -> None:
        firefox = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
        async with (
            stage.client(accept="text/html", **firefox) as here,
            stage.client(**{"user-agent": NASTY}) as there,
            stage.client(**{"user-agent": "curl/8"}) as elsewhere,
        ):
            await here.post("/api/users", json=ADA)
            await there.post("/api/sessions", json=ADA)
            page = (await here.get("/account")).text
            assert re.search(r"Firefox on Linux</strong>\s*<span[^>]*>this one", page)
            assert "&lt;img src=x" in page
            assert "<img" not in page
            assert "from 203.0.113.9" in page
            [other] = re.findall(r'name="session" value="([0-9a-f]+)"', page)
            assert (await send(here, "sessions", session=other)).headers["location"].startswith("/account?done=ended")
            assert code(await there.get("/api/me")) == "unauthorized"
            assert (await send(here, "sessions", session=other)).status_code == 404
            await elsewhere.post("/api/sessions", json=ADA)
            await there.post("/api/sessions", json=ADA)
            assert (await send(here, "sessions")).status_code == 303
            assert [(await c.get("/api/me")).status_code for c in (here, there, elsewhere)] == [200, 401, 401]

    web(body)


def test_tokens_are_made_shown_once_and_revoked(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as browser:
            await browser.post("/api/users", json=ADA)
            await browser.post("/api/apps", json={"name": "hello", **FILES})
            fields = {"label": NASTY, "scope": "read", "app": "hello", "expires_in_days": "7"}
            made = await send(browser, "tokens", **fields)
            secret = re.search(r"<code[^>]*>(steady_[\w-]+)</code>", made.text)
            assert secret
            async with stage.client(secret[1]) as program:
                assert (await program.get("/api/apps/hello/logs")).status_code == 200
            page = (await browser.get("/account")).text
            assert secret[1] not in page
            assert "<img" not in page
            assert re.search(r"looks · only <a href=./apps/hello.", page)
            tokens = (await browser.get("/api/tokens")).json()["tokens"]
            [(label, id)] = [(token["label"], token["id"]) for token in tokens if token["scope"] == "read"]
            assert label == NASTY
            assert (await send(browser, "tokens/revoke", token=id)).status_code == 303
            async with stage.client(secret[1]) as program:
                assert code(await program.get("/api/apps/hello/logs")) == "unauthorized"
            for wrong in ({"app": "no-such"}, {"scope": "root"}, {"expires_in_days": "0"}, {"label": ""}):
                refused = await send(browser, "tokens", **{**fields, **wrong})
                assert (refused.status_code in (404, 422), 'id="tokens-wrong"' in refused.text) == (True, True), wrong
            assert (await send(browser, "tokens/revoke", token=id)).status_code == 404

    web(body)


def test_a_new_password_needs_the_old_one_and_ends_other_sessions(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as here, stage.client() as there:
            await here.post("/api/users", json=ADA)
            await there.post("/api/sessions", json=ADA)
            wrong = await send(here, "password", current="wrong horse", password="battery staple")
            assert (wrong.status_code, "not your present password" in wrong.text) == (401, True)
            short = await send(here, "password", current=ADA["password"], password="short")
            assert (short.status_code, "battery" in short.text) == (422, False)
            assert (await there.get("/api/me")).status_code == 200
            done = await send(here, "password", current=ADA["password"], password="battery staple")
            assert done.headers["location"].startswith("/account?done=password")
            assert [(await c.get("/api/me")).status_code for c in (here, there)] == [200, 401]

    web(body)


def test_where_one_is_reached_is_set_and_tried(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as browser:
            await browser.post("/api/users", json=ADA)
            refused = await send(browser, "notices", email="no address", notify="")
            assert (refused.status_code, "no address" in refused.text) == (422, True)
            assert (await send(browser, "notices", email="ada@example.org", notify="")).status_code == 303
            assert (await browser.get("/api/me")).json()["user"]["email"] == "ada@example.org"
            assert (await send(browser, "notices/test")).status_code == 422  # there is no address
            assert (await send(browser, "notices", notify="ftp://x", email="")).status_code == 422

    web(body)


def test_who_leaves_takes_the_apps_along(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as browser:
            await browser.post("/api/users", json=ADA)
            await browser.post("/api/apps", json={"name": "hello", **FILES})
            await browser.post("/api/apps", json={"name": "gone", **FILES})
            await browser.delete("/api/apps/gone")
            assert "Your 2 apps (1 of them deleted already)" in (await browser.get("/account")).text
            right = {"name": "ada", "password": ADA["password"]}
            for wrong, status in ({"name": "eve"}, 422), ({"password": "wrong horse"}, 401):
                assert (await send(browser, "delete", **{**right, **wrong})).status_code == status
            assert await stage.rooms.apps.by_name("hello") is not None
            done = await send(browser, "delete", **right)
            assert (done.status_code, done.headers["location"]) == (303, "/")
            assert "Max-Age=0" in done.headers["set-cookie"]
            assert [await stage.rooms.apps.by_name(name) for name in ("hello", "gone")] == [None, None]
            assert await stage.rooms.library.accounts.by_username("ada") is None
            assert code(await browser.get("/api/me")) == "unauthorized"
        operator = (
            f"__Host-steady-session-8080={await stage.rooms.people.add_session(stage.operator, stage.rooms.now())}"
        )
        async with stage.client(cookie=operator) as browser:
            assert "Delete for good" not in (await browser.get("/account")).text
            assert (await send(browser, "delete", name="operator")).status_code == 403

    web(body)
