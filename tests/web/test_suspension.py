"""The operator takes apps out of service; their owners are told why and can do nothing about it."""

from __future__ import annotations

from steadyd.web.suspension import REASON, REASON_CHARACTERS_MAX
from tests.web.conftest import HELLO, Stage, Web, code


def test_a_suspended_app_shows_its_owner_why(web: Web) -> None:
    async def body(stage: Stage) -> None:
        owner = await stage.guest()
        await stage.app("hello", owner)
        async with stage.client(stage.operator_token) as operator, stage.client(owner) as client:
            done = await operator.post("/api/apps/hello/suspend", json={"reason": " It sends spam. "})
            assert (done.status_code, done.json()["app"]["state"]) == (200, "suspended")
            app = (await client.get("/api/apps/hello")).json()["app"]
            assert (app["state"], app["suspended"]) == ("suspended", "It sends spam.")
            for method, path, content in (
                ("POST", "/start", b""), ("POST", "/restart", b""), ("POST", "/deploys", HELLO), ("PUT", "", HELLO),
                ("PATCH", "/settings", b"{}"), ("POST", "/rename", b'{"name": "other"}'), ("PUT", "/env", b"{}"),
            ):  # fmt: skip
                kind = {"content-type": "text/plain" if content == HELLO else "application/json"}
                refused = await client.request(method, f"/api/apps/hello{path}", content=content, headers=kind)
                assert (refused.status_code, code(refused)) == (451, "suspended"), path
                assert "It sends spam." in refused.json()["error"]["message"]
            assert (await client.get("/api/apps/hello/versions/1/files/index.ts")).content == HELLO
            async with stage.client() as stranger:
                assert set((await stranger.get("/api/apps/hello")).json()["app"]) == {"name", "url", "state"}
            async with stage.client(owner, accept="text/html") as page:
                assert "Suspended by the operator: It sends spam." in (await page.get("/apps/hello")).text
            resumed = (await operator.post("/api/apps/hello/resume")).json()["app"]
            assert (resumed["state"], "suspended" in resumed) == ("stopped", False)
            assert (await client.post("/api/apps/hello/start")).json()["app"]["state"] == "running"

    web(body)


def test_its_owner_may_delete_it_and_nothing_is_forgotten(web: Web) -> None:
    async def body(stage: Stage) -> None:
        owner = await stage.guest()
        await stage.app("hello", owner)
        async with stage.client(stage.operator_token) as operator, stage.client(owner) as client:
            await operator.post("/api/apps/hello/suspend")
            assert (await client.get("/api/apps/hello")).json()["app"]["suspended"] == REASON
            assert (await client.delete("/api/apps/hello")).status_code == 204
            assert code(await client.post("/api/apps/hello/undelete")) == "suspended"

    web(body)


def test_bad_reasons_and_absent_apps(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as operator:
            for wrong in ({"reason": "x" * (REASON_CHARACTERS_MAX + 1)}, {"reason": 7}, {"why": "x"}):
                assert code(await operator.post("/api/apps/hello/suspend", json=wrong)) == "invalid"
            for call in ("suspend", "resume"):
                assert code(await operator.post(f"/api/apps/absent/{call}")) == "not_found"
            assert (await operator.post("/api/apps/hello/resume")).json()["app"]["state"] == "running"

    web(body)
