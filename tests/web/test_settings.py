"""Settings through the API."""

from __future__ import annotations

import asyncio
import json

import pytest

from steadyd.model import AppState, Limits
from steadyd.settings import Policy
from tests.web.conftest import HELLO, Stage, Web, code

POLICY = Policy(ceilings=Limits(1 << 30, 4.0, 512, 10 << 30))
PATH = "/api/apps/hello/settings"


def package(**steady: object) -> dict[str, str]:
    return {"index.ts": HELLO.decode(), "package.json": json.dumps({"steady": steady})}


def test_what_is_true_who_said_so_and_how_far_it_may_go(web: Web) -> None:
    async def body(stage: Stage) -> None:
        stage.rooms.apps.policy = POLICY
        async with stage.client(stage.operator_token) as client:
            files = package(memory="64MiB", idle="never", trial={"health": "/up"})
            assert (await client.post("/api/apps", json={"name": "hello", "files": files})).status_code == 201
            changed = await client.patch(PATH, json={"cpus": 0.5, "idle": "1h", "network": "none"})
            assert changed.status_code == 200, changed.text
            assert changed.json() == (await client.get(PATH)).json()
            assert changed.json() == {
                "settings": {
                    "memory": 64 << 20, "cpus": 0.5, "processes": 64, "disk": 1 << 30, "idle": 3600.0,
                    "network": "none", "notify": "",
                    "trial": {"network": "auto", "health": "/up", "mode": "full", "test": False},
                    "visibility": "private-source", "auto_rollback": True, "durability": "host",
                },
                "sources": {
                    "memory": "version", "cpus": "owner", "processes": "host", "disk": "host", "idle": "owner",
                    "network": "owner", "notify": "host", "trial": "version",
                    "visibility": "host", "auto_rollback": "host", "durability": "host",
                },
                "ceilings": {"memory": 1 << 30, "cpus": 4.0, "processes": 512, "disk": 10 << 30},
            }  # fmt: skip
            await stage.settled()
            assert (
                "settings: Settings changed: cpus, idle, network.\n"
                in (await client.get("/api/apps/hello/events")).text
            )
            back = (await client.patch(PATH, json={"idle": None})).json()
            assert (back["settings"]["idle"], back["sources"]["idle"]) == ("never", "version")
            app = (await client.get("/api/apps/hello")).json()["app"]
            assert (app["limits"]["memory_bytes"], app["limits"]["cpus"]) == (64 << 20, 0.5)
            assert app["settings"] == {
                "idle_seconds": 0.0, "network": "none", "notify": "", "visibility": "private-source",
                "auto_rollback": True, "durability": "host",
                "trial": {"network": "auto", "health": "/up", "mode": "full", "test": False},
            }  # fmt: skip

    web(body)


