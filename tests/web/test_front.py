"""The first visit, without a script: what is open, where it comes from, and that nothing runs by itself."""

from __future__ import annotations

import base64
import re

from steadyd.web.gallery import OPENING, TEMPLATES, files_of
from tests.web.conftest import HELLO, Stage, Web, form_token
from tests.web.test_forms import BROKEN, browser, token

NASTY = "<img src=x onerror=hit()>\"'"
SAYS = "export default { fetch: () => new Response(process.env.API_KEY ?? 'none') }\n"


def fields(page: str) -> dict[str, str]:
    """The form's hidden fields and texts, as a browser would send them."""
    form = page[page.index('action="/apps"') :]
    form = form[: form.index("</form>")]
    found = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form))
    for name, text in re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>\n(.*?)</textarea>', form, re.S):
        found[name] = text
    return {unescaped(name): unescaped(text) for name, text in found.items()}


def unescaped(text: str) -> str:
    for entity, char in (("&lt;", "<"), ("&gt;", ">"), ("&#34;", '"'), ("&#39;", "'"), ("&amp;", "&")):
        text = text.replace(entity, char)
    return text


def test_home_holds_an_example_that_runs(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as client:
            page = await client.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "new Database(&#34;data.sqlite&#34;)" in page.text
        assert fields(page.text)["source"] == files_of(OPENING)["index.ts"]
        assert "<script>" not in page.text
        assert " style=" not in page.text
        assert await stage.nothing_is_written()

    web(body)


def test_paste_and_run(web: Web) -> None:
    """The form of the home page: a guest, an app, and a page that says in how many milliseconds."""

    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as client:
            form = {"form_token": await token(client), "source": HELLO.decode().replace("\n", "\r\n"), "name": "hello"}
            done = await client.post("/apps", data=form)
            assert done.status_code == 303
            assert "steady-session-8080=" in done.headers["set-cookie"]
            page = await client.get(done.headers["location"])
            assert re.search(r"Live after [\d.]+ ms", page.text)
            assert "http://hello.localhost:8080" in page.text
            assert [app["name"] for app in (await client.get("/api/apps")).json()["apps"]] == ["hello"]
            api = await client.get("/api/apps/hello/versions/1/files/index.ts")
            assert api.content == HELLO

    web(body)


def test_a_failed_run_keeps_the_text(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as client:
            form = {"form_token": await token(client), "source": BROKEN, "name": "hello"}
            page = await client.post("/apps", data=form)
            assert page.status_code == 422
            assert "fetch( =&gt; 1 // &lt;my text&gt;" in page.text
            assert 'value="hello"' in page.text
            assert "index.ts:2" in page.text
            assert 'class="row here"' in page.text
            form["name"] = "Not A Name"
            page = await client.post("/apps", data=form)
            assert page.status_code == 422
            assert "Not A Name" in page.text
        assert await stage.nobody_is_new()

    web(body)


def test_every_template_is_open_and_none_runs(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as client:
            for name in TEMPLATES:
                page = await client.get(f"/new?template={name}")
                assert page.status_code == 200
                texts = [text for field, text in fields(page.text).items() if field == "source" or field[:5] == "file:"]
                assert texts == list(files_of(name).values()), name
                assert f'href="/new?template={name}" aria-current="page"' in page.text
            missing = await client.get("/new", params={"template": NASTY})
            assert (missing.status_code, "<img" in missing.text) == (404, False)
            assert "visits" in (await client.get("/new")).text, "the opening one"
        assert await stage.nothing_is_written()

    web(body)


def test_a_template_of_several_files_is_run_as_it_was_typed(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as client:
            form = fields((await client.get("/new?template=crons")).text) | {"name": "ticking"}
            broken = await client.post("/apps", data=form | {"file:index.ts": BROKEN})
            assert (broken.status_code, "&lt;my text&gt;" in broken.text) == (422, True)
            assert fields(broken.text)["file:package.json"] == form["file:package.json"]
            assert 'href="/new?template=crons" aria-current="page"' in broken.text
            done = await client.post("/apps", data=form)
            assert done.status_code == 303, done.text
            page = (await client.get(done.headers["location"])).text
            assert "What to try next" in page
            files = (await client.get("/api/apps/ticking/versions/1/files")).json()["files"]
            assert [file["path"] for file in files] == ["index.ts", "package.json"]

    web(body)


async def original(stage: Stage, visibility: str = "public") -> None:
    """Somebody's app with a text, a binary file and one with other ends of lines, and a variable."""
    async with stage.client(stage.operator_token) as client:
        logo = {"base64": base64.b64encode(b"\0\1").decode()}
        files = {"index.ts": SAYS, f"{NASTY}.txt": f"</textarea>{NASTY}", "logo.png": logo, "dos.txt": "a\r\nb\r\n"}
        made = await client.post("/api/apps", json={"name": "first", "files": files, "env": {"API_KEY": "s3cr3t"}})
        assert made.status_code == 201, made.text
        await client.patch("/api/apps/first/settings", json={"visibility": visibility})


def test_a_remix_is_open_and_becomes_an_app_of_ones_own(web: Web) -> None:
    """Changed before its first run, with the files that no text area takes, and the names of the variables."""

    async def body(stage: Stage) -> None:
        await original(stage)
        async with stage.client(accept="text/html") as client:
            page = (await client.get("/new?from=first")).text
            assert "Read it before you run it" in page
            assert "<code>API_KEY</code>" in page
            assert 'data-other="logo.png"' in page
            for words in ("s3cr3t", "<img", "operator"):
                assert words not in page, words
            assert page.count("</textarea>") == page.count("<textarea")
            assert len(await stage.rooms.apps.everything()) == 1
            form = fields(page) | {"name": "second", "form_token": form_token(page)}
            form["file:index.ts"] = SAYS.replace("none", "mine").replace("\n", "\r\n")
            done = await client.post("/apps", data=form)
            assert done.status_code == 303, done.text
            at = "/api/apps/second/versions/1"
            told = (await client.get(at)).json()
            assert (told["version"]["source"], told["version"]["remix_of"]) == ("remix", "first")
            assert [file["path"] for file in told["files"]] == [f"{NASTY}.txt", "dos.txt", "index.ts", "logo.png"]
            assert (await client.get(f"{at}/files/dos.txt")).content == b"a\r\nb\r\n"
            assert (await client.get(f"{at}/files/logo.png")).content == b"\0\1"
            assert "'mine'" in (await client.get(f"{at}/files/index.ts")).text
            assert "no value yet" in (await client.get("/apps/second/settings")).text

    web(body)


def test_what_one_may_not_read_is_not_there_to_remix(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await original(stage, "private-source")
        async with stage.client(accept="text/html") as client:
            for name in ("first", "nothing", NASTY):
                missing = await client.get("/new", params={"from": name})
                assert (missing.status_code, "<img" in missing.text) == (404, False)
            form = {"form_token": await token(client), "file:index.ts": SAYS, "remix_of": "first", "remix_version": "1"}
            refused = await client.post("/apps", data=form)
            assert (refused.status_code, "Response(process.env" in refused.text) == (404, True)
        async with await browser(stage) as owner:
            assert (await owner.get("/new?from=first")).status_code == 200, "one's own"
        assert len(await stage.rooms.apps.everything()) == 1

    web(body)
