"""Targets through the API: the operator opens them, the owner sees them; tests/e2e/test_network.py has the packets."""

from __future__ import annotations

from tests.web.conftest import Stage, Web, code

PATH = "/api/apps/hello/targets"


def test_the_operator_opens_and_closes(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            assert (await client.get(PATH)).json() == {"targets": []}
            await client.post(PATH, json={"target": "host:11434"})
            opened = await client.post(PATH, json={"target": "10.0.0.5:5432"})
            assert (opened.status_code, opened.json()) == (200, {"targets": ["10.0.0.5:5432", "host:11434"]})
            assert (await client.get("/api/host")).json()["host"]["targets"] == {"hello": opened.json()["targets"]}
            closed = await client.delete(f"{PATH}/host:11434")
            assert closed.json() == (await client.get(PATH)).json() == {"targets": ["10.0.0.5:5432"]}
            assert code(await client.delete(f"{PATH}/host:11434")) == "not_found"

    web(body)


def test_bad_ones_are_refused(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            assert code(await client.post(PATH, json={"target": "db.internal:5432"})) == "invalid"
            assert code(await client.post(PATH, json={"target": "10.0.0.5:5432", "why": "?"})) == "invalid"
            assert code(await client.delete(f"{PATH}/nonsense")) == "invalid"
            assert code(await client.post("/api/apps/nobody/targets", json={"target": "host:1"})) == "not_found"

    web(body)


def test_an_owner_sees_them_and_opens_none(web: Web) -> None:
    async def body(stage: Stage) -> None:
        token = await stage.guest()
        await stage.app("hello", token)
        async with stage.client(stage.operator_token) as operator:
            assert (await operator.post(PATH, json={"target": "host:11434"})).status_code == 200
        async with stage.client(token) as client:
            assert (await client.get(PATH)).json() == {"targets": ["host:11434"]}
            assert code(await client.post(PATH, json={"target": "host:22"})) == "not_found"
            assert code(await client.delete(f"{PATH}/host:11434")) == "not_found"
        async with stage.client(await stage.guest()) as stranger:
            assert code(await stranger.get(PATH)) == "not_found"

    web(body)
