"""The control plane as an app of the operator's."""

from __future__ import annotations

from typing import Any

import pytest

from steadyd.runner.core import Core
from steadyd.web.core import OPEN, PLACES
from steadyd.web.frame import PLACES as ALL_PLACES
from tests.served import Daemon, until
from tests.web.calls import APP, CALLS
from tests.web.conftest import CONTROL, Stage, Web, code, form_token

WORDS = dict.fromkeys("file n m id run session target path".split(), "1") | {"name": "steady"}


def with_core(stage: Stage) -> Core:
    core = stage.rooms.fleet.core = Core("control", stage.operator, stage.rooms.now(), lambda: 7)
    (stage.folder / "apps" / "control").mkdir()
    return core


def test_the_operator_looks_at_it_and_changes_nothing(web: Web) -> None:
    async def body(stage: Stage) -> None:
        with_core(stage)
        stage.rooms.logs.add("control", 0, "app", [b"ready"])
        async with stage.client(stage.operator_token) as operator:
            app = (await operator.get("/api/apps/steady")).json()["app"]
            assert (app["name"], app["url"], app["state"], app["owner"]) == ("steady", CONTROL, "running", "operator")
            assert app["usage"]["requests"] == 7
            assert app["usage"]["memory_bytes"] > 10 << 20
            assert "| ready" in (await operator.get("/api/apps/steady/logs")).text
            assert (await operator.get("/api/apps/steady/requests")).status_code == 200
            metrics = (await operator.get("/api/apps/steady/metrics")).json()["metrics"]
            assert metrics["memory"]["now_bytes"] > 10 << 20
            closed = [call for call in CALLS if call.startswith(tuple(f"{m} {APP}" for m in METHODS))]
            for call in closed:
                if call in OPEN:
                    continue
                method, path = call.split(" ")
                answer = await operator.request(method, path.format(**WORDS), json=CALLS[call].body)
                assert code(answer) == "core_service", call
            assert code(await operator.post("/api/apps", json={"name": "steady", "files": {}})) != "core_service"
        assert await stage.rooms.apps.everything() == []

    web(body)


METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")


def test_to_everybody_else_it_is_a_name_that_nobody_has(web: Web) -> None:
    async def body(stage: Stage) -> None:
        with_core(stage)
        for token in ("", await stage.guest()):
            async with stage.client(token, accept="text/html") as client:
                for part in ("", "/logs", "/requests", "/metrics"):
                    assert code(await client.get(f"/api/apps/steady{part}")) == "not_found", part
                    page = await client.get(f"/apps/steady{part}")
                    assert (page.status_code, page.headers["steady-error"]) == (404, "not_found"), part
                assert (await client.get("/apps/steady/live")).status_code == 404
                assert code(await client.put("/api/apps/steady", content=b"export default 1")) == "invalid_name"

    web(body)


def test_its_pages_have_the_frame_of_an_app_and_none_of_its_forms(web: Web) -> None:
    async def body(stage: Stage) -> None:
        with_core(stage)
        session = await stage.rooms.people.add_session(stage.operator, stage.rooms.now())
        cookie = f"__Host-steady-session-8080={session}"
        async with stage.client(cookie=cookie, accept="text/html") as browser:
            first = await browser.get("/apps/steady")
            assert first.status_code == 303
            has = [place for place in ALL_PLACES if place in PLACES]
            assert first.headers["location"] == f"/apps/steady/{has[0]}"
            for place in has:
                page = await browser.get(f"/apps/steady/{place}")
                assert page.status_code == 200, place
                assert f'href="{CONTROL}"' in page.text
                assert "Restart" not in page.text
                assert "/apps/steady/settings" not in page.text
            refused = await browser.get("/apps/steady/settings")
            assert (refused.status_code, refused.headers["steady-error"]) == (409, "core_service")
            form = {"form_token": form_token(page.text)}
            for verb in ("stop", "delete", "deploy", "rollback"):
                refused = await browser.post(f"/apps/steady/{verb}", data=form)
                assert (refused.status_code, refused.headers["steady-error"]) == (409, "core_service"), verb

    web(body)


def test_only_looking_is_open() -> None:
    assert {call.split(" ")[0] for call in OPEN} == {"GET"}


@pytest.mark.process
def test_it_records_its_requests_without_secrets_and_not_those_about_itself(daemon: Daemon) -> None:
    daemon.api("GET", "/apps?deleted=1")
    with daemon.client as client:
        client.get("/login/a-secret-that-works-once")
        client.get("/api/apps/steady/logs")
        client.get("/api/apps", headers={"referer": f"{daemon.url}/login/a-secret-that-works-once"})

    def kept() -> list[dict[str, Any]]:
        found = daemon.api("GET", "/apps/steady/requests", headers={"accept": "application/json"}).json()
        return list(found["requests"])

    def paths() -> list[str]:
        return [request["path"] for request in kept()]

    until(lambda: "/login/…" in paths())
    assert "/api/apps" in paths()
    assert not [path for path in paths() if "secret" in path or path.startswith("/api/apps/steady/")]
    for request in kept():
        assert "a-secret-that" not in daemon.api("GET", f"/apps/steady/requests/{request['id']}").text
    assert "steadyd ready on" in daemon.api("GET", "/apps/steady/logs").text
    assert daemon.api("GET", "/apps/steady/metrics").json()["metrics"]["requests"] > 0
