"""The page of backups as a browser without scripts gets it; tests/web/test_moments_in_browser.py goes back for real."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from steadyd.backup.truth import State, Truth
from steadyd.moment import Mark, Point, PointKind, PointState
from tests.web.conftest import Stage, Web, form_token
from tests.web.test_pages import log_in

NASTY = "<img src=x onerror=hit()>"
HERE = "/apps/hello/backups"


async def page(stage: Stage, query: str = "", status: int = 200) -> str:
    async with stage.client(cookie=await log_in(stage), accept="text/html") as client:
        answer = await client.get(f"{HERE}?{query}")
    assert answer.status_code == status, answer.text
    assert "<img src=x" not in answer.text
    assert " style=" not in answer.text
    return answer.text


async def add(stage: Stage, kind: PointKind = PointKind.MANUAL, note: str = "", **more: object) -> Point:
    app = await stage.rooms.apps.by_name("hello")
    assert app is not None
    point = Point(0, app.id, kind, Mark(stage.rooms.now()), "ada", note, 1, None, PointState.PINNED)
    return await stage.rooms.library.points.add(replace(point, **more))  # type: ignore[arg-type]


def test_what_is_kept_is_told(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        told = await page(stage)
        assert "nothing to keep" in told
        assert "None yet." in told
        await add(stage, note=NASTY)
        await add(stage, PointKind.DEPLOY, state=PointState.BROKEN, problem=NASTY)
        told = await page(stage)
        assert told.count("&lt;img src=x onerror=hit()&gt;") >= 2
        assert "before a deploy, version 1, ada" in told
        assert told.count("Go back to restore point") == 1, "nobody goes back to a broken one"
        assert f"{stage.folder}/replica" in told
        assert "Undo the last restore" not in told
        await add(stage, PointKind.RESTORE)
        assert "Undo the last restore" in await page(stage)

    web(body)


@pytest.mark.parametrize("state", list(State))
def test_nothing_is_green_that_was_not_proven(web: Web, state: State) -> None:
    class Reports:
        def __init__(self, real: object) -> None:
            self.of = real.of  # type: ignore[attr-defined]

        async def truth(self, app: object) -> Truth:
            return Truth(state, "A sentence.")

    async def body(stage: Stage) -> None:
        await stage.app("hello")
        reports: Any = Reports(stage.rooms.backups.reports)
        backups = replace(stage.rooms.backups, reports=reports)
        async with stage.rebuilt(backups=backups).client(cookie=await log_in(stage)) as client:
            told = (await client.get("/apps/hello")).text
        assert ("backup-ok" in told) == (state is State.OK)
        assert ("backup-red" in told) == (state in (State.BEHIND, State.FAILING, State.UNPROVEN))
        assert ("A sentence." in told) == state.is_red

    web(body)


def test_a_point_is_made_and_a_moment_is_told_before_anything_happens(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(cookie=await log_in(stage), accept="text/html") as client:
            first = await client.get(HERE)
            token = form_token(first.text)
            made = await client.post(f"{HERE}/point", data={"form_token": token, "note": NASTY})
            assert made.status_code == 303
            told = (await client.get(made.headers["location"])).text
            assert "Restore point 1 is made." in told
            assert "<img src=x" not in told
            asked = await page(stage, "at=point:1")
            assert "restore point 1</h2>" in asked
            assert "Go back to this moment" in asked
            assert "the code stays: version 1" in asked

    web(body)


@pytest.mark.parametrize(
    ("at", "status"), [("soon", 422), ("point:99", 404), ("before:deploy:9", 422), (NASTY, 422), ("2h ago", 422)]
)
def test_moments_that_there_are_not(web: Web, at: str, status: int) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(cookie=await log_in(stage), accept="text/html") as client:
            told = await client.get(HERE, params={"at": at})
            assert told.status_code == status
            assert 'role="alert"' in told.text
            assert "<img src=x" not in told.text
            sent = {"form_token": form_token(told.text), "at": at, "name": "copy"}
            for verb in ("restore", "fork"):
                assert (await client.post(f"{HERE}/{verb}", data=sent)).status_code == status, verb
                assert (await client.post(f"{HERE}/{verb}", data={**sent, "form_token": "x"})).status_code == 403
        assert await stage.rooms.apps.by_name("copy") is None

    web(body)


def test_nobody_else_sees_it(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(await stage.guest(), accept="text/html") as client:
            assert (await client.get(HERE)).status_code == 404

    web(body)
