"""The journal of operations, per app and per person, and cancelling one."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from steadyd.web.operations import LISTED_MAX, OperationAnswer
from tests.web.conftest import BROKEN, HELLO, Stage, Web, code

SLOW = b"await new Promise((done) => setTimeout(done, 60_000));\n" + HELLO
DEADLINE_SECONDS = 10.0


def test_what_was_done_is_listed_with_steps_times_and_outcome(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            assert code(await client.post("/api/apps/hello/deploys", content=BROKEN)) == "deploy_failed"
            await client.post("/api/apps/hello/restart")
            listed = (await client.get("/api/apps/hello/operations")).json()["operations"]
            assert [(item["kind"], item["status"]) for item in listed] == [
                ("restart", "done"), ("deploy", "failed"), ("create", "done"),
            ]  # fmt: skip
            restart, failed, create = listed
            assert [step["name"] for step in restart["steps"]] == ["drain", "switch"]
            assert failed["error"]["code"] == "deploy_failed"
            assert failed["error"]["details"]["file"] == "index.ts"
            assert [step["name"] for step in create["steps"]][-2:] == ["drain", "switch"]
            assert create["by"] == "operator"
            assert create["ms"] >= sum(step["ms"] for step in create["steps"]) * 0.9
            assert (await client.get(f"/api/operations/{create['id']}")).json() == {"operation": create}
            assert (await client.get("/api/operations?limit=1")).json() == {"operations": [restart]}

    web(body)


def test_nobody_else_sees_them(web: Web) -> None:
    async def body(stage: Stage) -> None:
        guest, other = await stage.guest(), await stage.guest()
        await stage.app("theirs", guest)
        async with stage.client(guest) as client:
            mine = (await client.get("/api/operations")).json()["operations"]
            assert [item["app"] for item in mine] == ["theirs"]
        address = f"/api/operations/{mine[0]['id']}"
        async with stage.client(other) as client:
            assert (await client.get("/api/operations")).json() == {"operations": []}
            for work in (client.get(address), client.post(f"{address}/cancel"), client.get("/api/operations/x")):
                assert code(await work) == "not_found"
        async with stage.client() as client:
            assert code(await client.get(address)) == "unauthorized"
        async with stage.client(stage.operator_token) as client:
            assert (await client.get(address)).status_code == 200

    web(body)


def test_an_operation_outlives_a_create_that_failed(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            assert code(await client.put("/api/apps/hello", content=BROKEN)) == "deploy_failed"
            (found,) = (await client.get("/api/operations")).json()["operations"]
            assert (found["app"], found["kind"], found["status"]) == ("hello", "create", "failed")

    web(body)


def test_a_deploy_is_cancelled_in_its_trial_and_changes_nothing(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            deploying = asyncio.create_task(client.post("/api/apps/hello/deploys", content=SLOW))
            running = await _running(client, "trial")
            answer = await client.post(f"/api/operations/{running['id']}/cancel")
            assert msgspec.json.decode(answer.content, type=OperationAnswer).operation.id == running["id"]
            cancelled = answer.json()["operation"]
            assert (cancelled["status"], cancelled["error"]["code"]) == ("cancelled", "cancelled")
            assert code(await deploying) == "cancelled"
            app = (await client.get("/api/apps/hello")).json()["app"]
            assert (app["version"], app["state"]) == (1, "running")
            assert [deploy["status"] for deploy in (await client.get("/api/apps/hello/deploys")).json()["deploys"]] == [
                "failed", "live",
            ]  # fmt: skip
            assert code(await client.post(f"/api/operations/{running['id']}/cancel")) == "conflict"

    web(body)


def test_a_list_has_an_end(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            assert (await client.get(f"/api/operations?limit={LISTED_MAX}")).status_code == 200
            assert code(await client.get(f"/api/operations?limit={LISTED_MAX + 1}")) == "invalid"

    web(body)


async def _running(client: Any, step: str) -> dict[str, Any]:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            listed = (await client.get("/api/apps/hello/operations")).json()["operations"]
            if listed and listed[0]["status"] == "running" and listed[0]["step"] == step:
                return dict(listed[0])
