"""Who sees an app's source: by the setting `visibility`, and by nothing else."""

from __future__ import annotations

import httpx
import pytest

from steadyd.records.apps import suspending
from steadyd.web import apps
from steadyd.web.app import endpoints
from steadyd.web.endpoint import Access, Endpoint
from tests.web.conftest import HELLO, Stage, Web, code

READ = ("", "/1", "/1/files", "/1/files/index.ts", "/1/diff/2", "/1/archive")
WORDS = {"name": "hello", "n": "1", "m": "2", "path": "index.ts"}


async def show_source(client: httpx.AsyncClient, visibility: str | None) -> None:
    changed = await client.patch("/api/apps/hello/settings", json={"visibility": visibility})
    assert changed.status_code == 200, changed.text
    said = (await client.get("/api/apps/hello")).json()["app"]["settings"]["visibility"]
    assert said == (visibility or "private-source") == changed.json()["settings"]["visibility"]


async def two_versions(stage: Stage, token: str) -> None:
    await stage.app("hello", token)
    async with stage.client(token) as client:
        about = {"files": {"index.ts": HELLO.decode() + "//"}, "message": "Two", "git": {"commit": "0123abc"}}
        assert (await client.put("/api/apps/hello", json=about)).status_code == 201


@pytest.mark.parametrize(
    ("visibility", "status"), [(None, 404), ("private-source", 404), ("unlisted", 200), ("public", 200)]
)
def test_versions_are_read_by_whom_the_setting_says(web: Web, visibility: str | None, status: int) -> None:
    async def body(stage: Stage) -> None:
        owner, stranger = await stage.guest(), await stage.guest()
        await two_versions(stage, owner)
        async with stage.client(owner) as client:
            await show_source(client, visibility)
        for token in (stranger, ""):
            async with stage.client(token) as client:
                for path in READ:
                    answer = await client.get(f"/api/apps/hello/versions{path}")
                    assert answer.status_code == status, path
                    assert status == 200 or code(answer) == "not_found"
        for token in (owner, stage.operator_token):
            async with stage.client(token) as client:
                for path in READ:
                    assert (await client.get(f"/api/apps/hello/versions{path}")).status_code == 200

    web(body)


def test_nothing_else_of_a_public_app_is_anybodys(web: Web) -> None:
    """Every call that names an app, but those that read versions and the one that shows name, URL and state."""

    async def body(stage: Stage) -> None:
        owner = await stage.guest()
        await two_versions(stage, owner)
        async with stage.client(owner) as client:
            await show_source(client, "public")
        async with stage.client(await stage.guest()) as client:
            for endpoint in endpoints(stage.rooms):
                if endpoint.access in (Access.OWNER, Access.OWNER_OF_DELETED):
                    answer = await client.request(endpoint.method, _address(endpoint), json={})
                    assert answer.status_code == 404, (endpoint.method, endpoint.path, answer.text)
            assert set((await client.get("/api/apps/hello")).json()["app"]) == {"name", "url", "state"}

    web(body)


def test_who_made_it_and_from_where_stays_the_owners(web: Web) -> None:
    async def body(stage: Stage) -> None:
        owner = await stage.guest()
        await two_versions(stage, owner)
        async with stage.client(owner) as client:
            await show_source(client, "public")
            assert {"author", "git"} <= (await client.get("/api/apps/hello/versions/2")).json()["version"].keys()
        async with stage.client() as client:
            seen = (await client.get("/api/apps/hello/versions")).json()["versions"]
            assert [version["message"] for version in seen] == ["Two", ""]
            private = {"author", "git", "live_at", "databases", "env"}
            assert all(not private & version.keys() for version in seen)

    web(body)


def test_a_deleted_app_shows_its_source_to_nobody(web: Web) -> None:
    async def body(stage: Stage) -> None:
        owner = await stage.guest()
        await two_versions(stage, owner)
        async with stage.client(owner) as client:
            await show_source(client, "public")
            await client.delete("/api/apps/hello")
            assert code(await client.get("/api/apps/hello/versions")) == "conflict"
        async with stage.client() as client:
            assert (await client.get("/api/apps/hello/versions")).status_code == 404
            assert (await client.get("/api/apps?public=1")).json() == {"apps": [], "next": None}

    web(body)


def test_a_suspended_app_shows_its_source_to_its_owner_only(web: Web) -> None:
    async def body(stage: Stage) -> None:
        owner = await stage.guest()
        await two_versions(stage, owner)
        async with stage.client(owner) as client:
            await show_source(client, "public")
        app = await stage.rooms.apps.by_name("hello")
        assert app is not None
        await stage.rooms.apps.write(suspending(app.id, "Spam."))
        async with stage.client() as client:
            assert (await client.get("/api/apps/hello/versions")).status_code == 404
            assert (await client.get("/api/apps?public=1")).json() == {"apps": [], "next": None}
        async with stage.client(owner) as client:
            assert (await client.get("/api/apps/hello/versions")).status_code == 200

    web(body)


def test_public_apps_are_listed_page_by_page(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "PUBLIC_LISTED_MAX", 2)

    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            for name, visibility in (("bbb", "public"), ("aaa", "public"), ("ccc", "unlisted"), ("ddd", "public")):
                await stage.app(name)
                await client.patch(f"/api/apps/{name}/settings", json={"visibility": visibility})
        async with stage.client() as client:
            first = (await client.get("/api/apps?public=1")).json()
            assert ([app["name"] for app in first["apps"]], first["next"]) == (["aaa", "bbb"], "bbb")
            assert set(first["apps"][0]) == {"name", "url", "state"}
            second = (await client.get("/api/apps?public=1&after=bbb")).json()
            assert ([app["name"] for app in second["apps"]], second["next"]) == (["ddd"], None)
            assert (await client.get("/api/apps")).json() == {"apps": []}

    web(body)


def test_a_file_cannot_make_its_app_public(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            files = {"index.ts": HELLO.decode(), "steady.json": '{"visibility": "public"}'}
            made = (await client.put("/api/apps/hello", json={"files": files})).json()
            assert made["app"]["settings"]["visibility"] == "private-source"
            assert any("visibility" in sentence for sentence in made["notes"])
            refused = await client.patch("/api/apps/hello/settings", json={"visibility": "open"})
            assert (code(refused), refused.json()["error"]["details"]["field"]) == ("invalid", "visibility")

    web(body)


def _address(endpoint: Endpoint) -> str:
    path = endpoint.path.replace("{path:path}", "index.ts")
    for name, word in WORDS.items():
        path = path.replace(f"{{{name}}}", word)
    return path