def test_a_new_version_brings_its_own_and_the_owner_keeps_theirs(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            await client.patch(PATH, json={"cpus": 0.5})
            deployed = await client.post("/api/apps/hello/deploys", json={"files": package(cpus=0.7, idle="2h", no=1)})
            assert deployed.json()["notes"] == ["Nothing reads “steady.no” in package.json; it is ignored."]
            settings = (await client.get(PATH)).json()["settings"]
            assert (settings["cpus"], settings["idle"]) == (0.5, 7200.0)
            runtime = stage.rooms.fleet.runtime((await stage.rooms.apps.everything())[0].id)
            assert runtime is not None
            assert runtime.settings.idle_seconds == 7200.0
            await client.post("/api/apps/hello/rollback", json={"version": 1})
            assert (await client.get(PATH)).json()["settings"]["idle"] == 900.0
            assert runtime.settings.idle_seconds == 900.0

    web(body)


def test_durability_is_the_hosts_or_the_replicas(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            for said, is_now, source in (
                ("host", "host", "owner"),
                ("replica", "replica", "owner"),
                (None, "host", "host"),
            ):
                changed = (await client.patch(PATH, json={"durability": said})).json()
                assert (changed["settings"]["durability"], changed["sources"]["durability"]) == (is_now, source)
            refused = await client.patch(PATH, json={"durability": "disk", "cpus": 0.5})
            assert (refused.status_code, refused.json()["error"]["details"]) == (422, {"field": "durability"})
            assert (await client.get(PATH)).json()["settings"]["cpus"] == 1.0

    web(body)


def test_the_fields_of_a_trial_are_set_one_by_one(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            await client.patch(PATH, json={"trial": {"health": False, "network": "off"}})
            answer = (await client.patch(PATH, json={"trial": {"network": None, "mode": "start"}})).json()
            assert answer["settings"]["trial"] == {"network": "auto", "health": False, "mode": "start", "test": False}
            assert answer["sources"]["trial"] == "owner"
            answer = (await client.patch(PATH, json={"trial": None})).json()
            assert (answer["settings"]["trial"]["health"], answer["sources"]["trial"]) == ("/", "host")

    web(body)


def test_above_a_ceiling_is_refused_and_names_it(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        stage.rooms.apps.policy = POLICY
        async with stage.client(stage.operator_token) as client:
            for field, value, ceiling in (("processes", 513, 512), ("disk", "11GiB", 10 << 30), ("memory", 0, 1 << 30)):
                refused = await client.patch(PATH, json={"cpus": 0.5, field: value})
                assert (refused.status_code, code(refused)) == (422, "invalid")
                assert refused.json()["error"]["details"] == {"field": field, "ceiling": ceiling}
            assert (await client.get(PATH)).json()["sources"]["cpus"] == "host", "all or nothing"

    web(body)


def test_a_file_that_asks_for_too_much_fails_the_deploy_and_nothing_else(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        stage.rooms.apps.policy = POLICY
        async with stage.client(stage.operator_token) as client:
            refused = await client.post("/api/apps/hello/deploys", json={"files": package(memory="2GiB")})
            assert (refused.status_code, code(refused)) == (422, "deploy_failed")
            details = refused.json()["error"]["details"]
            assert (details["step"], details["file"], details["field"]) == ("check", "package.json", "steady.memory")
            assert (await client.get("/api/apps/hello")).json()["app"]["version"] == 1

    web(body)


@pytest.mark.parametrize(
    "body",
    [
        {"trial": {"on": 1}},
        {"trial": {"network": "on"}},
        {"trial": 1},
        {"memory": True},
        {"memory": "lots"},
        {"network": "all"},
        {"idle": []},
    ],
)
def test_what_is_no_setting_is_refused_by_name(web: Web, body: dict[str, object]) -> None:
    async def run(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            refused = await client.patch(PATH, json=body)
            assert (refused.status_code, code(refused)) == (422, "invalid")
            assert next(iter(body)) in refused.json()["error"]["message"]

    web(run)


def test_they_are_the_owners_business(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(await stage.guest()) as client:
            assert (await client.get(PATH)).status_code == (await client.patch(PATH, json={})).status_code == 404

    web(body)


def test_a_guest_has_a_guests_ceilings(web: Web) -> None:
    async def body(stage: Stage) -> None:
        token = await stage.guest()
        await stage.app("hello", token)
        async with stage.client(token) as client:
            assert (await client.get(PATH)).json()["ceilings"]["memory"] == 128 << 20
            assert code(await client.patch(PATH, json={"memory": "256MiB"})) == "invalid"

    web(body)


def test_a_sleeping_app_takes_them_and_stays_asleep(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            await client.post("/api/apps/hello/stop", json={})
            assert (await client.patch(PATH, json={"network": "none", "memory": "64MiB"})).status_code == 200
        assert stage.rooms.fleet.state(app) is AppState.STOPPED

    web(body)


def test_changes_at_once_all_count(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            wishes: list[dict[str, object]] = [
                {"cpus": 0.5},
                {"memory": "64MiB"},
                {"processes": 99},
                {"network": "none"},
            ]
            await asyncio.gather(*(client.patch(PATH, json=wish) for wish in wishes))
            answer = (await client.get(PATH)).json()
            assert [name for name, source in answer["sources"].items() if source == "owner"] == [
                "memory", "cpus", "processes", "network",
            ]  # fmt: skip

    web(body)
