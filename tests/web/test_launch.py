"""From an upload to a running app: whose it is, and the curl line for the next version."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from steadyd.errors import SteadyError
from steadyd.records.apps import deleting
from steadyd.web.auth import Caller
from steadyd.web.launch import create, deploy, redeploy_line
from steadyd.web.upload import Upload
from tests.web.conftest import BROKEN, CLIENT, HELLO, Stage, Web, code

URL = "http://localhost:8080/api/apps/hello"
HEADER = "Authorization: Bearer T"


@pytest.mark.parametrize(
    ("source", "paths", "rest"),
    [
        ("paste", ["index.ts"], ["--data-binary", "@index.ts", URL]),
        ("json", ["index.ts"], ["--data-binary", "@index.ts", URL]),
        ("json", ["index.js"], ["-F", "index.js=@index.js", URL]),
        ("multipart", ["index.ts", "a b.png"], ["-F", "index.ts=@index.ts", "-F", "a b.png=@a b.png", URL]),
    ],
)
def test_the_line_sends_the_same_form(source: str, paths: list[str], rest: list[str]) -> None:
    line = redeploy_line(URL, "T", paths, source)
    assert shlex.split(line) == ["curl", "-X", "PUT", "-H", HEADER, *rest]


@pytest.mark.parametrize(("source", "paths"), [("json", ["a", "b"]), ("archive", ["index.ts"])])
def test_a_folder_is_packed(source: str, paths: list[str]) -> None:
    line = redeploy_line(URL, "T", paths, source)
    packed = ["-H", "Content-Type: application/gzip", "--data-binary", "@-", URL]
    assert shlex.split(line) == ["tar", "-cz", ".", "|", "curl", "-X", "PUT", "-H", HEADER, *packed]


def test_a_stranger_becomes_a_guest_only_if_it_works(web: Web) -> None:
    async def body(stage: Stage) -> None:
        with pytest.raises(SteadyError):
            await create(stage.rooms, Caller(), CLIENT, Upload({"index.ts": BROKEN}, "paste"))
        assert await stage.nobody_is_new()
        made = await create(stage.rooms, Caller(), CLIENT, Upload({"index.ts": HELLO}, "paste"))
        assert made.guest is not None
        assert made.deployed.app.owner_id == made.guest.id

    web(body)


def test_a_temporary_app_gives_way_only_to_its_owners_next_temporary_one(web: Web) -> None:
    async def body(stage: Stage) -> None:
        caller = Caller(stage.operator)

        def upload(temporary: bool) -> Upload:
            return Upload({"index.ts": HELLO}, "paste", name="hello", temporary=temporary)

        await create(stage.rooms, caller, CLIENT, upload(temporary=True))
        assert (await create(stage.rooms, caller, CLIENT, upload(temporary=True))).deployed.app.version == 2
        with pytest.raises(SteadyError) as caught:
            await create(stage.rooms, caller, CLIENT, upload(temporary=False))
        assert caught.value.code == "name_taken"
        with pytest.raises(SteadyError) as caught:
            await create(stage.rooms, Caller(), CLIENT, upload(temporary=True))
        assert caught.value.code == "name_taken"

    web(body)


def test_an_app_that_is_kept_stays_so_and_the_deploy_says_it(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            made = (await client.put("/api/apps/hello?temporary=true", content=HELLO)).json()
            assert (made["app"]["temporary"], made["app"]["version"]) == (False, 2)
            assert made["notes"] == ["“temporary” changes nothing here: “hello” is there already, and stays."]

    web(body)


def test_a_temporary_app_that_has_expired_gives_way_too_and_a_failure_changes_nothing(web: Web) -> None:
    async def body(stage: Stage) -> None:
        rooms, guest = stage.rooms, await stage.rooms.people.add_guest(0.0)

        def upload(content: bytes) -> Upload:
            return Upload({"index.ts": content}, "paste", name="hello")

        app = (await create(rooms, Caller(guest), CLIENT, upload(HELLO))).deployed.app
        await rooms.removal.delete(guest, app, deleting(app.id, app.expires_at or 0.0))
        with pytest.raises(SteadyError):
            await create(rooms, Caller(guest), CLIENT, upload(BROKEN))
        after = await rooms.apps.by_id(app.id)
        assert after is not None
        assert (after.version, after.deleted_at is None) == (1, False)
        await rooms.removal.undelete(guest, after)
        await rooms.removal.delete(guest, app, deleting(app.id, 1e12))
        assert (await create(rooms, Caller(guest), CLIENT, upload(HELLO))).deployed.app.deleted_at is None

    web(body)


def test_a_guest_with_too_many_apps_is_told_what_to_do(web: Web) -> None:
    """L261: deleting one makes room, a deploy to one of them needs none, and nobody else is limited."""

    async def body(stage: Stage) -> None:
        stage.rooms.apps.policy = replace(stage.rooms.apps.policy, guest_apps=2)
        token = await stage.guest()
        for name in ("one", "two"):
            await stage.app(name, token)
        async with stage.client(token) as client:
            refused = await client.post("/api/apps?name=three", content=HELLO)
            assert (refused.status_code, code(refused)) == (403, "app_limit")
            assert refused.json()["error"]["details"] == {"limit": 2}
            for advice in ("Delete one", "sign up"):
                assert advice in refused.json()["error"]["message"]
            assert (await client.put("/api/apps/two", content=HELLO)).status_code == 201
            assert (await client.delete("/api/apps/one")).status_code == 204
            assert (await client.post("/api/apps?name=three", content=HELLO)).status_code == 201
            back = await client.post("/api/apps/one/undelete")
            assert (back.status_code, code(back)) == (403, "app_limit")
        for name in ("four", "five", "six"):
            await stage.app(name)

    web(body)


def test_a_guest_s_apps_share_the_disk(web: Web) -> None:
    async def body(stage: Stage) -> None:
        policy = stage.rooms.apps.policy
        stage.rooms.apps.policy = replace(policy, guest_limits=replace(policy.guest_limits, disk_bytes=8_000))
        token = await stage.guest()
        await stage.app("one", token)
        async with stage.client(token) as client:
            large = HELLO + b"/*" + b"x" * 8_000 + b"*/"
            for call in (
                client.post("/api/apps?name=two", content=large),
                client.put("/api/apps/one", content=large),
            ):
                refused = await call
                assert (refused.status_code, code(refused)) == (507, "disk_full")
                assert "purge=1" in refused.json()["error"]["message"]
            assert (await client.put("/api/apps/one", content=HELLO)).status_code == 201

    web(body)


def test_a_deploy_names_the_app_it_is_for(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        with pytest.raises(SteadyError) as caught:
            await deploy(stage.rooms, stage.operator, app, Upload({"index.ts": HELLO}, "json", name="other"))
        assert caught.value.code == "invalid"

    web(body)
