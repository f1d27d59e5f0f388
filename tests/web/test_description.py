"""The API's description for people says what the one for programs says."""

from __future__ import annotations

from tests.web.conftest import Stage, Web, form_token


def test_the_page_shows_every_call_and_every_type(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            document = (await client.get("/api/openapi.json")).json()
            page = await client.get("/api/docs")
        assert page.headers["content-type"].startswith("text/html")
        for path, calls in document["paths"].items():
            for call in calls.values():
                assert f'id="{call["operationId"]}"' in page.text
            assert path in page.text
        for name in document["components"]["schemas"]:
            assert f'id="type-{name}"' in page.text

    web(body)


def test_the_page_knows_who_looks(web: Web) -> None:
    async def body(stage: Stage) -> None:
        secret = await stage.rooms.people.add_session(stage.operator, stage.rooms.now())
        async with stage.client(cookie=f"__Host-steady-session-8080={secret}") as client:
            page = (await client.get("/api/docs")).text
            assert "Log out" in page
            assert (await client.post("/logout", data={"form_token": form_token(page)})).status_code == 303

    web(body)
