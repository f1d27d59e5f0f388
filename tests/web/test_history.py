"""The pages of versions, as their owner and as a visitor see them, and the form that goes back."""

from __future__ import annotations

import re

from steadyd.model import App
from steadyd.moment import Mark, Point, PointKind, PointState
from steadyd.web.diffs import FileDiff
from steadyd.web.history import ROWS_MAX, TEXT_BYTES_MAX, VERSIONS_PER_PAGE_MAX, _bounded
from tests.web.conftest import HELLO, Stage, Web
from tests.web.test_forms import browser, token

PAGE = "/apps/hello/versions"
NASTY = "<img src=x onerror=hit()>\"'"
HTML = {"accept": "text/html"}


async def three_versions(stage: Stage) -> App:
    """With a message, an added file, a changed one, and one that is gone; public."""
    async with stage.client(stage.operator_token) as client:
        files = {"index.ts": HELLO.decode(), f"{NASTY}.txt": f"one\n{NASTY}\n", "old.txt": "x\n"}
        await client.post("/api/apps", json={"name": "hello", "files": files, "message": NASTY})
        changes = {"files": {f"{NASTY}.txt": f"two\n{NASTY}\n", "old.txt": None, "new.bin": {"base64": "AAE="}}}
        for more in (changes, {"files": {"lib/a.ts": "export {}\n"}}):
            made = await client.post("/api/apps/hello/deploys", json={"merge": True, **more})
            assert made.status_code == 201, made.text
        await client.patch("/api/apps/hello/settings", json={"visibility": "public"})
    app = await stage.rooms.apps.by_name("hello")
    assert app is not None
    return app


