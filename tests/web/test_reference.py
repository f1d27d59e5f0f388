"""The pages that one looks things up in."""

from __future__ import annotations

import re

from steadyd.errors import STATUS
from steadyd.urls import Urls
from tests.web.conftest import Stage, Web


def test_every_code_has_its_anchor_and_error_pages_lead_there(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as client:
            page = (await client.get("/errors")).text
            assert re.findall(r'<section class="card call" id="(\w+)"', page) == sorted(STATUS)
            lost = (await client.get("/nowhere")).text
            assert 'href="/errors#not_found"' in lost

    web(body)


def test_llms_txt_says_what_is_true_of_this_host(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            open_host = await client.get("/llms.txt")
            assert open_host.headers["content-type"].startswith("text/plain")
            assert "Without an account" in open_host.text
            assert "memory 256 MiB" in open_host.text
            assert "Report abuse" not in open_host.text
            assert "curl --data-binary @index.ts 'http://localhost:8080/api/apps?name=NAME'" in open_host.text
        closed = stage.rebuilt(
            guests=False, urls=Urls("a.example", "c.example", 443, "https://c.example", "us@c.example")
        )
        async with closed.client() as client:
            said = (await client.get("/llms.txt")).text
            assert "needs an account" in said
            assert "TOKEN\" --data-binary @index.ts 'https://c.example/api/apps?name=NAME'" in said
            assert "Report abuse: us@c.example" in said
            assert "guest" not in said

    web(body)
