"""Crons through the API. Real apps, real Bun."""

from __future__ import annotations

import json
from typing import Any

import pytest

from steadyd.web.crons import LINES_MAX, NEXT
from tests.runner.conftest import ask
from tests.web.conftest import Stage, Web, code

PATH = "/api/apps/hello/crons"
APP = """
let nightly = 0;
export function tidy() { nightly++; console.log("tidied", nightly); }
export default {
  fetch(request: Request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/fail") { console.log("about to fail"); return new Response("not today", { status: 500 }); }
    if (pathname === "/noisy") for (let line = 0; line < 1200; line++) console.log(line);
    if (pathname === "/count") return Response.json({ nightly, pid: process.pid });
    console.log(request.method, request.headers.get("steady-cron"));
    return new Response();
  },
};
"""
SAID = [
    {"schedule": "0 9 * * *", "timezone": "Europe/Berlin", "path": "/tick"},
    {"schedule": "@hourly", "path": "/fail"},
]


async def made(stage: Stage, crons: list[dict[str, Any]] | None = None) -> None:
    """The app `hello`, with these crons in its file."""
    files = {"index.ts": APP, "steady.json": json.dumps({"crons": crons if crons is not None else SAID})}
    async with stage.client(stage.operator_token) as client:
        answer = await client.put("/api/apps/hello", json={"files": files})
        assert answer.status_code == 201, answer.text


