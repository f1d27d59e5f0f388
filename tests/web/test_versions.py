"""Versions through the API: what each says of itself, and its files."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import pytest

from steadyd.runner.engine import Engine
from tests.web.conftest import HELLO, Stage, Web, code
from tests.web.test_upload import sent_as, tar_gz

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def moment(version: dict[str, Any]) -> datetime:
    """When it went live. As texts, a moment with milliseconds would come before the whole second."""
    return datetime.fromisoformat(version["live_at"])


def test_a_version_says_where_it_came_from(web: Web, built_engine: Engine) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            git = {"commit": COMMIT, "remote": "https://ada:hunter2@git.example/shop.git?token=x", "dirty": True}
            about = {"files": {"index.ts": HELLO.decode()}, "message": " First light ", "source": "folder", "git": git}
            assert (await client.put("/api/apps/hello", json=about)).status_code == 201
            (made,) = (await client.get("/api/apps/hello/versions")).json()["versions"]
            assert (made["source"], made["message"], made["author"]) == ("folder", "First light", stage.operator.name)
            assert made["git"] == {"commit": COMMIT, "remote": "https://git.example/shop.git", "dirty": True}
            assert (made["bun"], made["lock"], made["remix_of"]) == (built_engine.bun_version, "", "")
            assert (await client.get("/api/apps/hello/versions/1")).json()["version"] == made

    web(body)


FORMS: dict[str, dict[str, Any]] = {
    "the source itself": sent_as("text/plain", HELLO),
    "an archive": sent_as("application/gzip", tar_gz(**{"index.ts": HELLO})),
    "a form": {"files": {"index.ts": ("index.ts", HELLO)}},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_takes_a_message_and_a_commit(web: Web, form: str) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            about = {"message": "Größer & besser", "git_commit": COMMIT[:12], "git_dirty": "1"}
            answer = await client.put("/api/apps/hello", params=about, **FORMS[form])
            assert answer.status_code == 201, answer.text
            made = (await client.get("/api/apps/hello/versions/1")).json()["version"]
            assert (made["message"], made["git"]["commit"]) == ("Größer & besser", COMMIT[:12])
            assert (made["git"]["remote"], made["git"]["dirty"]) == ("", True)

    web(body)


def test_a_merge_says_so_and_a_message_may_be_a_part(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            files: Any = {"index.ts": ("index.ts", HELLO + b"//"), "message": (None, "Louder")}
            assert (await client.post("/api/apps/hello/deploys?merge=1", files=files)).status_code == 201
            made = (await client.get("/api/apps/hello/versions/2")).json()["version"]
            assert (made["source"], made["message"]) == ("merge", "Louder")

    web(body)


@pytest.mark.parametrize(
    "wrong",
    [
        {"message": "x" * 501}, {"message": 1}, {"source": "moon"}, {"git": {}}, {"git": {"commit": "main"}},
        {"git": {"commit": COMMIT, "remote": "x" * 501}}, {"git": {"commit": COMMIT, "branch": "main"}},
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused(web: Web, wrong: dict[str, Any]) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            refused = await client.put("/api/apps/hello", json={"files": {"index.ts": HELLO.decode()}, **wrong})
            assert (refused.status_code, code(refused)) == (422, "invalid")
        assert await stage.nothing_is_written()

    web(body)


def test_an_archive_is_the_version_and_can_be_deployed_again(web: Web) -> None:
    async def body(stage: Stage) -> None:
        tree = {"index.ts": HELLO, "lib/ü b.txt": b"x" * 400_000, "empty": b""}
        async with stage.client(stage.operator_token) as client:
            await client.put("/api/apps/hello", files={path: (path, content) for path, content in tree.items()})
            answer = await client.get("/api/apps/hello/versions/1/archive")
            assert answer.headers["content-type"] == "application/gzip"
            assert answer.headers["content-disposition"] == 'attachment; filename="hello-v1.tar.gz"'
            assert answer.headers["cache-control"] == "no-store"
            assert answer.content == (await client.get("/api/apps/hello/versions/1/archive")).content
            assert (await client.head("/api/apps/hello/versions/1/archive")).content == b""
            again = await client.put("/api/apps/again", **sent_as("application/gzip", answer.content))
            assert again.status_code == 201, again.text
            files = [
                (await client.get(f"/api/apps/{name}/versions/1/files")).json()["files"] for name in ("hello", "again")
            ]
            assert files[0] == files[1]
            missing = await client.get("/api/apps/hello/versions/9/archive")
            assert (missing.status_code, code(missing)) == (404, "not_found")

    web(body)


def test_a_version_is_pinned_and_unpinned(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            one = "/api/apps/hello/versions/1"
            for sent, pinned in (({"pinned": True}, True), ({}, True), ({"pinned": False}, False)):
                assert (await client.patch(one, json=sent)).json()["version"]["pinned"] is pinned
            assert code(await client.patch(one, json={"pinned": "yes"})) == "invalid"
            assert code(await client.patch("/api/apps/hello/versions/2", json={"pinned": True})) == "not_found"

    web(body)


KEEPER = """import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS t (x)");
export default { fetch: () => new Response(String(db.run("INSERT INTO t VALUES (1)").changes)) };
"""


def test_a_version_says_where_the_databases_stood_and_which_variables_are_its_own(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            made = {"name": "hello", "files": {"index.ts": KEEPER}, "env": {"A": "1"}}
            assert (await client.post("/api/apps", json=made)).status_code == 201
            again = {"files": {"index.ts": KEEPER + "//"}, "env": {"A": "2"}}
            assert (await client.post("/api/apps/hello/deploys", json=again)).status_code == 201
            second, first = (await client.get("/api/apps/hello/versions")).json()["versions"]
            assert (first["databases"], first["env"] != second["env"]) == ([], True)
            (stood,) = second["databases"]
            assert stood["path"] == "data.sqlite"
            assert stood["pages"] >= 2
            assert moment(second) > moment(first)
            assert (await client.post("/api/apps/hello/rollback", json={"version": 1})).status_code == 201
            back = (await client.get("/api/apps/hello/versions/1")).json()["version"]
            assert (back["env"], len(back["databases"])) == (first["env"], 1)
            assert moment(back) > moment(second)
            app = await stage.rooms.apps.by_name("hello")
            assert app is not None
            folder = stage.rooms.fleet.ground.place(app).app
            (folder / os.fsdecode(b"\xff.db")).write_bytes((folder / "data.sqlite").read_bytes())
            assert (await client.post("/api/apps/hello/rollback", json={"version": 2})).status_code == 201
            odd = (await client.get("/api/apps/hello/versions/2")).json()["version"]["databases"]
            assert [stood["path"] for stood in odd] == ["data.sqlite", "?.db"]

    web(body)
