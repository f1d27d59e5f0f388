"""Renaming an app by the API."""

from __future__ import annotations

from tests.web.conftest import HELLO, Stage, Web, code

SAYS_WHO = b"export default { fetch: () => new Response(process.env.STEADY_APP) };"


def test_an_app_gets_another_name_and_its_instance_knows_it(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("one", content=SAYS_WHO)
        async with stage.client(stage.operator_token) as client:
            answer = await client.post("/api/apps/one/rename", json={"name": "two"})
            assert answer.status_code == 200, answer.text
            shown = answer.json()["app"]
            assert (shown["name"], shown["url"]) == ("two", "http://two.localhost:8080")
            runtime = stage.rooms.fleet.runtime(app.id)
            assert runtime is not None
            assert runtime.name == "two"
            await runtime.wake()
            assert runtime.plan is not None
            assert runtime.plan.environ["STEADY_APP"] == "two"
            assert runtime.plan.environ["STEADY_URL"] == "http://two.localhost:8080"
            again = await client.post("/api/apps/two/rename", json={"name": "two"})
            assert again.status_code == 200
        await stage.settled()
        events = [event.message for _, event in await stage.rooms.journal.events(app.id) if event.kind == "rename"]
        assert events == ["Renamed from “one” to “two” by operator."]

    web(body)


def test_under_the_old_name_its_owner_is_told_the_new_one_and_nobody_else(web: Web) -> None:
    async def body(stage: Stage) -> None:
        token, stranger = await stage.guest(), await stage.guest()
        await stage.app("one", token)
        async with stage.client(token) as client:
            assert (await client.post("/api/apps/one/rename", json={"name": "two"})).status_code == 200
            for path in ("", "/versions", "/logs"):
                told = await client.get(f"/api/apps/one{path}")
                assert (told.status_code, code(told)) == (404, "not_found")
                assert told.json()["error"]["details"]["renamed_to"] == "two"
            page = await client.get("/apps/one", headers={"accept": "text/html"})
            assert (page.status_code, page.headers["location"]) == (303, "/apps/two")
            refused = await client.put("/api/apps/one", content=HELLO)
            assert (refused.status_code, code(refused)) == (409, "name_taken")
            assert "/api/apps/two" in refused.json()["error"]["message"]
            assert (await client.get("/api/host/serves?domain=one.localhost")).status_code == 200
        async with stage.client(stranger) as client:
            seen = await client.get("/api/apps/one")
            assert (seen.status_code, "renamed_to" in seen.text) == (404, False)
            for call in (client.put("/api/apps/one", content=HELLO), client.post("/api/apps?name=one", content=HELLO)):
                refused = await call
                assert (refused.status_code, code(refused)) == (409, "name_taken")
                assert "two" not in refused.text
        async with stage.client(token) as client:
            made = await client.post("/api/apps?name=one", content=HELLO)
            assert made.status_code == 201, "its last owner may use it for another app, on purpose"

    web(body)


def test_a_bad_name_changes_nothing(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("one")
        await stage.app("two")
        async with stage.client(stage.operator_token) as client:
            for sent, status, said in [
                ({"name": "two"}, 409, "name_taken"),
                ({"name": "api"}, 422, "invalid_name"),
                ({"name": "No"}, 422, "invalid_name"),
                ({}, 422, "invalid"),
                ({"name": "x-y", "more": 1}, 422, "invalid"),
            ]:
                answer = await client.post("/api/apps/one/rename", json=sent)
                assert (answer.status_code, code(answer)) == (status, said), sent
            assert (await client.get("/api/apps/one")).json()["app"]["name"] == "one"
        async with stage.client(await stage.guest()) as client:
            assert (await client.post("/api/apps/one/rename", json={"name": "mine"})).status_code == 404

    web(body)
