"""Every form, without a script: what it does, and that nothing typed is lost when it fails."""

from __future__ import annotations

import re

import httpx

from steadyd.model import AppState
from tests.web.conftest import CLIENT, HELLO, Stage, Web, form_token

BROKEN = "export default {\n  fetch( => 1 // <my text>\n}\n"


async def browser(stage: Stage) -> httpx.AsyncClient:
    """A browser that is logged in as the operator."""
    client = stage.client(accept="text/html", origin="http://localhost:8080", **{"sec-fetch-site": "same-origin"})
    secret = await stage.rooms.people.add_session(stage.operator, stage.rooms.now())
    client.cookies.set("__Host-steady-session-8080", secret)
    return client


async def token(client: httpx.AsyncClient, path: str = "/") -> str:
    return form_token((await client.get(path)).text)


def test_deploy_what_was_changed(web: Web) -> None:
    """A textarea sends CR LF; only files that differ are deployed; a file can be added and another deleted."""

    async def body(stage: Stage) -> None:
        files = {"index.ts": HELLO.decode(), "crlf.txt": "a\r\nb\r\n", "old.txt": "x"}
        async with stage.client(stage.operator_token) as program:
            await program.post("/api/apps", json={"name": "hello", "files": files})
        async with await browser(stage) as client:
            page = (await client.get("/apps/hello")).text
            assert page.count('class="code"') == 4
            form = {
                "form_token": form_token(page), "base_version": "1", "selected": "index.ts",
                "file:index.ts": HELLO.decode().replace("hello", "bye").replace("\n", "\r\n"),
                "file:crlf.txt": "a\r\nb\r\n", "file:old.txt": "x", "delete:old.txt": "on",
                "new_path": "lib/new.ts", "new_text": "export {}\r\n",
            }  # fmt: skip
            done = await client.post("/apps/hello/deploy", data=form)
            assert done.status_code == 303, done.text
            page = (await client.get(done.headers["location"])).text
            assert re.search(r"Version 2 is live after [\d.]+ ms", page)
            assert re.search(r'value="lib/new.ts" checked', page)
            at = "/api/apps/hello/versions/2/files"
            listed = {file["path"] for file in (await client.get(at)).json()["files"]}
            assert listed == {"index.ts", "crlf.txt", "lib/new.ts"}
            assert (await client.get(f"{at}/index.ts")).content == HELLO.replace(b"hello", b"bye")
            assert (await client.get(f"{at}/crlf.txt")).content == b"a\r\nb\r\n"

    web(body)


