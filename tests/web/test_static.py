"""The pages' own files: by name only, with fingerprints, never from the file system of a request."""

from __future__ import annotations

import re

import pytest

from steadyd.web.shipped import folder
from steadyd.web.static import FOREVER, link
from tests.web.conftest import Stage, Web


def test_a_linked_file_may_be_kept_for_ever(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            page = (await client.get("/")).text
            links = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
            assert len(links) >= 4
            for address in links:
                answer = await client.get(address)
                assert (answer.status_code, answer.headers["cache-control"]) == (200, FOREVER)
                tag = {"if-none-match": answer.headers["etag"]}
                assert (await client.get(address, headers=tag)).status_code == 304
            assert (await client.get("/static/steady.css")).headers["cache-control"] == "no-cache"
            assert (await client.get("/favicon.ico")).headers["content-type"] == "image/svg+xml"
            assert "Disallow: /api/" in (await client.get("/robots.txt")).text

    web(body)


@pytest.mark.parametrize(
    "path",
    ["../pyproject.toml", "..%2fpyproject.toml", "%2e%2e/x", "x.css", "", ".", "steady.css%00", "..\\x", "steady.css/"],
)
def test_nothing_else_is_served(web: Web, path: str) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            assert (await client.get(f"/static/{path}")).status_code == 404

    web(body)


def test_what_pages_run_and_show_comes_from_here_alone() -> None:
    """No other host is asked for anything, no script or style is in a page."""
    for kind, where in (("*.html", "templates"), ("*.ts", "static/src"), ("*.css", "static/style")):
        for file in folder(where).rglob(kind):
            text = file.read_text()
            assert not re.search(r"""(src|href)=["'](https?:)?//|@import ["']?[a-z]+:|\burl\(""", text), file
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=\"|\bon[a-z]+=\"", text), file
            assert "innerHTML" not in text
            assert "|safe" not in text


def test_a_browser_that_takes_gzip_gets_the_compressed_file(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            small = await client.get("/static/steady.css", headers={"accept-encoding": "br, gzip"})
            large = await client.get("/static/steady.css", headers={"accept-encoding": "identity, gzip;q=0"})
            assert (small.headers["content-encoding"], "content-encoding" in large.headers) == ("gzip", False)
            assert small.content == large.content
            assert int(small.headers["content-length"]) < int(large.headers["content-length"]) / 2
            assert (await client.get("/static/steady.css.gz")).status_code == 404

    web(body)


def test_what_is_kept_compressed_only_is_for_everybody(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            small = await client.get(link("types.json"))
            large = await client.get(link("types.json"), headers={"accept-encoding": "identity"})
            assert (small.headers["content-encoding"], small.headers["cache-control"]) == ("gzip", FOREVER)
            assert "content-encoding" not in large.headers
            assert small.json() == large.json()
            assert int(small.headers["content-length"]) < 1_300_000

    web(body)


def test_a_link_names_the_content() -> None:
    assert re.fullmatch(r"/static/steady\.css\?v=[0-9a-f]{12}", link("steady.css"))
