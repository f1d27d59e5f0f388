"""The pages for signing up and for a new password, as a browser without scripts uses them."""

from __future__ import annotations

from typing import Any

import httpx

from tests.web.conftest import CONTROL, HELLO, Stage, Web, form_token

ADA = {"username": "ada", "password": "correct horse", "email": ""}


async def send(client: httpx.AsyncClient, path: str, fields: dict[str, Any]) -> httpx.Response:
    """Load the page at `path`, and send its form."""
    page = (await client.get(path)).text
    return await client.post(path, data={**fields, "form_token": form_token(page)})


def test_a_guest_signs_up_in_the_browser_and_keeps_the_app(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as browser:
            assert 'href="/signup"' in (await browser.get("/login")).text
            await send_app(browser)
            page = (await browser.get("/signup?next=/apps/hello/settings")).text
            assert "is yours from then on, and stays: hello." in page
            assert 'name="next" value="/apps/hello/settings"' in page
            assert 'name="next" value="/apps"' in (await browser.get("/signup?next=//evil.example")).text
            wrong = await send(browser, "/signup", {**ADA, "password": "short", "username": '"><b>'})
            assert (wrong.status_code, "&lt;b&gt;" in wrong.text, "<b>" in wrong.text) == (422, True, False)
            assert 'id="username-wrong"' in wrong.text
            short = await send(browser, "/signup", {**ADA, "password": "short"})
            for words in ('id="password-wrong"', 'aria-describedby="password-wrong'):
                assert words in short.text
            done = await send(browser, "/signup", ADA)
            assert (done.status_code, done.headers["location"]) == (303, "/apps")
            assert "hello" in (await browser.get("/apps")).text
            app = await stage.rooms.apps.by_name("hello")
            assert app is not None
            assert app.owner_name == "ada"
            logged_out = form_token((await browser.get("/apps")).text)
            await browser.post("/logout", data={"form_token": logged_out})
            again = await send(browser, "/login", {"username": "Ada", "password": ADA["password"], "token": ""})
            assert (again.status_code, again.headers["location"]) == (303, "/apps")

    web(body)


async def send_app(browser: httpx.AsyncClient) -> None:
    page = (await browser.get("/")).text
    form = {"name": "hello", "source": HELLO.decode(), "form_token": form_token(page)}
    assert (await browser.post("/apps", data=form)).status_code == 303


def path_of(answer: httpx.Response) -> str:
    """Where the link leads that the operator got."""
    assert answer.status_code == 201
    return str(answer.json()["url"]).removeprefix(CONTROL)


def test_links_of_the_operator_lead_to_pages_that_work_once(web: Web) -> None:
    async def body(stage: Stage) -> None:
        invited = stage.rebuilt(signup="invite")
        async with invited.client(stage.operator_token) as operator, invited.client(accept="text/html") as browser:
            bare = await browser.get("/signup")
            assert (bare.status_code, "by invitation only" in bare.text, "password" in bare.text) == (403, True, False)
            invitation = path_of(await operator.post("/api/users/invitations"))
            assert (await send(browser, invitation, ADA)).status_code == 303
            late = await send(browser, invitation, {**ADA, "username": "bob"})
            assert (late.status_code, "unknown, used or too old" in late.text) == (403, True)
            link = path_of(await operator.post("/api/users/ada/reset"))
            assert (await send(browser, link, {"password": "short"})).status_code == 422
            done = await send(browser, link, {"password": "battery staple"})
            assert (done.status_code, "Your new password is set" in done.text) == (200, True)
            assert (await send(browser, link, {"password": "battery staple"})).status_code == 403
            entered = await send(browser, "/login", {"username": "ada", "password": "battery staple"})
            assert entered.status_code == 303

    web(body)


def test_a_closed_server_shows_no_form(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.rebuilt(signup="closed").client(accept="text/html") as browser:
            page = await browser.get("/signup")
            assert (page.status_code, "takes no new users" in page.text, "password" in page.text) == (403, True, False)
            assert 'href="/signup"' not in (await browser.get("/login")).text

    web(body)
