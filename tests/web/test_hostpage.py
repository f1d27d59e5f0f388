"""The operator's page of the host, as a browser without scripts uses it."""

from __future__ import annotations

import re
import time

import httpx

from steadyd.web.hostpage import DONE
from tests.web.conftest import CLIENT, HELLO, Stage, Web, code, form_token

NASTY = "<img src=x onerror=hit()>\"'"
MANY = 500
PAGE_SECONDS_MAX = 0.05
"""Of processor time: everybody's apps, every backup and this machine in one page."""


async def cookie_of(stage: Stage, name: str = "operator") -> str:
    """A cookie of a session: the operator's, or a new guest's."""
    who = stage.operator if name == "operator" else await stage.rooms.people.add_guest(0.0)
    return f"__Host-steady-session-8080={await stage.rooms.people.add_session(who, stage.rooms.now(), '', CLIENT)}"


async def send(browser: httpx.AsyncClient, page: str, form: str, **fields: str) -> httpx.Response:
    token = form_token((await browser.get(page)).text)
    return await browser.post(form, data={**fields, "form_token": token})


def names(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/apps/([a-z0-9-]+)"', page)


def test_there_is_nothing_for_anybody_else(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(accept="text/html") as user:
            await user.post("/api/users", json={"username": "ada", "password": "correct horse"})
            token = form_token((await user.get("/account")).text)
            guest = stage.client(cookie=await cookie_of(stage, "guest"), accept="text/html")
            for client in (user, guest, stage.client(accept="text/html")):
                for path in ("/host", "/host/users"):
                    page = await client.get(path)
                    assert (page.status_code, page.headers["steady-error"]) == (404, "not_found"), path
                    assert 'href="/host"' not in page.text
            for form in ("apps/suspend", "apps/delete", "apps/block", "users/invite", "users/reset", "users/block"):
                refused = await user.post(f"/host/{form}", data={"app": "hello", "user": "ada", "form_token": token})
                assert (refused.status_code, refused.headers["steady-error"]) == (404, "not_found"), form
        app = await stage.rooms.apps.by_name("hello")
        assert app is not None
        assert not app.suspended

    web(body)


def test_it_says_what_the_host_carries_and_what_is_wrong(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        stage = stage.rebuilt(missing=(f"No sandbox {NASTY}.",))
        async with stage.client(stage.operator_token) as operator:
            await operator.post("/api/apps/hello/targets", json={"target": "host:11434"})
            host = (await operator.get("/api/host")).json()["host"]
        assert host["states"] == {"running": 1}
        assert 0 < host["load"]["memory_available_bytes"] < host["load"]["memory_bytes"]
        assert host["bun"]
        assert f"No sandbox {NASTY}." in host["problems"]
        assert [said for said in host["problems"] if said.startswith("Backups: ")], "none run in this test"
        async with stage.client(cookie=await cookie_of(stage)) as browser:
            page = (await browser.get("/host")).text
        counts = "1 awake, 0 frozen, 0 asleep"
        for words in ("What is wrong", counts, f"Bun {host['bun']}", "host:11434", "steadyd doctor"):
            assert words in page
        assert "<img" not in page

    web(body)


def test_apps_are_suspended_put_back_and_deleted(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(cookie=await cookie_of(stage), accept="text/html") as browser:
            done = await send(browser, "/host", "/host/apps/suspend", app="hello", reason=NASTY)
            assert (done.status_code, done.headers["location"]) == (303, "/host?done=suspended")
            page = (await browser.get("/host?done=suspended")).text
            assert DONE["suspended"] in page
            assert "Suspended: &lt;img" in page
            assert "<img" not in page
            assert (await send(browser, "/host", "/host/apps/resume", app="hello")).status_code == 303
            assert (await send(browser, "/host", "/host/apps/delete", app="hello")).status_code == 303
            app = await stage.rooms.apps.by_name("hello")
            assert app is not None
            assert (app.suspended, app.deleted_at is not None) == ("", True)
            for form in ("suspend", "resume", "delete", "block"):
                gone = await send(browser, "/host", f"/host/apps/{form}", app="hello")
                assert (gone.status_code, 'role="alert"' in gone.text) == (404, True), form

    web(body)


def test_a_guest_is_blocked_by_where_they_came_from(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with (
            stage.client() as guest,
            stage.client(cookie=await cookie_of(stage), accept="text/html") as browser,
        ):
            made = await guest.post("/api/apps", json={"name": "spam", "files": {"index.ts": HELLO.decode()}})
            assert made.status_code == 201
            local = stage.client(**{"x-forwarded-for": "127.0.0.1"})
            await local.post("/api/apps", json={"files": {"index.ts": HELLO.decode()}})
            page = (await browser.get("/host")).text
            assert (f"Block {CLIENT}" in page, "Block 127" in page) == (True, False), "nobody blocks this machine"
            done = await send(browser, "/host", "/host/apps/block", app="spam")
            assert done.headers["location"] == "/host?done=blocked"
            refused = await guest.post("/api/apps", json={"files": {"index.ts": HELLO.decode()}})
            assert code(refused) == "forbidden"

    web(body)


def test_who_uses_what_is_sorted_and_made_in_time(web: Web) -> None:
    async def body(stage: Stage) -> None:
        for number in range(MANY):
            app = await stage.rooms.apps.create(f"app-{number:04}", stage.operator, False, 0.0)
            stage.rooms.requests.lately.add(app.id, [stage.rooms.now()] * (number % 7))
        async with stage.client(cookie=await cookie_of(stage)) as browser:
            assert names((await browser.get("/host?sort=name&page=2")).text)[0] == "app-0050"
            assert int(names((await browser.get("/host?sort=requests")).text)[0][-4:]) % 7 == 6
            assert names((await browser.get("/host?q=0042")).text) == ["app-0042"]
            assert len(names((await browser.get("/host?q=OPERATOR")).text)) == 50
            took = []
            for _ in range(10):
                began = time.process_time()
                await browser.get("/host")
                took.append(time.process_time() - began)
        assert min(took) < PAGE_SECONDS_MAX, took

    web(body)
