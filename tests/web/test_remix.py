"""A remix has the code, the names of the variables, and nothing else of the original."""

from __future__ import annotations

from typing import Any

import httpx

from tests.web.conftest import HELLO, Stage, Web, code

SAYS = b"export default { fetch: () => new Response(JSON.stringify([process.env.API_KEY, process.env.PLAIN])) };\n"
NEEDS = b'if (!process.env.API_KEY) throw new Error("no key");\n' + SAYS


async def original(stage: Stage, content: bytes = SAYS, visibility: str = "public") -> str:
    """An app with two variables; its owner's token."""
    token = await stage.guest()
    async with stage.client(token) as client:
        made = await client.put(
            "/api/apps/first",
            json={
                "files": {"index.ts": content.decode(), "lib/page.html": "<p>"},
                "env": {"API_KEY": "s3cr3t", "PLAIN": "p"},
            },
        )
        assert made.status_code == 201, made.text
        assert (await client.patch("/api/apps/first/settings", json={"visibility": visibility})).status_code == 200
    return token


async def remix(client: httpx.AsyncClient, **more: Any) -> httpx.Response:
    return await client.post("/api/apps", json={"name": "second", "from": "first", **more})


def test_a_remix_is_an_app_of_its_own_with_the_names_of_the_variables(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await original(stage)
        token = await stage.guest()
        async with stage.client(token) as client:
            made = await remix(client, message="mine now", env={"PLAIN": "q"})
            assert made.status_code == 201, made.text
            assert "s3cr3t" not in made.text
            assert any("API_KEY" in note and "steadyd env second set" in note for note in made.json()["notes"])
            version = (await client.get("/api/apps/second/versions/1")).json()
            told = version["version"]
            assert (told["source"], told["remix_of"], told["message"]) == ("remix", "first", "mine now")
            assert [file["path"] for file in version["files"]] == ["index.ts", "lib/page.html"]
            env = (await client.get("/api/apps/second/env")).json()["env"]
            assert {name: (one["secret"], one["contexts"]) for name, one in env.items()} == {
                "API_KEY": (True, []),
                "PLAIN": (False, ["production"]),
            }
            runtime = stage.rooms.fleet.runtime((await stage.rooms.apps.by_name("second")).id)  # type: ignore[union-attr]
            assert runtime is not None
            assert runtime.plan is not None
            assert "API_KEY" not in runtime.plan.environ
            set_ = await client.patch("/api/apps/second/env", json={"API_KEY": "own"})
            assert set_.json()["env"]["API_KEY"]["contexts"] == ["production"]
            gone = await client.patch("/api/apps/second/env", json={"API_KEY": None})
            assert set(gone.json()["env"]) == {"PLAIN"}
            assert (await client.get("/api/apps/second")).json()["app"]["temporary"] is True
        async with stage.client() as stranger:
            assert (await stranger.post("/api/apps", json={"from": "first"})).status_code == 201

    web(body)


def test_every_call_that_takes_files_takes_another_app_s_too(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await original(stage)
        async with stage.client(await stage.guest()) as client:
            made = await client.put("/api/apps/second", json={"from": "first", "env": {"PLAIN": "q"}})
            assert (made.status_code, made.headers["location"]) == (201, "/api/apps/second"), made.text
            assert (await client.post("/api/apps/second/deploys", json={"files": {"index.ts": "x"}})).status_code == 422
            await client.put("/api/apps/second", content=HELLO)
            for ask in (client.put("/api/apps/second", json={"from": "first"}),
                        client.post("/api/apps/second/deploys", json={"from": "first", "trial": False})):  # fmt: skip
                again = await ask
                assert again.status_code == 201, again.text
                assert [note for note in again.json()["notes"] if "API_KEY" in note and "PLAIN" not in note]
            versions = (await client.get("/api/apps/second/versions")).json()["versions"]
            assert [version["source"] for version in versions] == ["remix", "remix", "paste", "remix"]
            mixed = await client.post("/api/apps/second/deploys?merge=1", json={"from": "first"})
            assert (mixed.status_code, code(mixed)) == (422, "invalid")
            absent = await client.put("/api/apps/third", json={"from": "nothing"})
            assert (absent.status_code, code(absent)) == (404, "not_found")

    web(body)


def test_a_name_that_is_only_known_can_be_dropped(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await original(stage)
        async with stage.client(await stage.guest()) as client:
            assert (await remix(client)).status_code == 201
            env = (await client.patch("/api/apps/second/env", json={"API_KEY": None})).json()["env"]
            assert set(env) == {"PLAIN"}
            again = await client.post("/api/apps", json={"name": "third", "from": "second"})
            assert again.status_code == 201
            assert set((await client.get("/api/apps/third/env")).json()["env"]) == {"PLAIN"}

    web(body)


def test_what_one_may_not_read_cannot_be_remixed(web: Web) -> None:
    async def body(stage: Stage) -> None:
        token = await original(stage, visibility="private-source")
        async with stage.client(await stage.guest()) as client:
            hidden = await remix(client)
            absent = await client.post("/api/apps", json={"from": "nothing"})
            for refused in (hidden, absent):
                assert (refused.status_code, code(refused)) == (404, "not_found")
            assert hidden.text.replace("first", "X") == absent.text.replace("nothing", "X")
        async with stage.client(token) as client:
            assert (await remix(client)).status_code == 201, "one's own"
            assert (await client.delete("/api/apps/first")).status_code == 204
            assert (await client.post("/api/apps", json={"from": "first"})).status_code == 404
            for visibility in ("unlisted", "public"):
                await client.patch("/api/apps/second/settings", json={"visibility": visibility})
                async with stage.client(await stage.guest()) as other:
                    assert (await other.post("/api/apps", json={"from": "second"})).status_code == 201

    web(body)


def test_what_does_not_fit_together_is_refused_and_a_failure_names_the_variables(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await original(stage, NEEDS)
        async with stage.client(await stage.guest()) as client:
            for more in ({"files": {"index.ts": HELLO.decode()}}, {"from": ""}, {"from": "No Name"}, {"merge": True}):
                assert (await remix(client, **more)).status_code == 422, more
            failed = await remix(client)
            assert (failed.status_code, code(failed)) == (422, "deploy_failed")
            assert "send them as “env”: API_KEY, PLAIN" in failed.json()["error"]["message"]
            assert (await client.get("/api/apps")).json()["apps"] == []
            assert (await remix(client, env={"API_KEY": "k"})).status_code == 201

    web(body)


def test_code_that_was_changed_before_its_first_run_is_a_remix_too(web: Web) -> None:
    async def body(stage: Stage) -> None:
        owner = await original(stage)
        files = {"index.ts": SAYS.decode() + "// mine\n"}
        async with stage.client(await stage.guest()) as client:
            made = await client.post("/api/apps", json={"name": "second", "files": files, "remix_of": "first"})
            assert made.status_code == 201, made.text
            version = (await client.get("/api/apps/second/versions/1")).json()
            assert (version["version"]["remix_of"], len(version["files"])) == ("first", 1)
            env = (await client.get("/api/apps/second/env")).json()["env"]
            assert {name: one["contexts"] for name, one in env.items()} == {"API_KEY": [], "PLAIN": []}
            for more in ({"from": "first"}, {"files": files, "from": "first"}, {"files": files, "remix_of": "No Name"}):
                refused = await client.post("/api/apps", json={"remix_of": "first", **more})
                assert (refused.status_code, code(refused)[:7]) == (422, "invalid")
        async with stage.client(owner) as client:
            await client.patch("/api/apps/first/settings", json={"visibility": "private-source"})
        async with stage.client(await stage.guest()) as client:
            for gone in ("first", "nothing"):
                made = await client.post("/api/apps", json={"files": files, "remix_of": gone})
                assert made.status_code == 201
                assert f"no app called “{gone}” whose source you may read" in made.json()["notes"][0]
                name = made.json()["app"]["name"]
                told = (await client.get(f"/api/apps/{name}/versions/1")).json()["version"]
                assert (told["source"], told["remix_of"]) == ("json", "")
                assert (await client.get(f"/api/apps/{name}/env")).json()["env"] == {}

    web(body)
