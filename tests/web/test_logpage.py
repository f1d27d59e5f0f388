"""An app's log by the page."""

from __future__ import annotations

from steadyd.web.logpage import newest
from tests.web.conftest import Stage, Web


def test_the_newest_lines_and_where_they_lie(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        stage.rooms.logs.add(app.id, 1, "app", [b"one", b"two", b"three"])
        page = await newest(stage.rooms, app, 2)
        assert [line.text for line in page.lines] == ["two", "three"]
        assert (page.older, page.newer, page.lines[0].place) == (True, False, str(page.first))
        stage.rooms.logs.add(app.id, 1, "app", [b"four"])
        assert (await newest(stage.rooms, app, 1)).first == page.last

    web(body)
