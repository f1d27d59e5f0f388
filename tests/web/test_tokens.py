"""Tokens through the API: made, used within their limits, revoked."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
import pytest
from starlette.requests import Request

from steadyd.model import App, Scope
from steadyd.records.tokens import LABEL_CHARACTERS_MAX, Wish
from steadyd.web import auth, following
from steadyd.web.auth import Caller, check_still
from steadyd.web.rooms import Rooms
from steadyd.web.tokens import EXPIRY_DAYS_MAX
from tests.web.conftest import HELLO, Stage, Web, code


def test_made_listed_used_and_revoked(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(await stage.guest()) as client:
            made = await client.post("/api/tokens", json={"label": "ci", "scope": "read", "expires_in_days": 1})
            assert made.status_code == 201
            token, secret = made.json()["token"], made.json()["secret"]
            assert (token["scope"], token["app"], token["last_used_at"]) == ("read", None, None)
            async with stage.client(secret) as program:
                assert (await program.get("/api/me")).json()["user"]["kind"] == "guest"
            listed = (await client.get("/api/tokens")).json()["tokens"]
            assert [(item["label"], item["last_used_at"] is None) for item in listed] == [
                ("ci", False),
                ("test", False),
            ]
            assert secret not in (await client.get("/api/tokens")).text
            async with stage.client(await stage.guest()) as stranger:
                assert code(await stranger.delete(f"/api/tokens/{token['id']}")) == "not_found"
            assert (await client.delete(f"/api/tokens/{token['id']}")).status_code == 204
            async with stage.client(secret) as program:
                assert code(await program.get("/api/me")) == "unauthorized"

    web(body)


def test_bad_wishes_are_refused(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("theirs")
        async with stage.client(await stage.guest()) as client:
            for wrong in (
                {}, {"label": ""}, {"label": "x" * (LABEL_CHARACTERS_MAX + 1)}, {"label": "x", "scope": "root"},
                {"label": "x", "expires_in_days": 0}, {"label": "x", "expires_in_days": EXPIRY_DAYS_MAX + 1},
                {"label": "x", "more": 1},
            ):  # fmt: skip
                assert code(await client.post("/api/tokens", json=wrong)) == "invalid", wrong
            for name in ("theirs", "absent"):
                assert code(await client.post("/api/tokens", json={"label": "x", "app": name})) == "not_found"

    web(body)


def test_a_token_does_what_it_is_for(web: Web) -> None:
    async def body(stage: Stage) -> None:
        owner = await stage.guest()
        app, other = await stage.app("one", owner), await stage.app("two", owner)
        principal = (await stage.rooms.people.by_id(app.owner_id)) or stage.operator

        async def client_for(wish: Wish) -> str:
            return (await stage.rooms.library.tokens.add(principal, wish, stage.rooms.now()))[0]

        async with stage.client(await client_for(Wish("look", Scope.READ))) as reader:
            assert (await reader.get("/api/apps/one/logs")).status_code == 200
            refused = await reader.post("/api/apps/one/stop")
            assert (code(refused), refused.json()["error"]["details"]) == (
                "forbidden",
                {"scope": "read", "needs": "deploy"},
            )
            assert code(await reader.get("/api/tokens")) == "forbidden"
        async with stage.client(await client_for(Wish("ci", Scope.DEPLOY))) as deployer:
            assert (await deployer.put("/api/apps/one", content=HELLO)).status_code == 201
            assert code(await deployer.post("/api/tokens", json={"label": "more"})) == "forbidden"
            assert code(await deployer.patch("/api/me", json={})) == "forbidden"
        async with stage.client(await client_for(Wish("one", Scope.ALL, other.id))) as single:
            assert (await single.get("/api/me")).status_code == 200
            assert [app["name"] for app in (await single.get("/api/apps")).json()["apps"]] == ["two"]
            assert (await single.post("/api/apps/two/stop")).status_code == 200
            assert code(await single.post("/api/apps/one/stop")) == "not_found"
            assert set((await single.get("/api/apps/one")).json()["app"]) == {"name", "url", "state"}
            for path in ("/api/apps", "/api/tokens", "/api/users"):
                assert code(await single.post(path, json={})) == "forbidden", path
            assert code(await single.put("/api/apps/three", content=HELLO)) == "forbidden"

    web(body)


def test_pages_are_not_for_limited_tokens(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        secret, _ = await stage.rooms.library.tokens.add(stage.operator, Wish("x", Scope.READ), stage.rooms.now())
        async with stage.client(secret) as client:
            assert code(await client.get("/apps/hello")) == "forbidden"
            assert code(await client.get("/apps/hello/live")) == "not_found"

    web(body)


@pytest.mark.parametrize("path", ["/api/apps/hello/logs?follow=1", "/apps/hello/live"])
def test_a_revoked_token_ends_what_it_follows(web: Web, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(following, "ASKED_AGAIN_SECONDS_MAX", 0.05)

    asked: set[str] = set()
    both = asyncio.Event()

    async def counted(rooms: Rooms, request: Request, caller: Caller, app: App | None) -> None:
        asked.add(caller.secret)
        if len(asked) == 2:
            both.set()
        await check_still(rooms, request, caller, app)

    monkeypatch.setattr(auth, "check_still", counted)

    async def body(stage: Stage) -> None:
        owner = await stage.guest()
        await stage.app("hello", owner)
        async with stage.client(owner) as client, stage.client(stage.operator_token) as other:
            going_on = asyncio.create_task(other.get(path))
            reading = asyncio.create_task(client.get(path))
            async with asyncio.timeout(10.0):
                await both.wait()
            assert not reading.done()
            (token,) = (await client.get("/api/tokens")).json()["tokens"]
            await client.delete(f"/api/tokens/{token['id']}")
            with contextlib.suppress(httpx.HTTPError, AssertionError):  # it is cut, not ended
                await asyncio.wait_for(reading, 10.0)
            assert reading.done()
            assert not going_on.done()
            going_on.cancel()

    web(body)
