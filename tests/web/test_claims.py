"""The page where somebody keeps an app: by the token of a guest, or a temporary one of their own."""

from __future__ import annotations

import httpx

from steadyd.model import Principal
from tests.web.conftest import HELLO, Stage, Web
from tests.web.test_forms import token
from tests.web.test_ownership import user

PAGE = "/apps/hello/claim"


async def logged_in(stage: Stage, principal: Principal) -> httpx.AsyncClient:
    client = stage.client(accept="text/html")
    secret = await stage.rooms.people.add_session(principal, stage.rooms.now())
    client.cookies.set("__Host-steady-session-8080", secret)
    return client


async def ada(stage: Stage) -> Principal:
    """Somebody with an account."""
    found = await stage.rooms.people.by_id((await user(stage))[0])
    assert found is not None
    return found


def test_who_made_an_app_by_curl_keeps_it_by_its_token(web: Web) -> None:
    async def body(stage: Stage) -> None:
        guest = await stage.guest()
        await stage.app("hello", guest)
        async with await logged_in(stage, await ada(stage)) as client:
            form = {"form_token": await token(client, PAGE)}
            for wrong in ("", "steady_wrong", "<b>"):
                refused = await client.post(PAGE, data=form | {"token": wrong})
                assert (refused.status_code, "Show the token" in refused.text) == (403, True)
            done = await client.post(PAGE, data=form | {"token": f" {guest} "})
            assert (done.status_code, done.headers["location"]) == (303, "/apps/hello/settings?done=claimed")
            assert "and it stays" in (await client.get(done.headers["location"])).text
            assert "It is yours, and it stays" in (await client.get(PAGE)).text
        app = await stage.rooms.apps.by_name("hello")
        assert app is not None
        assert (app.owner_name, app.temporary) == ("ada", False)

    web(body)


def test_a_temporary_app_of_ones_own_is_kept_from_its_settings(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as program:
            files = {"index.ts": HELLO.decode()}
            await program.post("/api/apps", json={"name": "hello", "files": files, "temporary": True})
        async with await logged_in(stage, stage.operator) as client:
            page = (await client.get("/apps/hello/settings")).text
            assert 'action="/apps/hello/claim"' in page
            done = await client.post(PAGE, data={"form_token": await token(client, PAGE)})
            assert done.status_code == 303
            assert 'action="/apps/hello/claim"' not in (await client.get("/apps/hello/settings")).text

    web(body)


def test_who_has_no_account_is_told_the_way(web: Web) -> None:
    async def body(stage: Stage) -> None:
        guest = await stage.rooms.people.add_guest(0.0)
        await stage.app("hello", await stage.rooms.people.add_token(guest, "test", 0.0))
        async with stage.client(accept="text/html") as client:
            page = await client.get(PAGE)
            assert 'href="/login?next=/apps/hello/claim"' in page.text
            refused = await client.post(PAGE, data={"form_token": await token(client), "token": "x"})
            assert refused.status_code == 401
            assert (await client.get("/apps/absent/claim")).status_code == 404
        async with await logged_in(stage, guest) as client:
            page = await client.get(PAGE)
            assert "It becomes your account's" in page.text
            assert (
                await client.post(PAGE, data={"form_token": await token(client, "/apps/hello/settings")})
            ).status_code == 403

    web(body)


def test_tokens_that_are_tried_count_as_log_ins(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", await stage.guest())
        async with await logged_in(stage, await ada(stage)) as client:
            form = {"form_token": await token(client, PAGE), "token": "steady_x"}
            answers = [(await client.post(PAGE, data=form)).status_code for _ in range(61)]
        assert (set(answers[:60]), answers[60]) == ({403}, 429)

    web(body)
