"""The REPL's calls: tests/runner/test_repl.py has what it does."""

from __future__ import annotations

import asyncio
import json

from steadyd.runner.repl import Repl
from tests.runner.conftest import until
from tests.web.conftest import Stage, Web, code

PATH = "/api/apps/hello/repl"


def test_it_is_opened_and_entered(web: Web) -> None:
    """The answer to opening goes on, which httpx's transport cannot show: tests/cli/test_repl.py does."""

    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        session: Repl = await stage.rooms.workshop.repls.open(app, stage.operator.id)
        async with stage.client(stage.operator_token) as client:
            entered = await client.post(f"{PATH}/{session.id}", json={"code": "6 * 7"})
            assert (entered.status_code, entered.json()) == (200, {})
            said = [await anext(session.events())]
            assert (said[0].event, said[0].text) == ("value", "42")
            assert code(await client.post(f"{PATH}/{session.id}", json={"code": "x" * 40_000})) == "too_large"
            assert code(await client.post(f"{PATH}/{session.id}", json={})) == "invalid"
            assert code(await client.post(f"{PATH}/other", json={"code": "1"})) == "not_found"
            await session.end("enough")
            assert code(await client.post(f"{PATH}/{session.id}", json={"code": "1"})) == "not_found"

    web(body)


def test_the_answer_ends_with_the_repl(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            opening = asyncio.create_task(client.post(PATH, json={}))
            await until(lambda: bool(stage.rooms.workshop.repls._open))
            session = stage.rooms.workshop.repls._open[app.id, stage.operator.id]
            await session.ready()
            await session.end("enough")
            events = [json.loads(line) for line in (await opening).text.splitlines()]
            assert [event["event"] for event in events] == ["ready", "ended"]
            assert (events[0]["session"], events[1]["text"]) == (session.id, "enough")

    web(body)


def test_only_the_owner_and_never_another_s(web: Web) -> None:
    async def body(stage: Stage) -> None:
        token = await stage.guest()
        app = await stage.app("hello", token)
        session = await stage.rooms.workshop.repls.open(app, app.owner_id)
        async with stage.client(await stage.guest()) as stranger:
            assert code(await stranger.post(PATH)) == "not_found"
            assert code(await stranger.post(f"{PATH}/{session.id}", json={"code": "1"})) == "not_found"
        async with stage.client(stage.operator_token) as operator:
            assert code(await operator.post(f"{PATH}/{session.id}", json={"code": "1"})) == "not_found"
        await session.end("")

    web(body)
