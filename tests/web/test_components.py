"""The page of components: every state is on it, and nothing of the hostile sample gets through."""

from __future__ import annotations

from steadyd.backup.truth import State
from steadyd.model import AppState
from steadyd.web.components import HOSTILE
from tests.web.conftest import Stage, Web


def test_every_state_is_shown_and_nothing_hostile_gets_through(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as client:
            page = await client.get("/components")
        assert page.status_code == 200
        assert all(f'<span class="pill {state}">' in page.text for state in AppState)
        assert page.text.count('class="pill backup-') == len(State)
        assert HOSTILE[:10] not in page.text
        assert page.text.count("&lt;img src=x onerror") >= 5
        assert "\x1b" not in page.text

    web(body)
