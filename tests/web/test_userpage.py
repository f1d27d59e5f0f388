"""The operator's page of users, as a browser without scripts uses it."""

from __future__ import annotations

import re

from steadyd.records.accounts import NewAccount
from steadyd.web.userpage import PAGE_MAX
from tests.web.conftest import CONTROL, Stage, Web, code, form_token
from tests.web.test_hostpage import NASTY, cookie_of, send

ADA = {"username": "ada", "password": "correct horse", "email": "ada@example.org"}
PAGE = "/host/users"


def link(page: str) -> str:
    """The link that is shown once."""
    found = re.search(rf"<code[^>]*>{CONTROL}(/[a-z]+/[\w-]+)</code>", page)
    assert found, page
    return found[1]


def test_links_are_shown_once_and_work(web: Web) -> None:
    async def body(stage: Stage) -> None:
        stage = stage.rebuilt(signup="invite")
        async with (
            stage.client(cookie=await cookie_of(stage), accept="text/html") as operator,
            stage.client(accept="text/html") as ada,
        ):
            invited = link((await send(operator, PAGE, f"{PAGE}/invite")).text)
            assert (await send(ada, invited, invited, **ADA)).status_code == 303
            fresh = link((await send(operator, PAGE, f"{PAGE}/reset", user="ada")).text)
            assert (await send(ada, fresh, fresh, password="battery staple")).status_code == 200
            assert fresh not in (await operator.get(PAGE)).text
            assert (await send(operator, PAGE, f"{PAGE}/reset", user="nobody")).status_code == 404
        async with stage.rebuilt(signup="closed").client(cookie=await cookie_of(stage)) as operator:
            assert (await send(operator, PAGE, f"{PAGE}/invite")).status_code == 409

    web(body)


def test_users_are_found_suspended_and_put_back(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(cookie=await cookie_of(stage)) as operator, stage.client() as ada:
            await ada.post("/api/users", json=ADA)
            for number in range(PAGE_MAX):
                new = NewAccount(f"user-{number:02}", "", "")
                await stage.rooms.library.accounts.sign_up(new, None, stage.rooms.now() + 1 + number)
            first = (await operator.get(PAGE)).text
            assert (f"{PAGE_MAX + 1} with an account" in first, "<strong>ada<" in first) == (True, False)
            assert "<strong>ada<" in (await operator.get(f"{PAGE}?page=2")).text
            assert "<strong>ada<" in (await operator.get(f"{PAGE}?q=EXAMPLE.ORG")).text
            assert "Nobody is like that" in (await operator.get(f"{PAGE}?q=%3Cscript%3Ex")).text
            done = await send(operator, PAGE, f"{PAGE}/suspend", user="ada", reason=NASTY)
            assert done.headers["location"] == f"{PAGE}?done=suspended"
            assert code(await ada.get("/api/me")) == "unauthorized"
            page = (await operator.get(f"{PAGE}?q=ada&done=suspended")).text
            assert ("&lt;img" in page, "<img" in page) == (True, False)
            assert (await send(operator, PAGE, f"{PAGE}/resume", user="ada")).status_code == 303
            again = {name: ADA[name] for name in ("username", "password")}
            assert (await ada.post("/api/sessions", json=again)).status_code == 201
            for verb in ("suspend", "resume"):
                assert (await send(operator, PAGE, f"{PAGE}/{verb}", user="nobody")).status_code == 404

    web(body)


def test_networks_are_blocked_and_the_block_ends(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(cookie=await cookie_of(stage)) as operator:
            done = await send(operator, PAGE, f"{PAGE}/block", network="203.0.113.9/24", reason=NASTY)
            assert done.headers["location"] == f"{PAGE}?done=blocked#blocks"
            page = (await operator.get(PAGE)).text
            assert ("203.0.113.0/24" in page, "<img" in page) == (True, False)
            [number] = re.findall(r'name="block" value="(\d+)"', page)
            assert (await send(operator, PAGE, f"{PAGE}/unblock", block=number)).status_code == 303
            assert (await send(operator, PAGE, f"{PAGE}/unblock", block=number)).status_code == 404
            assert (await send(operator, PAGE, f"{PAGE}/unblock", block="x")).status_code == 404
            assert (await send(operator, PAGE, f"{PAGE}/block", network=NASTY)).status_code == 422
            assert form_token((await operator.get(PAGE)).text)

    web(body)
