"""Work that goes on after its answer."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from steadyd.web import background
from steadyd.web.background import WAIT_SECONDS_MAX, Preference, preference
from tests.web.conftest import BROKEN, HELLO, Stage, Web, code

LATER = {"prefer": "respond-async"}
SLOW = b"await Bun.sleep(500);\n" + HELLO
DEADLINE_SECONDS = 20.0


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Preference(False)),
        (["respond-async"], Preference(True)),
        (["Respond-Async, wait=10"], Preference(True, 10)),
        (['wait="5"', "respond-async;x=1"], Preference(True, 5)),
        (["respond-async, wait=1, wait=9"], Preference(True, 1)),
        (["respond-async, wait=9999999999999"], Preference(True, WAIT_SECONDS_MAX)),
        (["respond-async, wait=-1, wait=x"], Preference(True)),
        (["return=minimal, respond-asynchronously"], Preference(False)),
    ],
)
def test_what_is_preferred(headers: list[str], expected: Preference) -> None:
    assert preference(headers) == expected


async def outcome(client: httpx.AsyncClient, accepted: httpx.Response) -> dict[str, Any]:
    """The operation at its end."""
    assert accepted.status_code == 202, accepted.text
    assert accepted.headers["preference-applied"] == "respond-async"
    where = accepted.headers["location"]
    assert where == f"/api/operations/{accepted.json()['operation']['id']}"
    end = time.monotonic() + DEADLINE_SECONDS
    while True:
        found = (await client.get(where)).json()["operation"]
        if found["status"] != "running":
            return dict(found)
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def test_a_deploy_goes_on_after_its_answer(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            accepted = await client.post("/api/apps/hello/deploys", content=SLOW, headers=LATER)
            begun = accepted.json()["operation"]
            assert (begun["app"], begun["kind"], begun["status"]) == ("hello", "deploy", "running")
            assert (await client.get("/api/apps/hello")).json()["app"]["version"] == 1
            ended = await outcome(client, accepted)
            assert (ended["status"], ended["error"]) == ("done", None)
            assert (await client.get("/api/apps/hello")).json()["app"]["version"] == 2

    web(body)


def test_why_it_failed_is_read_at_the_operation(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            plain = (await client.post("/api/apps/hello/deploys", content=BROKEN)).json()["error"]
            ended = await outcome(client, await client.post("/api/apps/hello/deploys", content=BROKEN, headers=LATER))
            assert ended["status"] == "failed"
            assert ended["error"]["code"] == plain["code"] == "deploy_failed"
            assert ended["error"]["details"]["step"] == plain["details"]["step"]

    web(body)


def test_what_is_wrong_before_it_begins_is_an_ordinary_error(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            assert code(await client.post("/api/apps/none/deploys", content=HELLO, headers=LATER)) == "not_found"
            assert code(await client.post("/api/apps/hello/deploys", json={"x": 1}, headers=LATER)) == "invalid"
            taken = await client.post("/api/apps?name=hello", content=HELLO, headers=LATER)
            assert code(taken) == "name_taken"

    web(body)


def test_whoever_waits_a_while_has_the_answer_itself(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            waiting = {"prefer": f"respond-async, wait={WAIT_SECONDS_MAX}"}
            made = await client.put("/api/apps/hello", content=SLOW, headers=waiting)
            assert (made.status_code, made.json()["app"]["version"]) == (201, 1)
            named = await client.patch("/api/apps/hello/settings", json={"memory": "128MiB"}, headers=waiting)
            assert named.status_code == 200

    web(body)


def test_every_call_that_is_an_operation_may_go_on(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            made = await client.put("/api/apps/hello", content=HELLO, headers=LATER)
            assert (await outcome(client, made))["kind"] == "create"
            await client.put("/api/apps/hello", content=SLOW)
            for path, content, kind in (
                ("rollback", {"version": 2}, "rollback"),
                ("restart", {}, "restart"),
                ("stop", {}, "stop"),
                ("start", {}, "start"),
            ):
                accepted = await client.post(f"/api/apps/hello/{path}", json=content, headers=LATER)
                ended = await outcome(client, accepted)
                assert (ended["kind"], ended["status"]) == (kind, "done")

    web(body)


def test_a_guest_gets_the_token_that_reads_how_it_ended(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as stranger:
            accepted = await stranger.post("/api/apps?name=mine", content=SLOW, headers=LATER)
        async with stage.client(accepted.json()["token"]) as guest:
            assert (await outcome(guest, accepted))["status"] == "done"
            assert [app["name"] for app in (await guest.get("/api/apps")).json()["apps"]] == ["mine"]
            assert (await guest.put("/api/apps/mine", content=HELLO)).status_code == 201
        async with stage.client() as stranger:
            accepted = await stranger.post("/api/apps?name=broken", content=BROKEN, headers=LATER)
        async with stage.client(accepted.json()["token"]) as guest:
            ended = await outcome(guest, accepted)
            assert (ended["status"], ended["error"]["code"]) == ("failed", "deploy_failed")
            await stage.rooms.workshop.operations.close()  # nothing is kept of it once all has ended
            assert (await guest.get("/api/apps")).json()["apps"] == []

    web(body)


async def until_taken(client: httpx.AsyncClient) -> httpx.Response:
    """What has ended in the journal ends here a moment later."""
    deadline = time.monotonic() + 10.0
    while (answer := await client.post("/api/apps/hello/restart", headers=LATER)).status_code == 503:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    return answer


def test_so_many_go_on_at_once(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            monkeypatch.setattr(background, "BACKGROUND_MAX", 1)
            accepted = await client.post("/api/apps/hello/deploys", content=SLOW, headers=LATER)
            refused = await client.post("/api/apps/hello/restart", headers=LATER)
            assert (code(refused), refused.headers["retry-after"]) == ("overloaded", "2")
            assert (await outcome(client, accepted))["status"] == "done"
            again = await until_taken(client)
            assert (await outcome(client, again))["status"] == "done"

    web(body)


def test_the_description_says_which_calls_may_go_on(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            paths = (await client.get("/api/openapi.json")).json()["paths"]
        deploys, listing = paths["/api/apps/{name}/deploys"]["post"], paths["/api/apps"]["get"]
        accepted = deploys["responses"]["202"]["content"]["application/json"]["schema"]["$ref"]
        assert accepted.endswith("/Accepted")
        assert "Prefer" in [parameter["name"] for parameter in deploys["parameters"]]
        assert "202" not in listing["responses"]

    web(body)


def test_what_goes_on_is_ended_before_the_daemon_is(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            accepted = await client.post("/api/apps/hello/deploys", content=SLOW, headers=LATER)
            await stage.rooms.workshop.close()
            assert (await client.get(accepted.headers["location"])).json()["operation"]["status"] == "done"

    web(body)
