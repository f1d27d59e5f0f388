"""What all pages of an app have around them."""

from __future__ import annotations

import re

from steadyd.model import AppState
from steadyd.web.frame import PLACES, SENTENCES
from tests.web.conftest import Stage, Web
from tests.web.test_pages import log_in


def test_every_state_has_a_sentence() -> None:
    assert set(SENTENCES) == set(AppState)


def test_every_page_of_an_app_leads_to_every_other(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(accept="text/html", cookie=await log_in(stage)) as client:
            for place, title in PLACES.items():
                page = await client.get(f"/apps/hello/{place}".rstrip("/"))
                assert page.status_code == 200, page.text
                links = re.findall(r'<a href="/apps/hello/?([a-z]*)"[^>]*>([A-Z][a-z]+)', page.text)
                assert dict(links).items() >= PLACES.items()
                assert page.text.count('aria-current="page"') == 1
                assert f"<title>{title} · hello · steadyd</title>" in page.text

    web(body)
