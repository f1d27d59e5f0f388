"""The page of what became of an app: operations, deaths, events."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from steadyd.errors import SteadyError
from steadyd.model import Asked, Death, Event, Reached
from steadyd.records.history import SORTS
from steadyd.records.journal import WAKE
from steadyd.web import activity as module
from steadyd.web.activity import WISHES
from tests.web.conftest import HELLO, NOISY, Stage, Web, code, form_token
from tests.web.test_pages import NASTY, log_in

PATH = "/apps/hello/activity"
ONCE = b'import { existsSync } from "node:fs";\nif (existsSync("broken")) throw new Error("broken");\n' + HELLO
REACHED = Reached(memory_peak_bytes=5 << 20, processes=3, processes_limit=64, process_refusals=9)
CARD = Death(
    1.0, 4, "memory", None, "SIGKILL", 12.5, 7, (NASTY, "last words"), "It needed more.", 5 << 20, None,
    (Asked("POST", f"/{NASTY}"),), REACHED,
)  # fmt: skip


async def page_of(stage: Stage, path: str = PATH, status: int = 200, **query: str) -> str:
    async with stage.client(cookie=await log_in(stage), accept="text/html") as client:
        answer = await client.get(path, params=query or None)
        assert answer.status_code == status, answer.text
        return answer.text


def test_a_deploy_shows_who_what_and_each_step(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=NOISY)
        await stage.settled()
        page = await page_of(stage)
        assert "First deploy" in page or "Deploy of version 1" in page
        assert "by operator" in page
        assert 'class="pill is-done"' in page
        assert re.search(r"<li>trial <span class=\"hint\">[\d.]+ m?s</span>", page)
        assert page.count('id="operation-') == 1
        assert "is live" not in page, "the event that says the same is left out"

    web(body)


def test_a_failed_deploy_shows_its_error_with_place_and_logs(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            broken = {"index.ts": "export default {\n  fetch(request { return 1 }\n};"}
            assert code(await client.post("/api/apps/hello/deploys", json={"files": broken})) == "deploy_failed"
            crash = {"index.ts": f"console.log({NASTY!r});\nthrow new Error({NASTY!r});\n" + HELLO.decode()}
            assert code(await client.post("/api/apps/hello/deploys", json={"files": crash})) == "deploy_failed"
        page = await page_of(stage, show="operations")
        assert page.count('class="pill is-failed"') == 2
        assert "<code>index.ts:2" in page
        assert "deploy_failed" in page
        assert "Last log lines" in page
        assert "<script>x" not in page

    web(body)


def test_every_death_card_is_shown_in_full_and_has_an_address(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello", content=NOISY)
        await stage.rooms.library.deaths.add(app.id, replace(CARD, message=f"Earlier {NASTY}."))
        await stage.rooms.library.deaths.add(app.id, CARD)
        page = await page_of(stage, show="deaths")
        assert page.count('class="entry death"') == 2
        for words in ("It needed more.", "memory, SIGKILL", "at most 5", "3 of 64, 9 refused", "7 in flight"):
            assert words in page
        for words in ("POST /", "and 6 more", "last words", "Earlier"):
            assert words in page
        assert "<script>x" not in page
        alone = await page_of(stage, f"{PATH}/death/2")
        assert "It needed more." in alone
        assert "<details open>" in alone
        assert "Earlier" not in alone
        await page_of(stage, f"{PATH}/death/3", 404)
        await page_of(stage, f"{PATH}/wake/1", 404)
        async with stage.client(await stage.guest()) as client:
            assert (await client.get(f"{PATH}/death/2")).status_code == 404
            assert (await client.get("/api/apps/hello/deaths")).status_code == 404
        async with stage.client(stage.operator_token) as client:
            cards = (await client.get("/api/apps/hello/deaths")).json()["deaths"]
            assert [card["message"] for card in cards] == ["It needed more.", f"Earlier {NASTY}."]

    web(body)


def test_the_code_page_says_in_one_line_that_it_does_not_start(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello", content=ONCE)
        assert 'class="ended"' not in await page_of(stage, "/apps/hello")
        await stage.rooms.controller.stop(stage.operator, app, hold=False)
        (stage.rooms.fleet.ground.place(app).app / "broken").touch()
        with pytest.raises(SteadyError):
            await stage.rooms.controller.start(stage.operator, app)
        page = await page_of(stage, "/apps/hello")
        assert 'class="ended" role="status">Version 1 died' in page
        assert f'href="{PATH}?show=deaths"' in page

    web(body)


def test_events_are_told_and_what_apps_wrote_is_escaped(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        journal = stage.rooms.journal
        await journal.add_event(app.id, Event(5.0, WAKE, "Started in 81 ms.", {"ms": 81.0}))
        await journal.add_event(app.id, Event(6.0, "cron_failed", f"It said {NASTY}."))
        for at in range(10, 13):
            await journal.add_event(app.id, Event(float(at), WAKE, f"Started at {at}.", {"ms": 1.0}))
        both = await page_of(stage)
        assert "3 wakes and sleeps" in both
        assert "Started in 81 ms." in both
        assert "It said &lt;script&gt;" in both
        assert "cron_failed" not in await page_of(stage, show="wakes")
        assert "Started in 81" not in await page_of(stage, show="events")
        assert "It never ended badly." in await page_of(stage, show="deaths")

    web(body)


def test_a_long_history_is_paged(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        for number in range(module.SHOWN + 5):
            await stage.rooms.journal.add_event(app.id, Event(1e9 + number, "limit", f"Event {number}."))
        first = await page_of(stage, show="events")
        assert first.count('class="entry event"') == module.SHOWN
        older = re.search(r'href="([^"]+)">Older</a>', first)
        assert older is not None
        second = await page_of(stage, older[1].replace("&amp;", "&"))
        assert "Event 4." in second
        assert f"Event {module.SHOWN + 4}." not in second
        assert "Older</a>" not in second
        assert "This is where its history begins" in second
        assert "does not say where the list goes on" in await page_of(stage, status=422, before="<script>")
        assert "There is no such list" in await page_of(stage, status=422, show="x")

    web(body)


def test_one_that_runs_can_be_cancelled_until_it_is_too_late(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        number = await stage.rooms.journal.begin(app, "deploy", stage.operator, stage.rooms.now())
        page = await page_of(stage)
        assert f'action="{PATH}/operation/{number}/cancel"' in page
        assert "begin…" in page
        async with stage.client(cookie=await log_in(stage), accept="text/html") as client:
            form = {"form_token": form_token((await client.get(PATH)).text)}
            late = await client.post(f"{PATH}/operation/{number}/cancel", data=form)
            assert late.status_code == 409
            assert "where it is not cut" in late.text
            assert (await client.post(f"{PATH}/operation/999/cancel", data=form)).status_code == 404
            assert (await client.post(f"{PATH}/operation/{number}/cancel", data={"x": "1"})).status_code == 403
        await stage.rooms.journal.finish(number, "cancelled", stage.rooms.now())
        assert "/cancel" not in await page_of(stage)

    web(body)


def test_a_form_cancels_what_waits_for_its_turn(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        operations = stage.rooms.workshop.operations

        begun: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def wait() -> None:
            async with operations.open(app, "deploy", stage.operator) as operation, operation.step("install"):
                begun.set_result(operation.id)
                await asyncio.sleep(60)

        task = asyncio.create_task(wait())
        number = await begun
        async with stage.client(cookie=await log_in(stage), accept="text/html") as client:
            form = {"form_token": form_token((await client.get(PATH)).text)}
            answer = await client.post(f"{PATH}/operation/{number}/cancel", data=form)
            assert answer.headers["location"] == f"{PATH}/operation/{number}"
            assert "It was cancelled at “install”" in (await client.get(answer.headers["location"])).text
        with pytest.raises(SteadyError) as caught:
            await task
        assert caught.value.code == "cancelled"

    web(body)


def test_every_wish_is_of_known_sorts() -> None:
    assert {sort for _, sorts in WISHES.values() for sort in sorts} == set(SORTS)
