"""The control plane as a whole: its routes do not hide one another, and every layer is in its place."""

from __future__ import annotations

from tests.web.conftest import Stage, Web


def test_the_layers_in_their_order(web: Web) -> None:
    names = ["Drain", "Failures", "Headers", "CrossSite", "Superseded"]

    async def body(stage: Stage) -> None:
        assert [str(layer).split("(")[1].split(",")[0].rstrip(")") for layer in stage.web.user_middleware] == names

    web(body)


def test_api_and_pages_of_an_app_do_not_hide_each_other(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token, accept="text/html") as client:
            kinds = {
                "/": "text/html", "/apps": "text/html", "/apps/hello": "text/html", "/login": "text/html",
                "/api/apps": "application/json", "/api/apps/hello": "application/json", "/api/docs": "text/html",
                "/api/openapi.json": "application/json", "/healthz": "application/json",
                "/static/page.js": "text/javascript",
            }  # fmt: skip
            for path, kind in kinds.items():
                answer = await client.get(path)
                assert answer.status_code == 200, path
                assert answer.headers["content-type"].startswith(kind), path

    web(body)
