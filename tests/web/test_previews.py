"""The calls about a preview."""

from __future__ import annotations

import asyncio
import json

from tests.web.conftest import BROKEN, HELLO, Stage, Web, code

DRAFT = HELLO.decode().replace("hello", "draft")
NOISY = "console.log('the draft says');\n" + DRAFT
PREVIEW = "/api/apps/notes/preview"


def test_a_draft_runs_at_a_url_of_its_own_until_it_is_ended(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("notes")
        async with stage.client(stage.operator_token) as client:
            assert (await client.get(PREVIEW)).json() == {"preview": None}
            made = await client.post(PREVIEW, json={"files": {"index.ts": NOISY}, "merge": True})
            assert made.status_code == 201, made.text
            shown = made.json()["preview"]
            assert shown["url"].startswith("http://0")
            assert (shown["base_version"], shown["fresh"], shown["death"]) == (1, True, "")
            assert shown["notes"][0] == "It runs on a copy of the data, as of now."
            assert (await client.get(PREVIEW)).json()["preview"]["url"] == shown["url"]
            domain = shown["url"].removeprefix("http://").partition(":")[0]
            assert (await client.get(f"/api/host/serves?domain={domain}")).status_code == 200
            assert (await client.get("/api/apps/notes")).json()["app"]["version"] == 1
            assert "the draft says" in (await client.get(f"{PREVIEW}/logs")).text
            assert (await client.delete(PREVIEW)).status_code == 204
            assert (await client.delete(PREVIEW)).status_code == 204
            assert (await client.get(PREVIEW)).json() == {"preview": None}
            assert (await client.get(f"/api/host/serves?domain={domain}")).status_code == 404
            said = (await client.get(f"{PREVIEW}/logs", headers={"accept": "application/json"})).json()["logs"]
            assert said[-1]["text"] == "The preview ended. It was ended."

    web(body)


def test_a_whole_app_and_what_is_no_app(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("notes")
        async with stage.client(stage.operator_token) as client:
            page = {"index.html": "<p>draft", "logo.png": {"base64": "iVBORw=="}}
            assert (await client.post(PREVIEW, json={"files": page})).status_code == 201
            broken = await client.post(PREVIEW, json={"files": {"index.ts": BROKEN.decode()}})
            assert (broken.status_code, code(broken)) == (422, "deploy_failed")
            details = broken.json()["error"]["details"]
            assert (details["step"], details["file"], details["line"]) == ("check", "index.ts", 2)
            for files, refusal in (
                ({}, "no_entry"),
                ({"../a": ""}, "invalid_path"),
                ({"a.png": {"base64": "?"}}, "invalid"),
            ):
                assert code(await client.post(PREVIEW, json={"files": files})) == refusal
            assert (await client.get(PREVIEW)).json()["preview"] is not None

    web(body)


def test_what_it_says_is_followed(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("notes")
        async with stage.client(stage.operator_token) as client:
            await client.post(PREVIEW, json={"files": {"index.ts": NOISY}, "merge": True})
        previews = stage.rooms.previews
        heard = previews.scrolls.feed.subscribe(app.id)
        scroll = previews.scrolls.of(app.id)
        assert scroll is not None
        scroll.add(app.id, 0, "app", [b"more"])
        async with asyncio.timeout(10):
            assert (await anext(heard)).text == "more"
        heard.close()
        async with stage.client(stage.operator_token, accept="application/x-ndjson") as client:
            lines = (await client.get(f"{PREVIEW}/logs?q=more")).text.splitlines()
        assert [json.loads(line)["text"] for line in lines] == ["more"]

    web(body)


def test_a_guest_s_draft_fits_into_a_guest_s_space(web: Web) -> None:
    async def body(stage: Stage) -> None:
        token = await stage.guest()
        await stage.app("notes", token)
        policy = stage.rooms.apps.policy
        big = "x" * (policy.guest_limits.disk_bytes // 11)
        files = {f"{number}.txt": f"{number}{big}" for number in range(12)}
        async with stage.client(token) as client:
            assert code(await client.post(PREVIEW, json={"files": files, "merge": True})) in ("disk_full", "too_large")

    web(body)
