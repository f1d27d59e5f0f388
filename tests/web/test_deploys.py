"""Deploys, versions, files and rollback through the API."""

from __future__ import annotations

import pytest

from steadyd.records.requests import Request
from steadyd.runner.rehearsal import REQUESTS_MAX
from tests.web.conftest import BROKEN, HELLO, Stage, Web, code

HTML = b"<script>window.stolen = 1</script>"


def test_a_deploy_is_a_new_version_with_its_steps(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            made = await client.post("/api/apps/hello/deploys", json={"files": {"index.ts": HELLO.decode() + "//"}})
            answer = made.json()
            assert (made.status_code, answer["app"]["version"], answer["deploy"]["version"]) == (201, 2, 2)
            assert answer["deploy"]["status"] == "live"
            assert answer["deploy"]["ms"] > 0
            assert {"name", "ms", "ok"} == set(answer["deploy"]["steps"][0])
            listed = (await client.get("/api/apps/hello/deploys")).json()["deploys"]
            assert [(deploy["version"], deploy["kind"]) for deploy in listed] == [(2, "deploy"), (1, "create")]
            versions = (await client.get("/api/apps/hello/versions")).json()["versions"]
            assert [(version["version"], version["live"]) for version in versions] == [(2, True), (1, False)]

    web(body)


def test_merge_changes_only_what_it_names(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            files = {"index.ts": HELLO.decode(), "a.txt": "a", "b.txt": "b"}
            await client.post("/api/apps", json={"name": "hello", "files": files})
            change = {"merge": True, "files": {"a.txt": "A", "b.txt": None, "c.txt": "c"}, "base_version": 1}
            assert (await client.post("/api/apps/hello/deploys", json=change)).status_code == 201
            listed = (await client.get("/api/apps/hello/versions/2/files")).json()["files"]
            assert [file["path"] for file in listed] == ["a.txt", "c.txt", "index.ts"]
            assert (await client.get("/api/apps/hello/versions/2/files/a.txt")).text == "A"
            gone = await client.get("/api/apps/hello/versions/2/files/b.txt")
            assert (gone.status_code, code(gone)) == (404, "not_found")
            bare = await client.post("/api/apps/hello/deploys?merge=1&trial=0", content=HELLO)
            assert bare.json()["app"]["version"] == 3
            assert len((await client.get("/api/apps/hello/versions/3/files")).json()["files"]) == 3

    web(body)


def test_an_old_base_version_is_a_conflict(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            await client.put("/api/apps/hello", content=HELLO)
            late = {"merge": True, "files": {"a.txt": ""}, "base_version": 1}
            refused = await client.post("/api/apps/hello/deploys", json=late)
            assert (refused.status_code, code(refused)) == (409, "version_conflict")
            assert refused.json()["error"]["details"]["live"] == 2
            assert (await client.get("/api/apps/hello")).json()["app"]["version"] == 2

    web(body)


def test_a_failed_deploy_leaves_the_old_version_serving(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            failed = await client.post("/api/apps/hello/deploys", content=BROKEN)
            assert (failed.status_code, code(failed)) == (422, "deploy_failed")
            assert failed.json()["error"]["details"]["line"] == 2
            now = (await client.get("/api/apps/hello")).json()["app"]
            assert (now["version"], now["state"]) == (1, "running")
            last = (await client.get("/api/apps/hello/deploys")).json()["deploys"][0]
            assert last["status"] == "failed"
            assert last["reason"]

    web(body)


@pytest.mark.parametrize(
    "files",
    [
        {"steady.json": '{"crons": "x"}'},
        {"steady.json": '{"memory": "much"}'},
        {"package.json": '{"steady": {"crons": [{"schedule": "* * * * *", "export": "absent"}]}}'},
        {"index.ts": "const x: = 1"},
        {"index.ts": "process.exit(3)"},
        {"index.ts": "import 'not-a-package-of-anybody-0'"},
    ],
)
def test_a_failed_deploy_says_where_why_and_what_was_logged(web: Web, files: dict[str, str]) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            failed = await client.put("/api/apps/hello", json={"files": {"index.ts": HELLO.decode(), **files}})
            assert (failed.status_code, code(failed)) == (422, "deploy_failed"), failed.text
            details = failed.json()["error"]["details"]
            assert details["step"] in ("install", "check", "trial")
            assert details["reason"]
            assert isinstance(details["logs"], list)

    web(body)


def test_what_was_asked_lately_is_asked_again(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        asked = Request(0, 1.0, "id", "GET", "/", 200, "", "192.0.2.1", 1, 2, 3, 4, 5, True)
        stage.rooms.requests.store(app.id, [asked])
        async with stage.client(stage.operator_token) as client:
            path, other = "/api/apps/hello/deploys", HELLO.replace(b"hello", b"good day")
            told = await client.post(f"{path}?rehearse=10", content=other)
            assert told.json()["notes"][1] == "GET /: size 8 bytes instead of 5 bytes."
            [step] = [step for step in told.json()["deploy"]["steps"] if step["name"] == "rehearse"]
            assert step["differences"] == ["GET /: size 8 bytes instead of 5 bytes"]
            wish = {"files": {"index.ts": HELLO.decode()}, "rehearse": 1, "strict": True}
            refused = await client.post(path, json=wish)
            assert (code(refused), refused.json()["error"]["details"]["step"]) == ("deploy_failed", "rehearse")
            assert (await client.get("/api/apps/hello")).json()["app"]["version"] == 2
            for wrong in ({"strict": True, "rehearse": 0}, {"rehearse": REQUESTS_MAX + 1}, {"rehearse": -1}):
                assert code(await client.post(path, json=wish | wrong)) == "invalid"

    web(body)


def test_rollback_is_a_deploy_of_its_own(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            await client.put("/api/apps/hello", content=HELLO + b"// two\n")
            back = await client.post("/api/apps/hello/rollback", json={"version": 1})
            assert (back.status_code, back.json()["deploy"]["kind"]) == (201, "rollback")
            number = back.json()["app"]["version"]
            assert (await client.get(f"/api/apps/hello/versions/{number}/files/index.ts")).content == HELLO
            for wrong, expected in (
                ({"version": 99}, "not_found"), ({"version": 0}, "invalid"), ({"version": "1"}, "invalid"),
                ({"version": 1, "data": "version"}, "not_reachable"), ({"version": 1, "x": 1}, "invalid"),
                ({}, "invalid"),
            ):  # fmt: skip
                assert code(await client.post("/api/apps/hello/rollback", json=wrong)) == expected

    web(body)


def test_a_file_is_never_a_page(web: Web) -> None:
    """Somebody's HTML on our own origin is text to download, whatever it holds."""

    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            tree = {"index.ts": HELLO, 'x"\u00e9.html': HTML, "a.svg": HTML, "b.bin": b"\0\xff"}
            await client.put("/api/apps/hello", files={path: (path, content) for path, content in tree.items()})
            for path, kind in {"x%22%C3%A9.html": "text/plain", "a.svg": "text/plain", "b.bin": "octet-stream"}.items():
                answer = await client.get(f"/api/apps/hello/versions/1/files/{path}", headers={"accept": "text/html"})
                assert answer.status_code == 200
                assert kind in answer.headers["content-type"]
                assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
                assert answer.headers["content-security-policy"].endswith("sandbox")
                assert answer.headers["x-content-type-options"] == "nosniff"

    web(body)


@pytest.mark.parametrize("number", ["0", "2", "-1", "1.0", "x", "9" * 30, "%00", "١"])
def test_a_version_that_is_not_there_is_404(web: Web, number: str) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            for rest in ("", "/files", "/files/index.ts"):
                answer = await client.get(f"/api/apps/hello/versions/{number}{rest}")
                assert (answer.status_code, code(answer)) == (404, "not_found")

    web(body)