def test_nothing_changed_deploys_nothing(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        async with await browser(stage) as client:
            form = {"form_token": await token(client), "file:index.ts": HELLO.decode(), "base_version": "1"}
            done = await client.post("/apps/hello/deploy", data=form)
            assert "Nothing was changed" in (await client.get(done.headers["location"])).text
        assert len(await stage.rooms.versions.all(app.id)) == 1

    web(body)


def test_a_failed_deploy_keeps_every_text(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with await browser(stage) as client:
            form = {
                "form_token": await token(client), "file:index.ts": BROKEN, "base_version": "1",
                "new_path": "notes.txt", "new_text": "my <notes>",
            }  # fmt: skip
            page = await client.post("/apps/hello/deploy", data=form)
            assert page.status_code == 422
            for words in ("Not deployed", "&lt;my text&gt;", "my &lt;notes&gt;", 'value="notes.txt"', "index.ts:2"):
                assert words in page.text, words
            assert 'name="base_version" value="1"' in page.text

    web(body)


def test_a_deploy_over_somebody_elses_is_a_conflict_that_keeps_the_text(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as program:
            await program.put("/api/apps/hello", content=HELLO + b"// theirs\n")
        async with await browser(stage) as client:
            form = {
                "form_token": await token(client),
                "file:index.ts": HELLO.decode() + "// mine\n",
                "base_version": "1",
            }
            page = await client.post("/apps/hello/deploy", data=form)
            assert page.status_code == 409
            assert "// mine" in page.text
            assert "Somebody deployed meanwhile" in page.text

    web(body)


def test_the_buttons(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        async with await browser(stage) as client:
            form = {"form_token": await token(client)}

            async def press(verb: str, **more: str) -> str:
                done = await client.post(f"/apps/hello/{verb}", data={**form, **more})
                assert done.status_code == 303, done.text
                return (await client.get(done.headers["location"])).text

            assert "It sleeps" in await press("stop")
            assert stage.rooms.fleet.state(app) is AppState.STOPPED
            assert "It runs" in await press("start")
            assert "It was restarted" in await press("restart")
            assert "held down until you start it" in await press("stop", hold="1")
            assert stage.rooms.fleet.state(app) is AppState.HELD
            await press("start")
            async with stage.client(stage.operator_token) as program:
                await program.put("/api/apps/hello", content=HELLO + b"// two\n")
            assert "Version 1 is live again after" in await press("rollback", version="1")
            assert "Bring back" in await press("delete")
            assert "It is back" in await press("undelete")
            wrong = await client.post("/apps/hello/rollback", data={**form, "version": "99"})
            assert (wrong.status_code, "no version 99" in wrong.text) == (404, True)

    web(body)


def test_a_form_without_its_token_does_nothing(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        async with await browser(stage) as client:
            right = await token(client)
            for shown in ("", "0" * 64, right[:-1]):
                for path in ("/apps", "/apps/hello/delete", "/apps/hello/deploy", "/logout", "/login"):
                    refused = await client.post(path, data={"form_token": shown, "source": HELLO.decode()})
                    assert (refused.status_code, refused.headers["steady-error"]) == (403, "cross_site"), path
            for kind in ("text/plain", "multipart/form-data; boundary=x", "application/json"):
                refused = await client.post(
                    "/apps", content=b"form_token=" + right.encode(), headers={"content-type": kind}
                )
                assert refused.status_code == 415
        assert [app.id] == [found.id for found in await stage.rooms.apps.everything()]

    web(body)


def test_somebody_elses_forms_do_nothing(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", await stage.guest())
        async with stage.client(accept="text/html") as client:
            form = {"form_token": await token(client), "version": "1", "file:index.ts": "x"}
            verbs = "deploy start stop restart delete undelete rollback token settings env notify/test rename purge"
            for verb in verbs.split():
                refused = await client.post(f"/apps/hello/{verb}", data=form)
                assert (refused.status_code, refused.headers["steady-error"]) == (404, "not_found"), verb

    web(body)


def test_log_in_with_a_token_and_out(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(accept="text/html") as client:
            form = {"form_token": await token(client, "/login"), "token": "nonsense", "next": "/apps/hello"}
            refused = await client.post("/login", data=form)
            assert refused.status_code == 401
            assert "not valid" in refused.text
            done = await client.post("/login", data={**form, "token": f" {stage.operator_token}\n"})
            assert (done.status_code, done.headers["location"]) == (303, "/apps/hello")
            page = (await client.get("/apps/hello")).text
            assert "Log out" in page
            secret = client.cookies["steady-session-8080"]
            out = await client.post("/logout", data={"form_token": form_token(page)})
            assert out.status_code == 303
            assert "Max-Age=0" in out.headers["set-cookie"]
        assert await stage.rooms.people.by_session(secret, stage.rooms.now()) is None

    web(body)


def test_a_login_link_works_once(web: Web) -> None:
    async def body(stage: Stage) -> None:
        link = await stage.rooms.people.add_login_link(stage.operator, stage.rooms.now())
        for status in (303, 401):
            async with stage.client(accept="text/html") as client:
                form = {"form_token": await token(client, f"/login/{link}")}
                done = await client.post(f"/login/{link}", data=form)
                assert done.status_code == status
                assert ("steady-session-8080" in client.cookies) == (status == 303)

    web(body)


def test_log_ins_of_one_address_are_limited(web: Web) -> None:
    async def body(stage: Stage) -> None:
        for _ in range(60):
            stage.rooms.logins.take(CLIENT, stage.rooms.now())
        async with stage.client(accept="text/html") as client:
            form = {"form_token": await token(client, "/login"), "token": stage.operator_token}
            assert (await client.post("/login", data=form)).status_code == 429
            assert (await client.post("/login/x", data=form)).status_code == 429

    web(body)
