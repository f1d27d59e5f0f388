"""Creating, putting, listing, showing, deleting, starting and stopping apps through the API."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess

from steadyd.model import AppState
from tests.web.conftest import BROKEN, CLIENT, CONTROL, HELLO, Stage, Web, code


def test_a_bare_source_becomes_an_app_of_a_new_guest(web: Web) -> None:
    """`curl --data-binary @index.ts URL` as typed: curl's own content type, no token."""

    async def body(stage: Stage) -> None:
        async with stage.client(**{"content-type": "application/x-www-form-urlencoded"}) as client:
            made = await client.post("/api/apps?name=hello", content=HELLO)
        answer = made.json()
        assert made.status_code == 201
        assert made.headers["location"] == "/api/apps/hello"
        assert answer["app"]["url"] == "http://hello.localhost:8080"
        assert (answer["app"]["state"], answer["app"]["version"]) == ("running", 1)
        assert answer["app"]["temporary"] is True
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", answer["app"]["created_at"])
        assert answer["deploy"]["status"] == "live"
        assert made.text.endswith("}\n")
        async with stage.client(answer["token"]) as client:
            assert (await client.get("/api/apps/hello")).json()["app"]["owner"] == answer["app"]["owner"]

    web(body)


def test_without_a_name_the_app_gets_a_readable_one(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            made = await client.post("/api/apps", json={"files": {"index.ts": HELLO.decode()}})
        assert re.fullmatch(r"[a-z]+-[a-z]+-\d{3}", made.json()["app"]["name"])
        assert made.json()["app"]["temporary"] is False
        assert "token" not in made.json()

    web(body)


def test_only_the_operator_lists_everybodys_apps(web: Web) -> None:
    async def body(stage: Stage) -> None:
        guest = await stage.guest()
        await stage.app("theirs", guest)
        await stage.app("mine")
        async with stage.client(stage.operator_token) as client:
            assert [app["name"] for app in (await client.get("/api/apps")).json()["apps"]] == ["mine"]
            everybodys = (await client.get("/api/apps?all=1")).json()["apps"]
        assert [app["name"] for app in everybodys] == ["theirs", "mine"]
        for token in (guest, ""):
            async with stage.client(token) as client:
                assert code(await client.get("/api/apps?all=1")) == "forbidden"

    web(body)


def test_the_redeploy_line_works_as_typed(web: Web) -> None:
    """Its words are taken as a shell takes them, and sent."""

    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            made = (await client.post("/api/apps?name=hello", content=HELLO)).json()
        words = shlex.split(made["next"]["redeploy"])
        assert words[:4] == ["curl", "-X", "PUT", "-H"]
        assert words[5:] == ["--data-binary", "@index.ts", f"{CONTROL}/api/apps/hello"]
        name, _, value = words[4].partition(": ")
        async with stage.client() as client:
            again = await client.put(words[-1], content=HELLO, headers={name: value})
        assert again.status_code == 201
        assert again.json()["deploy"]["version"] == 2

    web(body)


def test_the_redeploy_line_of_several_files_packs_the_folder(web: Web) -> None:
    async def body(stage: Stage) -> None:
        files = {"index.ts": HELLO.decode(), "other.ts": "export {}"}
        async with stage.client(stage.operator_token) as client:
            made = (await client.post("/api/apps", json={"files": files})).json()
        line = made["next"]["redeploy"]
        assert line.startswith("tar -cz . | curl -X PUT ")
        assert (await asyncio.to_thread(subprocess.run, ["bash", "-n", "-c", line], check=False)).returncode == 0

    web(body)


def test_the_session_cookie_of_a_new_guest_is_for_this_host_alone(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            made = await client.post("/api/apps?name=hello", content=HELLO)
            cookie = made.headers["set-cookie"]
            assert cookie.startswith("steady-session-8080=")
            assert all(part in cookie for part in ("HttpOnly", "Path=/", "SameSite=lax"))
            assert "Domain" not in cookie
            assert [app["name"] for app in (await client.get("/api/apps")).json()["apps"]] == ["hello"]

    web(body)


def test_put_creates_and_then_deploys_for_ever(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            for version in (1, 2, 3):
                answer = await client.put("/api/apps/hello", content=HELLO)
                assert (answer.status_code, answer.json()["app"]["version"]) == (201, version)

    web(body)


def test_a_taken_name_says_how_to_redeploy(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            yours = await client.post("/api/apps?name=hello", content=HELLO)
        assert (yours.status_code, code(yours)) == (409, "name_taken")
        assert yours.json()["error"]["details"]["yours"] is True
        assert "PUT /api/apps/hello" in yours.json()["error"]["message"]
        async with stage.client() as client:
            other = await client.put("/api/apps/hello", content=HELLO)
        assert (other.status_code, code(other)) == (409, "name_taken")
        assert "curl -X PUT" in other.json()["error"]["message"]

    web(body)


def test_a_guests_next_app_of_a_name_takes_the_place_of_the_last(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(await stage.guest()) as client:
            assert (await client.post("/api/apps?name=hello", content=HELLO)).json()["app"]["version"] == 1
            again = await client.post("/api/apps?name=hello", content=HELLO)
            assert (again.status_code, again.json()["app"]["version"]) == (201, 2)

    web(body)


def test_a_failed_create_keeps_nothing(web: Web) -> None:
    """422 with step, reason and place; no app, no guest, and the name is free."""

    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            failed = await client.post("/api/apps?name=hello", content=BROKEN)
        assert (failed.status_code, code(failed)) == (422, "deploy_failed")
        details = failed.json()["error"]["details"]
        assert {"step", "reason", "logs"} <= set(details)
        assert (details["file"], details["line"]) == ("index.ts", 2)
        assert await stage.nobody_is_new()

    web(body)


def test_where_guests_are_off_a_stranger_makes_nothing(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.rebuilt(guests=False).client() as client:
            refused = await client.post("/api/apps?name=hello", content=HELLO)
        assert (refused.status_code, code(refused)) == (401, "unauthorized")
        assert await stage.nothing_is_written()

    web(body)


def test_one_address_makes_so_many_apps_an_hour(web: Web) -> None:
    """CREATIONS_PER_HOUR_MAX, also when they fail; loopback and the operator are free."""

    async def body(stage: Stage) -> None:
        for _ in range(60):
            stage.rooms.creations.take(CLIENT, stage.rooms.now())
        async with stage.client() as client:
            refused = await client.post("/api/apps?name=hello", content=HELLO)
            assert (refused.status_code, code(refused)) == (429, "rate_limited")
            assert 3500 < int(refused.headers["retry-after"]) <= 3600
            assert await stage.nothing_is_written()
            here = await client.post("/api/apps?name=hello", content=HELLO, headers={"x-forwarded-for": "127.0.0.1"})
            assert here.status_code == 201
        async with stage.client(stage.operator_token) as client:
            assert (await client.post("/api/apps?name=other", content=HELLO)).status_code == 201

    web(body)


def test_deleted_apps_stop_and_come_back_until_purged(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            gone = await client.delete("/api/apps/hello")
            assert (gone.status_code, gone.content) == (204, b"")
            assert (await client.delete("/api/apps/hello")).status_code == 204
            assert (await client.get("/api/apps")).json() == {"apps": []}
            listed = (await client.get("/api/apps?deleted=1")).json()["apps"]
            assert [(app["name"], app["state"]) for app in listed] == [("hello", "deleted")]
            assert "deleted_at" in listed[0]
            assert code(await client.post("/api/apps/hello/start")) == "conflict"
            assert code(await client.post("/api/apps?name=hello", content=HELLO)) == "name_taken"
            async with stage.client() as stranger:
                assert code(await stranger.get("/api/apps/hello")) == "not_found"
            back = await client.post("/api/apps/hello/undelete")
            assert back.json()["app"]["state"] == "stopped"
            assert (await client.delete("/api/apps/hello?purge=1")).status_code == 204
            assert code(await client.get("/api/apps/hello")) == "not_found"
            assert (await client.get("/api/apps?deleted=1")).json() == {"apps": []}

    web(body)


def test_stop_hold_start_and_restart(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        async with stage.client(stage.operator_token) as client:

            async def after(verb: str, content: bytes = b"") -> str:
                answer = await client.post(f"/api/apps/hello/{verb}", content=content)
                assert answer.status_code == 200, answer.text
                return str(answer.json()["app"]["state"])

            assert await after("stop") == AppState.STOPPED
            assert await after("start", b"{}") == AppState.RUNNING
            assert await after("stop", b'{"hold": true}') == AppState.HELD
            assert await after("restart") == AppState.RUNNING
            assert stage.rooms.fleet.state(app) is AppState.RUNNING
            assert code(await client.post("/api/apps/hello/stop", json={"hold": "yes"})) == "invalid"
            assert code(await client.post("/api/apps/hello/start", json={"now": True})) == "invalid"

    web(body)
