"""From an upload to a running app: whose it is, and the curl line for the next version."""

from __future__ import annotations

import shlex

import pytest

from steadyd.errors import SteadyError
from steadyd.web.auth import Caller
from steadyd.web.launch import create, deploy, redeploy_line
from steadyd.web.upload import Upload
from tests.web.conftest import BROKEN, CLIENT, HELLO, Stage, Web

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
    line = redeploy_line(URL, "T", Upload(dict.fromkeys(paths, b""), source))
    assert shlex.split(line) == ["curl", "-X", "PUT", "-H", HEADER, *rest]


@pytest.mark.parametrize(("source", "paths"), [("json", ["a", "b"]), ("archive", ["index.ts"])])
def test_a_folder_is_packed(source: str, paths: list[str]) -> None:
    line = redeploy_line(URL, "T", Upload(dict.fromkeys(paths, b""), source))
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


def test_a_deploy_names_the_app_it_is_for(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        with pytest.raises(SteadyError) as caught:
            await deploy(stage.rooms, stage.operator, app, Upload({"index.ts": HELLO}, "json", name="other"))
        assert caught.value.code == "invalid"

    web(body)
