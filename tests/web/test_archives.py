"""An app as one file, by the API: out of one app, and into another."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import httpx

from steadyd.appfile import TYPE, AppFile, Manifest
from steadyd.tree import DEFAULT_LIMITS
from tests.web.calls import KEEPING
from tests.web.conftest import Stage, Web, code


async def pulled(client: httpx.AsyncClient, query: str = "") -> bytes:
    answer = await client.get(f"/api/apps/hello/archive{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == TYPE
    assert answer.headers["content-disposition"] == 'attachment; filename="hello.steady"'
    return answer.content


def told(content: bytes) -> Manifest:
    return AppFile(io.BytesIO(content), DEFAULT_LIMITS).manifest


async def sent(client: httpx.AsyncClient, method: str, path: str, content: bytes) -> httpx.Response:
    return await client.request(method, f"/api{path}", content=content, headers={"content-type": TYPE})


def test_an_app_leaves_and_comes_back_under_another_name(web: Web) -> None:
    async def body(here: Stage) -> None:
        await here.app("hello", content=KEEPING)
        async with here.client(here.operator_token) as client:
            assert told(await pulled(client)).data is None
            content = await pulled(client, "?data=1")
            data = told(content).data
            assert data is not None
            assert [file.path for file in data.files] == ["data.sqlite"]
            made = await sent(client, "PUT", "/apps/other", content)
            assert made.status_code == 201, made.text
            assert (made.json()["app"]["name"], made.json()["app"]["version"]) == ("other", 1)
            assert [step["name"] for step in made.json()["deploy"]["steps"]][:2] == ["unpack", "stage"]
            databases = (await client.get("/api/apps/other/databases")).json()["databases"]
            assert [one["path"] for one in databases] == ["data.sqlite"]
            assert code(await sent(client, "POST", "/apps", content)) == "name_taken"
            assert (await sent(client, "POST", "/apps?name=third", content)).status_code == 201
            head = await client.head("/api/apps/hello/archive?data=1")
            assert (head.status_code, head.content) == (200, b"")
            app = await here.rooms.apps.by_name("hello")
            assert app is not None
            assert list(here.rooms.fleet.ground.place(app).scratch.iterdir()) == []

    web(body)


def test_nobody_s_data_is_replaced_by_an_archive_s(web: Web) -> None:
    async def body(here: Stage) -> None:
        await here.app("hello", content=KEEPING)
        async with here.client(here.operator_token) as client:
            content = await pulled(client, "?data=1")
            again = await sent(client, "PUT", "/apps/hello", content)
            assert (again.status_code, again.json()["deploy"]["version"]) == (201, 2), again.text
            assert any("data stayed out" in note for note in again.json()["notes"])

    web(body)


def test_data_that_is_not_there_or_too_much_replaces_none(web: Web) -> None:
    async def body(here: Stage) -> None:
        await here.app("hello", content=KEEPING)
        async with here.client(here.operator_token) as client:
            bare, content = await pulled(client), await pulled(client, "?data=1")
            assert code(await sent(client, "PUT", "/apps/hello?replace_data=1", bare)) == "invalid"
            policy = here.rooms.apps.policy
            here.rooms.apps.policy = replace(policy, ceilings=replace(policy.ceilings, disk_bytes=1))
            assert code(await sent(client, "PUT", "/apps/hello?replace_data=1", content)) == "too_large"
            assert (await client.get("/api/apps/hello")).json()["app"]["version"] == 1

    web(body)


def test_a_stranger_s_archive_makes_a_guest(web: Web) -> None:
    async def body(here: Stage) -> None:
        await here.app("hello", content=KEEPING)
        async with here.client(here.operator_token) as client:
            content = await pulled(client, "?data=1")
        async with here.client() as client:
            made = await sent(client, "POST", "/apps?name=theirs", content)
            assert made.status_code == 201, made.text
            assert made.json()["token"]
            assert made.json()["app"]["temporary"] is True

    web(body)


def test_what_is_no_archive_changes_nothing(web: Web) -> None:
    async def body(here: Stage) -> None:
        async with here.client() as client:
            for content in (b"", b"\x1f\x8bnothing", b"export default {}"):
                assert code(await sent(client, "POST", "/apps?name=hello", content)) == "invalid_archive"
            assert await here.nothing_is_written()
        await here.app("hello", content=KEEPING)
        async with here.client(here.operator_token) as client:
            content = await pulled(client, "?data=1")
            half = content[: len(content) // 2]
            assert code(await sent(client, "PUT", "/apps/other", half)) == "invalid_archive"
            assert (await client.get("/api/apps/other")).status_code == 404
            small: Any = here.rebuilt(body_bytes_max=100)
            async with small.client(here.operator_token) as narrow:
                assert code(await sent(narrow, "PUT", "/apps/other", content)) == "too_large"

    web(body)
