"""The page of an app's crons, as a browser without scripts uses it."""

from __future__ import annotations

import re

import httpx

from steadyd.web.timetable import RUNS_SHOWN
from tests.web.conftest import Stage, Web, form_token
from tests.web.test_crons import SAID, made
from tests.web.test_pages import NASTY, log_in

PATH = "/apps/hello/crons"


class Visitor:
    """The owner, sending forms and following where they lead."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def look(self, path: str = PATH, status: int = 200) -> str:
        answer = await self._client.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    async def send(self, to: str = "", status: int = 303, **fields: str) -> str:
        """The page that a form leads to, or that is its answer."""
        token = form_token(await self.look())
        answer = await self._client.post(PATH + to, data={"form_token": token, **fields})
        assert answer.status_code == status, answer.text
        return await self.look(answer.headers["location"].partition("#")[0]) if status == 303 else answer.text


async def visitor(stage: Stage) -> Visitor:
    return Visitor(stage.client(cookie=await log_in(stage), accept="text/html"))


def row_of(page: str, cron: str) -> str:
    """The card of one cron."""
    return page[page.index(f'id="cron-{cron}"') :].partition("</section>")[0]


def test_each_is_told_in_words_with_what_comes(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await made(stage)
        owner = await visitor(stage.rebuilt(now=lambda: 1_767_225_600.0))
        page = await owner.look()
        tick = row_of(page, "tick")
        assert "every day at 09:00 <code>0 9 * * *</code>, Europe/Berlin" in tick
        assert "<code>POST /tick</code>" in tick
        assert tick.count('<time datetime="2026-01-0') == 3
        assert "from the file of version 1" in tick
        assert "/tick/remove" not in tick
        assert "every hour" in row_of(page, "fail")

    web(body)


def test_one_is_run_now_and_its_outcome_and_log_are_shown(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await made(stage)
        owner = await visitor(stage)
        assert "It has not run yet." in row_of(await owner.look(), "tick")
        page = await owner.send("/tick/run")
        assert '<tr class="chosen">' in row_of(page, "tick")
        assert '<span class="pill is-ok">ok</span>' in row_of(page, "tick")
        page = await owner.send("/fail/run")
        assert "It answered 500. not today" in row_of(page, "fail")
        run = re.search(r'href="([^"]+/runs/\d+)"', row_of(page, "fail"))
        assert run is not None
        told = await owner.look(run[1])
        assert "about to fail" in told
        assert '<span class="pill is-failed">failed</span>' in told
        await owner.look(f"{PATH}/fail/runs/999", 404)
        assert "has no cron" in await owner.send("/nothing/run", 404)

    web(body)


def test_ones_own_is_added_changed_turned_off_and_removed(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await made(stage, [])
        owner = await visitor(stage)
        assert "No cron yet." in await owner.look()
        page = await owner.send(schedule="*/15 * * * *", path="/tick", method="GET", timezone="", export="", id="")
        assert "It is in effect." in page
        mine = row_of(page, "tick")
        assert "every 15 minutes" in mine
        assert "yours" in mine
        assert "<code>GET /tick</code>" in mine
        form = await owner.look(f"{PATH}?change=tick")
        assert "Change tick" in form
        assert 'value="*/15 * * * *"' in form
        page = await owner.send(schedule="@daily", path="/tick", method="POST", id="tick")
        assert "every day at 00:00" in row_of(page, "tick")
        page = await owner.send("/tick/turn", on="")
        assert "never: it is off" in row_of(page, "tick")
        page = await owner.send("/tick/turn", on="1")
        assert "never: it is off" not in row_of(page, "tick")
        assert "No cron yet." in await owner.send("/tick/remove")

    web(body)


def test_a_function_has_no_method(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await made(stage, [])
        owner = await visitor(stage)
        page = await owner.send(schedule="@daily", path="", method="POST", export="tidy", id="night")
        assert "calls <code>tidy()</code>" in row_of(page, "night")

    web(body)


def test_what_is_refused_is_on_the_page_as_it_was_typed(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await made(stage)
        owner = await visitor(stage)
        page = await owner.send("", 422, schedule=f"every {NASTY}", path="/x", method="GET", id="")
        assert "is not a schedule" in page
        assert 'value="every &lt;script&gt;' in page
        assert "<script>x" not in page
        assert "<option selected>GET</option>" in page
        assert "is said by the live version" in await owner.send("", 409, schedule="@daily", path="/", id="tick")
        assert "is said by the live version" in await owner.send("/tick/remove", 409)
        assert len(await stage.rooms.library.crons.everything()) == len(SAID)

    web(body)


def test_many_runs_are_told_by_the_newest(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await made(stage)
        app = await stage.rooms.apps.by_name("hello")
        assert app is not None
        job = (await stage.rooms.library.crons.of(app.id))[0]
        for at in range(RUNS_SHOWN + 3):
            await stage.rooms.library.crons.begin(job, 1e9 + at)
        page = row_of(await (await visitor(stage)).look(), job.cron.id)
        assert page.count('class="pill is-running"') == RUNS_SHOWN

    web(body)
