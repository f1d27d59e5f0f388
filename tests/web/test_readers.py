"""Who reads an app's source on a page."""

from __future__ import annotations

from tests.web.conftest import Stage, Web
from tests.web.test_forms import browser


def test_the_owner_has_the_apps_frame_and_a_visitor_another(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as program:
            await program.patch("/api/apps/hello/settings", json={"visibility": "unlisted"})
        async with await browser(stage) as owner, stage.client(accept="text/html") as visitor:
            mine, theirs = [(await client.get("/apps/hello/versions")).text for client in (owner, visitor)]
        assert ("Restart" in mine, "Remix" in mine) == (True, False)
        assert ("Restart" in theirs, "Remix" in theirs) == (False, True)

    web(body)


def test_a_former_name_leads_its_owner_on(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        await stage.rooms.identity.rename(stage.operator, app, "other")
        async with await browser(stage) as client, stage.client(accept="text/html") as stranger:
            assert "other" in (await client.get("/apps/hello/versions")).text
            assert (await stranger.get("/apps/hello/versions")).status_code == 404

    web(body)
