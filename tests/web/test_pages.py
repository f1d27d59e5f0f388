"""The pages as a browser without scripts gets them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.web.conftest import NOISY, Stage, Web, form_token

NASTY = "<script>x</script>&\"'"


async def log_in(stage: Stage) -> str:
    """A cookie of the operator's session."""
    return f"__Host-steady-session-8080={await stage.rooms.people.add_session(stage.operator, stage.rooms.now())}"


def test_every_page_says_what_the_machine_lacks(web: Web) -> None:
    async def body(stage: Stage) -> None:
        paths = ("/", "/login", "/api/docs", "/nothing")
        async with stage.rebuilt(missing=(NASTY, "No sandbox.")).client(accept="text/html") as client:
            for path in paths:
                page = (await client.get(path)).text
                assert page.count('class="missing" role="alert"') == 2, path
                assert NASTY not in page
        async with stage.client(accept="text/html") as client:
            assert not [path for path in paths if 'class="missing"' in (await client.get(path)).text]

    web(body)


def test_every_page_names_the_abuse_contact_where_there_is_one(web: Web) -> None:
    """Those too that say what went wrong."""

    async def body(stage: Stage) -> None:
        paths = ("/", "/login", "/api/docs", "/nothing")
        urls = replace(stage.rooms.urls, abuse_contact="abuse@steady.example")
        async with stage.rebuilt(urls=urls).client(accept="text/html") as client:
            for path in paths:
                assert '<a href="mailto:abuse@steady.example"' in (await client.get(path)).text, path
        async with stage.client(accept="text/html") as client:
            assert not [path for path in paths if "abuse" in (await client.get(path)).text.lower()]

    web(body)


def test_every_input_has_a_label(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(cookie=await log_in(stage)) as client:
            for path in ("/", "/apps/hello", "/login", "/login/secret"):
                page = (await client.get(path)).text
                for tag in re.findall(r"<(?:input|textarea|select)[^>]*>", page):
                    if 'type="hidden"' in tag or "aria-label=" in tag:
                        continue
                    found = re.search(r'\bid="([^"]+)"', tag)
                    assert (found and f'for="{found[1]}"' in page) or re.search(
                        r"<label[^>]*>[^<]*" + re.escape(tag), page
                    ), tag
                assert page.count("<h1") == 1
                assert '<html lang="en">' in page

    web(body)


def test_the_list_shows_mine_alone(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("mine")
        await stage.app("theirs", await stage.guest())
        async with stage.client(cookie=await log_in(stage)) as client:
            page = (await client.get("/apps")).text
        assert "/apps/mine" in page
        assert "theirs" not in page
        async with stage.client() as client:
            assert "Log in to see your apps" in (await client.get("/apps")).text

    web(body)


def test_the_owners_page_shows_everything(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=NOISY)
        async with stage.client(cookie=await log_in(stage)) as client:
            page = (await client.get("/apps/hello")).text
        for words in ("http://hello.localhost:8080", "running", "up and running", "index.ts", "Versions", "Deploy"):
            assert words in page
        assert form_token(page)

    web(body)


def test_everybody_elses_page_shows_name_url_and_state(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=NOISY)
        async with stage.client(accept="text/html") as client:
            page = await client.get("/apps/hello")
            absent = await client.get("/apps/absent")
        assert page.status_code == 200
        assert "http://hello.localhost:8080" in page.text
        assert "up and running" not in page.text
        assert "operator" not in re.sub(r"<p class=.hint.*", "", page.text)
        assert (absent.status_code, absent.headers["steady-error"]) == (404, "not_found")
        assert "absent" in absent.text

    web(body)


def test_everything_foreign_is_escaped(web: Web) -> None:
    """File names, file texts, log lines, request paths, error texts."""

    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            code = f"console.log({NASTY!r}); export default {{ fetch: () => new Response('') }} /*</textarea>{NASTY}*/"
            files = {"index.ts": code, f"{NASTY}.txt": NASTY}
            made = await client.post("/api/apps", json={"name": "hello", "files": files})
            assert made.status_code == 201, made.text
        async with stage.client(cookie=await log_in(stage), accept="text/html") as client:
            pages = [(await client.get(path)).text for path in ("/apps/hello", "/apps", f"/apps/{NASTY}", f"/{NASTY}")]
            failed = await client.post(
                "/apps/hello/deploy",
                data={
                    "form_token": form_token(pages[0]),
                    f"file:{NASTY}.txt": f"{NASTY}2",
                    "file:index.ts": f"{NASTY}",
                },
            )
            assert failed.status_code == 422
            for page in (*pages, failed.text):
                assert "<script>x" not in page
                assert page.count("</textarea>") == page.count("<textarea")

    web(body)


def test_a_page_that_is_not_there_is_a_page_for_browsers_only(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            browser = await client.get("/nowhere", headers={"accept": "text/html,*/*"})
            program = await client.get("/nowhere")
            api = await client.get("/api/nowhere", headers={"accept": "text/html"})
        assert browser.headers["content-type"].startswith("text/html")
        assert program.headers["content-type"] == "application/json"
        assert api.headers["content-type"] == "application/json"
        assert {answer.headers["steady-error"] for answer in (browser, program, api)} == {"not_found"}

    web(body)


@pytest.mark.parametrize("path", ["/login/secret", "/login"])
def test_looking_at_a_login_page_logs_nobody_in(web: Web, path: str) -> None:
    async def body(stage: Stage) -> None:
        link = await stage.rooms.people.add_login_link(stage.operator, stage.rooms.now())
        async with stage.client() as client:
            for _ in range(3):
                page = await client.get(path.replace("secret", link))
                assert page.status_code == 200
                assert "steady-session" not in page.headers.get("set-cookie", "")
        assert await stage.rooms.people.take_login_link(link, stage.rooms.now()) is not None

    web(body)