def test_the_list_says_where_each_came_from(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await three_versions(stage)
        async with await browser(stage) as client:
            page = (await client.get(PAGE)).text
        for words in ("&lt;img", "edited", "operator", "4 files", "live after", 'aria-label="Go back to version 1"'):
            assert words in page, words
        assert "<img" not in page
        assert page.count('class="pill running">live') == 1

    web(body)


def test_the_list_is_paged(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        version = await stage.rooms.versions.one(app.id, 1)
        assert version is not None
        columns = "app_id, number, entry, source, message, git, remix_of, author_id, created_at, modules"
        sql = f"INSERT INTO versions ({columns}) VALUES (?, ?, 'index.ts', 'json', '', '', '', '', 0, '')"
        values = [(app.id, number) for number in range(2, VERSIONS_PER_PAGE_MAX + 3)]
        await stage.rooms.apps._database.write(lambda db: db.executemany(sql, values))
        async with await browser(stage) as client:
            page = (await client.get(PAGE)).text
            older = re.search(r"versions\?below=(\d+)", page)
            assert older
            assert (page.count('class="n"'), older[1]) == (VERSIONS_PER_PAGE_MAX, "3")
            page = (await client.get(f"{PAGE}?below={older[1]}")).text
            assert re.findall(r'class="n" href="[^"]+/(\d+)"', page) == ["2", "1"]
            assert "below=" not in page

    web(body)


def test_one_version_shows_its_files_and_a_text_and_never_markup(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await three_versions(stage)
        async with await browser(stage) as client:
            page = (await client.get(f"{PAGE}/1")).text
            assert "export default" in page
            page = (await client.get(f"{PAGE}/1", params={"file": f"{NASTY}.txt"})).text
            assert "<span>&lt;img src=x" in page
            assert "<img" not in page
            assert "No text, or too large" in (await client.get(f"{PAGE}/2", params={"file": "new.bin"})).text
            for path in (f"{PAGE}/9", f"{PAGE}/x", f"{PAGE}/1?file=none", f"{PAGE}/diff?to=9"):
                missing = await client.get(path)
                assert (missing.status_code, missing.headers["steady-error"]) == (404, "not_found"), path

    web(body)


def test_two_versions_side_by_side_and_as_a_patch(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await three_versions(stage)
        async with await browser(stage) as client:
            page = (await client.get(f"{PAGE}/diff?to=2")).text
            assert "Version 1 → 2" in page
            assert "<del>one</del>" in page
            assert "<ins>two</ins>" in page
            for words in ("added", "deleted", "modified", "A binary file."):
                assert words in page
            assert "<img" not in page
            assert "the same files" in (await client.get(f"{PAGE}/diff?from=2&to=2")).text
            patch = await client.get(f"{PAGE}/diff?from=1&to=3&as=patch")
            assert patch.headers["content-type"] == "text/x-diff; charset=utf-8"
            assert patch.headers["content-disposition"] == 'attachment; filename="hello-1-3.patch"'
            assert "+++ b/lib/a.ts" in patch.text

    web(body)


def test_too_many_lines_are_not_shown() -> None:
    def file(count: int) -> FileDiff:
        text = "".join(f"+{number}\n" for number in range(count))
        return FileDiff("a", "added", False, count, 0, f"--- /dev/null\n+++ b/a\n@@ -0,0 +1,{count} @@\n{text}", "")

    found = _bounded([file(ROWS_MAX - 100), file(200), file(50)])
    assert [each.rows is not None for each in found] == [True, False, True]
    assert _bounded([file(ROWS_MAX + 1)])[0].rows is None


def test_going_back_to_the_code_and_its_undo(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await three_versions(stage)
        async with await browser(stage) as client:
            page = (await client.get(f"{PAGE}/1")).text
            assert "Its code only" in page
            assert "Its data cannot come along: No restore point says" in page
            form = {"form_token": await token(client, PAGE), "version": "1", "data": "keep"}
            done = await client.post("/apps/hello/rollback", data=form)
            assert done.status_code == 303, done.text
            page = (await client.get(done.headers["location"])).text
            assert "Version 1 is live again after" in page
            assert "Undo: back to version 3" in page
            assert 'id="back"' not in (await client.get(f"{PAGE}/1")).text
            for data, said, status in (("version", "No restore point", 422), ("soon", "soon", 422)):
                refused = await client.post("/apps/hello/rollback", data=form | {"version": "2", "data": data})
                assert (refused.status_code, said in refused.text) == (status, True), refused.text
            wrong = await client.post("/apps/hello/rollback", data=form | {"version": "99"})
            assert (wrong.status_code, "no version 99" in wrong.text) == (404, True)
            forged = (await client.get(f"{PAGE}?deployed=999&from=1&undo=1")).text
            assert 'role="status"' not in forged
        now = await stage.rooms.apps.by_id(app.id)
        assert now is not None
        assert now.version == 1

    web(body)


def test_what_goes_back_is_said_before_it_happens(web: Web) -> None:
    """Code and data: the moment, the databases; and that it ran with other variables."""

    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with await browser(stage) as client:
            form = {"form_token": await token(client, "/apps/hello/settings"), "env": "A=1"}
            await client.post("/apps/hello/env", data=form)
            async with stage.client(stage.operator_token) as program:
                await program.put("/api/apps/hello", content=HELLO + b"// two\n")
            await client.post("/apps/hello/env", data=form | {"env": "A=2"})
            app = await stage.rooms.apps.by_name("hello")
            assert app is not None
            mark, state = Mark(1_700_000_000.0), PointState.PINNED
            point = Point(0, app.id, PointKind.DEPLOY, mark, "operator", "", 1, 1, state)
            await stage.rooms.library.points.add(point)
            page = (await client.get(f"{PAGE}/1")).text
            assert "the data as it was when this version was last live" in page
            assert "2023-11-14 22:13:20 UTC" in page
            assert "And the variables with which it ran last." in page

    web(body)


def test_a_visitor_reads_a_public_app_and_nothing_of_its_owner(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await three_versions(stage)
        async with stage.client(stage.operator_token) as program:
            sent = {
                "files": {"index.ts": HELLO.decode()},
                "git": {"commit": "a" * 40, "remote": "https://git.example/x"},
            }
            await program.post("/api/apps/hello/deploys", json=sent)
        async with stage.client(accept="text/html") as client:
            pages = [(await client.get(path)) for path in ("/apps/hello", PAGE, f"{PAGE}/1", f"{PAGE}/diff?to=2")]
            for page in pages:
                assert page.status_code == 200
                assert 'href="/new?from=hello">Remix</a>' in page.text
                for words in ("operator", "git.example", "Go back", "Pin", "live after", "Restart"):
                    assert words not in page.text, words
            assert "export default" in pages[0].text
            raw = await client.get("/api/apps/hello/versions/1/files/old.txt")
            assert raw.headers["content-disposition"].startswith("attachment")
            assert raw.headers["x-content-type-options"] == "nosniff"
            for path in (f"{PAGE}/1/pin", "/apps/hello/rollback"):
                refused = await client.post(path, data={"form_token": await token(client), "version": "1"})
                assert refused.status_code == 404
            await stage.rooms.removal.delete(stage.operator, app)
            assert {(await client.get(path)).status_code for path in ("/apps/hello", PAGE, f"{PAGE}/1")} == {404}

    web(body)


def test_who_has_an_unlisted_name_reads_it_and_a_private_source_is_not_there(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await three_versions(stage)
        async with stage.client(stage.operator_token) as program, stage.client(accept="text/html") as client:
            for visibility, status in (("unlisted", 200), ("private-source", 404)):
                await program.patch("/api/apps/hello/settings", json={"visibility": visibility})
                for path in (PAGE, f"{PAGE}/1", f"{PAGE}/diff?to=2"):
                    assert (await client.get(path)).status_code == status
            page = (await client.get("/apps/hello")).text
            assert "Remix" not in page
            assert "export default" not in page

    web(body)


def test_a_version_is_pinned_and_let_go(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await three_versions(stage)
        async with await browser(stage) as client:
            form = {"form_token": await token(client, PAGE)}
            for pinned in ("1", "0"):
                await client.post(f"{PAGE}/1/pin", data=form | {"pinned": pinned})
                version = await stage.rooms.versions.one(app.id, 1)
                assert version is not None
                assert version.pinned is (pinned == "1")

    web(body)


def test_a_large_text_is_a_download(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            files = {"index.ts": HELLO.decode(), "big.txt": "x" * (TEXT_BYTES_MAX + 1)}
            await client.post("/api/apps", json={"name": "hello", "files": files})
        async with await browser(stage) as client:
            page = (await client.get(f"{PAGE}/1?file=big.txt")).text
        assert "No text, or too large" in page
        assert "xxxx" not in page

    web(body)