def test_what_the_file_says_is_listed_with_what_comes(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await made(stage)
        async with stage.rebuilt(now=lambda: 1_767_225_600.0).client(stage.operator_token) as client:
            fail, tick = (await client.get(PATH)).json()["crons"]
            assert tick == {
                "id": "tick", "schedule": "0 9 * * *", "timezone": "Europe/Berlin", "path": "/tick", "export": "",
                "method": "POST", "source": "file", "enabled": True, "runs": [],
                "next": [f"2026-01-0{day}T08:00:00Z" for day in range(1, NEXT + 1)],
            }  # fmt: skip
            assert fail["id"] == "fail"

    web(body)


def test_one_is_run_now_and_its_log_stands_with_it(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await made(stage)
        async with stage.client(stage.operator_token) as client:
            done = (await client.post(f"{PATH}/tick/run")).json()
            run = done["run"]
            assert (run["outcome"], run["status"], run["version"], run["by_hand"]) == ("ok", 200, 1, True)
            assert [line["text"] for line in done["logs"] if line["source"] == "app"][-1] == "POST tick"
            failed = (await client.post(f"{PATH}/fail/run", json={})).json()["run"]
            assert (failed["outcome"], failed["error"]) == ("failed", "It answered 500. not today")
            listed = (await client.get(f"{PATH}/fail/runs")).json()["runs"]
            assert listed == [failed]
            told = (await client.get(f"{PATH}/fail/runs/{failed['id']}")).json()
            assert told["run"] == failed
            said = [line["text"] for line in told["logs"]]
            assert said == ["about to fail", "Cron “fail”: It answered 500. not today"]
            assert (await client.get(PATH)).json()["crons"][0]["runs"] == [failed]

    web(body)


def test_of_what_a_run_said_the_last_lines_are_told(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await made(stage, [{"schedule": "@daily", "path": "/noisy"}])
        async with stage.client(stage.operator_token) as client:
            run = (await client.post(f"{PATH}/noisy/run")).json()["run"]
            told = (await client.get(f"{PATH}/noisy/runs/{run['id']}")).json()["logs"]
            assert len(told) == LINES_MAX

    web(body)


def test_one_of_ones_own_is_made_changed_turned_off_and_deleted(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await made(stage, [])
        async with stage.client(stage.operator_token) as client:
            new = {"schedule": "@daily", "path": "/tick", "method": "GET"}
            cron = (await client.put(f"{PATH}/mine", json=new)).json()["cron"]
            assert (cron["id"], cron["source"], cron["method"], len(cron["next"])) == ("mine", "api", "GET", NEXT)
            changed = {"schedule": "@hourly", "path": "/tick"}
            assert (await client.put(f"{PATH}/mine", json=changed)).json()["cron"]["schedule"] == "@hourly"
            off = (await client.put(f"{PATH}/mine", json={"enabled": False})).json()["cron"]
            assert (off["enabled"], off["next"], off["schedule"]) == (False, [], "@hourly")
            await made(stage, [])
            assert [cron["id"] for cron in (await client.get(PATH)).json()["crons"]] == ["mine"]
            assert (await client.delete(f"{PATH}/mine")).status_code == 204
            assert code(await client.delete(f"{PATH}/mine")) == "not_found"
            assert (await client.get(PATH)).json() == {"crons": []}

    web(body)


def test_one_of_the_file_is_changed_there_and_turned_off_here(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await made(stage)
        async with stage.client(stage.operator_token) as client:
            assert code(await client.put(f"{PATH}/tick", json={"schedule": "@daily", "path": "/"})) == "conflict"
            assert code(await client.delete(f"{PATH}/tick")) == "conflict"
            assert not (await client.put(f"{PATH}/tick", json={"enabled": False})).json()["cron"]["enabled"]
            await made(stage)
            found = {cron["id"]: cron["enabled"] for cron in (await client.get(PATH)).json()["crons"]}
            assert found == {"fail": True, "tick": False}  # another version does not turn it on again

    web(body)


def test_a_version_whose_cron_calls_nothing_is_refused(web: Web) -> None:
    async def body(stage: Stage) -> None:
        files = {"index.ts": APP, "steady.json": json.dumps({"crons": [{"schedule": "@daily", "export": "tydi"}]})}
        async with stage.client(stage.operator_token) as client:
            answer = await client.put("/api/apps/hello", json={"files": files})
            assert code(answer) == "deploy_failed"
            error = answer.json()["error"]
            assert error["details"]["step"] == "trial"
            assert "The cron “tydi” names the function “tydi”, which" in error["message"]

    web(body)


def test_a_function_can_be_called_of_an_app_that_was_not_asked_to_be_before(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await made(stage, [])
        app = await stage.rooms.apps.by_name("hello")
        assert app is not None
        runtime = stage.rooms.fleet.runtime(app.id)
        assert runtime is not None
        before = json.loads((await ask(runtime, "/count"))[1])
        async with stage.client(stage.operator_token) as client:
            answer = await client.put(f"{PATH}/night", json={"schedule": "@daily", "export": "tidy"})
            assert answer.status_code == 200, answer.text
            done = (await client.post(f"{PATH}/night/run")).json()
            assert done["run"]["outcome"] == "ok", done
            after = json.loads((await ask(runtime, "/count"))[1])
            assert (before["nightly"], after["nightly"]) == (0, 1)
            assert before["pid"] != after["pid"]

    web(body)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"schedule": "61 * * * *"}, "schedule"),
        ({"path": "/tick"}, "schedule"),
        ({"schedule": "@daily", "timezone": "Mars"}, "timezone"),
        ({"schedule": "@daily", "path": "tick"}, "path"),
        ({"schedule": "@daily", "path": "/", "export": "x"}, "export"),
    ],
)
def test_bad_ones_change_nothing(web: Web, said: dict[str, str], wrong: str) -> None:
    async def body(stage: Stage) -> None:
        await made(stage, [])
        async with stage.client(stage.operator_token) as client:
            answer = await client.put(f"{PATH}/mine", json=said)
            assert code(answer) == "invalid"
            assert answer.json()["error"]["details"]["field"] == wrong
            assert code(await client.put(f"{PATH}/mine", json={**said, "every": 5})) == "invalid"
            assert code(await client.put(f"{PATH}/Not%20one", json={"schedule": "@daily", "path": "/"})) == "invalid"
            assert (await client.get(PATH)).json() == {"crons": []}

    web(body)


def test_what_is_not_there_and_who_may_not(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await made(stage)
        async with stage.client(stage.operator_token) as client:
            assert code(await client.post(f"{PATH}/none/run")) == "not_found"
            assert code(await client.put(f"{PATH}/none", json={"enabled": True})) == "not_found"
            for number in ("1", "x", "9" * 30):
                assert code(await client.get(f"{PATH}/tick/runs/{number}")) == "not_found"
            assert code(await client.get(f"{PATH}/nothing/runs")) == "not_found"
        for stranger in (await stage.guest(), ""):
            async with stage.client(stranger) as client:
                for answer in (
                    await client.get(PATH),
                    await client.put(f"{PATH}/tick", json={"enabled": False}),
                    await client.delete(f"{PATH}/tick"),
                    await client.post(f"{PATH}/tick/run", json={}),
                    await client.get(f"{PATH}/tick/runs"),
                ):
                    assert code(answer) in ("not_found", "unauthorized")

    web(body)
