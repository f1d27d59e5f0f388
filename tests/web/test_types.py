"""The types of a version's packages, through the API."""

from __future__ import annotations

from pathlib import Path

from steadyd.runner.modules import modules_path
from steadyd.web.rooms import TYPES_AT_ONCE_MAX, TYPES_WAITING_MAX
from steadyd.web.types import LEFT_OUT_NAMED_MAX
from tests.web.conftest import Stage, Web, code

ADDRESS = "/api/apps/hello/versions/1/types"


async def installed(stage: Stage, **files: str) -> Path:
    """The app `hello`, whose version 1 has these packages' files."""
    app = await stage.app("hello")
    folder = modules_path(stage.rooms.fleet.ground.place(app), "key")
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    await stage.rooms.apps.write(lambda db: db.execute("UPDATE versions SET modules = 'key'"))
    return folder


def test_the_types_of_what_is_installed(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await installed(stage, **{"pad/index.d.ts": "export {};" * 1000, "pad/index.js": "1"})
        async with stage.client(stage.operator_token) as client:
            answer = await client.get(ADDRESS)
            assert answer.json() == {
                "files": {"node_modules/pad/index.d.ts": "export {};" * 1000}, "left_out": [], "more": 0,
            }  # fmt: skip
            assert answer.headers["content-encoding"] == "gzip"
            plain = await client.get(ADDRESS, headers={"accept-encoding": "identity"})
            assert ("content-encoding" in plain.headers, plain.content) == (False, answer.content)
            tag = {"if-none-match": answer.headers["etag"]}
            assert (await client.get(ADDRESS, headers=tag)).status_code == 304

    web(body)


def test_a_version_without_packages_and_one_that_there_is_not(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            assert (await client.get(ADDRESS)).json() == {"files": {}, "left_out": [], "more": 0}
            assert code(await client.get("/api/apps/hello/versions/2/types")) == "not_found"
        async with stage.client() as stranger:
            assert code(await stranger.get(ADDRESS)) == "not_found"

    web(body)


def test_packages_that_are_gone_from_the_disk_are_told(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await installed(stage)
        async with stage.client(stage.operator_token) as client:
            answer = await client.get(ADDRESS)
            assert (answer.status_code, code(answer)) == (404, "not_found")
            assert "next start" in answer.json()["error"]["message"]

    web(body)


def test_what_is_left_out_is_named_and_counted(web: Web) -> None:
    async def body(stage: Stage) -> None:
        many = {f"p{number:03}/{'d/' * 40}index.d.ts": "" for number in range(LEFT_OUT_NAMED_MAX + 3)}
        await installed(stage, **many)
        async with stage.client(stage.operator_token) as client:
            answer = (await client.get(ADDRESS)).json()
        assert (answer["files"], len(answer["left_out"]), answer["more"]) == ({}, LEFT_OUT_NAMED_MAX, 3)

    web(body)


def test_so_many_wait_for_their_turn(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        stage.rooms.types._there = TYPES_AT_ONCE_MAX + TYPES_WAITING_MAX
        async with stage.client(stage.operator_token) as client:
            answer = await client.get(ADDRESS)
        assert (answer.status_code, code(answer)) == (503, "overloaded")

    web(body)
