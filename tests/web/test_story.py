"""The timeline page of an app, as a browser without scripts uses it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from steadyd.model import Event
from steadyd.moment import Mark, Point, PointKind, PointState
from steadyd.records.crons import Run
from steadyd.records.history import Entry
from steadyd.records.journal import WAKE
from steadyd.web import story as module
from steadyd.web.lanes import LANES
from steadyd.web.story import of_entry, of_point, of_run
from tests.web.conftest import HELLO, Stage, Web
from tests.web.test_activity import CARD
from tests.web.test_pages import NASTY, log_in

PATH = "/apps/hello/timeline"
POINT = Point(7, "a", PointKind.MANUAL, Mark(5.0), "operator", "", 1, None, PointState.PINNED)


async def page_of(stage: Stage, path: str = PATH, status: int = 200, **query: str) -> str:
    async with stage.client(cookie=await log_in(stage), accept="text/html") as client:
        answer = await client.get(path, params=query or None)
        assert answer.status_code == status, answer.text
        return answer.text


async def past(stage: Stage) -> None:
    """An app with two versions, a wake, a death, and what somebody hostile wrote."""
    app = await stage.app("hello")
    async with stage.client(stage.operator_token) as client:
        files = {"index.ts": HELLO.decode() + "// two\n"}
        assert (await client.post("/api/apps/hello/deploys", json={"files": files})).status_code == 201
    rooms, now = stage.rooms, stage.rooms.now()
    await rooms.journal.add_event(app.id, Event(now - 600, WAKE, "Started in 80 ms.", {"ms": 80.0}))
    await rooms.library.deaths.add(app.id, replace(CARD, at=now - 1_200, message=f"It died of {NASTY}."))
    await stage.settled()


def test_all_that_happened_is_drawn_and_listed(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await past(stage)
        page = await page_of(stage, window="1h")
        for title in LANES.values():
            assert f">{title}</text>" in page
        listed = page[page.index('<ol class="happened">') :]
        for words in ("Deploy of version 2", "First deploy", "Started in 80 ms.", "It died of &lt;script&gt;"):
            assert words in listed
        assert "<script>x" not in page
        assert 'href="/apps/hello/activity/death/1"' in listed
        assert page.count('<circle class="mark') >= 3
        assert "style=" not in page
        assert "Nothing happened" in await page_of(stage, f"{PATH}?from=5h+ago&to=4h+ago")

    web(body)


def test_from_a_moment_to_code_rows_a_fork_or_back(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await past(stage)
        app = await stage.rooms.apps.by_name("hello")
        assert app is not None
        await stage.rooms.library.lines.open(app.id, f"{NASTY}.sqlite", 1, stage.rooms.now() - 3_000)
        page = await page_of(stage, window="1h")
        slot = re.findall(r'<a href="([^"]+)#moment" tabindex="-1"><rect', page)[-1].replace("&amp;", "&")
        chosen = await page_of(stage, slot)
        assert 'class="chosen-at"' in chosen
        now = await page_of(stage, window="1h", at="now")
        assert "Version 2 was live." in now
        assert 'href="/apps/hello/versions/2">See code' in now
        assert re.search(r'href="/apps/hello/backups\?at=[^"]+">Restore to here', now)
        assert re.search(r'href="/apps/hello/changed\?file=%3Cscript[^"]+">See rows', now)
        assert "Before it: " in now
        early = await page_of(stage, window="1h", at="30m ago")
        assert "is not known any more" in early
        assert "See code" not in early
        outside = await page_of(stage, window="1h", at="3h ago")
        assert 'class="chosen-at"' not in outside

    web(body)


@pytest.mark.parametrize(
    ("asked", "status"), [(NASTY, 422), ("tomorrow", 422), ("point:99", 404), ("before:deploy:99", 404)]
)
def test_what_is_no_moment_is_said_and_kept(web: Web, asked: str, status: int) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        page = await page_of(stage, status=status, at=asked)
        assert "That moment cannot be shown" in page
        assert "<script>x" not in page
        assert 'aria-current="true">day' in page

    web(body)


def test_a_restore_point_is_a_moment(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        point = await stage.rooms.library.points.add(replace(POINT, app_id=app.id, mark=Mark(stage.rooms.now() - 60)))
        page = await page_of(stage, at=f"point:{point.id}")
        assert f'href="/apps/hello/backups?at=point%3A{point.id}">Restore to here' in page
        assert f"Restore point {point.id}, manual" in page

    web(body)


def test_a_long_list_is_cut_and_says_so(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LISTED", 3)

    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        for ago in range(1, 6):
            await stage.rooms.journal.add_event(app.id, Event(stage.rooms.now() - ago, WAKE, "Started.", {"ms": 1.0}))
        page = await page_of(stage)
        assert page.count('<li><span class="mark') == 3
        assert ", the newest 3</span>" in page

    web(body)


def test_each_mark_says_what_it_is_and_where_it_is_told() -> None:
    death = of_entry(Entry("death", 3, CARD.at, CARD))
    assert (death.lane, death.kind, death.path) == ("life", "bad", "activity/death/3")
    wake = of_entry(Entry("wake", 4, 1.0, Event(1.0, WAKE, "Started.")))
    assert (wake.lane, wake.kind, wake.path) == ("life", "quiet", "activity?show=wakes#event-4")
    failed = of_entry(Entry("event", 5, 1.0, Event(1.0, "cron_failed", "x")))
    assert (failed.lane, failed.kind) == ("crons", "bad")
    point = of_point(POINT)
    assert (point.lane, point.kind, point.title, point.path) == (
        "data", "good", "Restore point 7, manual", "backups?at=point:7",
    )  # fmt: skip
    assert of_point(replace(POINT, state=PointState.BROKEN, note="x")).kind == "bad"
    run = Run(9, "a", "tick", 1.0, 1, False, 2.0, 3.0, "failed", 1, 500, 1.0, 1, "It answered 500.")
    told = of_run(run)
    assert (told.at, told.lane, told.kind, told.path) == (2.0, "crons", "bad", "crons/tick/runs/9")
    assert told.title == "Cron tick: failed. It answered 500."
