"""The pages of databases as a browser without scripts gets them."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

import pytest

from tests.web.conftest import HELLO, Stage, Web
from tests.web.test_pages import log_in

NASTY = "<script>x</script>&\"'"
KEEPER = (
    b"""
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT, n)");
for (let id = 1; id <= 120; id++) db.run("INSERT OR IGNORE INTO notes VALUES (?, ?, ?)", [id, `note ${id}`, id % 3]);
db.run('CREATE TABLE "<script>x</script>&""\\'" ("<b>col</b>" TEXT)');
db.run('INSERT INTO "<script>x</script>&""\\'" VALUES (?)', ["<img src=x onerror=hit()>"]);
db.run("CREATE VIEW v AS SELECT text FROM notes");
"""
    + HELLO
)
ONE = "/apps/hello/databases/data.sqlite"


async def page(stage: Stage, path: str, status: int = 200) -> str:
    async with stage.client(cookie=await log_in(stage), accept="text/html") as client:
        answer = await client.get(path)
    assert answer.status_code == status, answer.text
    assert "<script>x" not in answer.text
    assert "<img src=x" not in answer.text
    assert "<b>col" not in answer.text
    return answer.text


def link(text: str, words: str) -> str:
    """The address of the link with these words."""
    found = re.search(rf'<a [^>]*href="([^"]*)"[^>]*>{re.escape(words)}</a>', text)
    assert found, text
    return html.unescape(found[1])


def test_from_the_list_to_the_rows(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER)
        listed = await page(stage, "/apps/hello/databases")
        assert f'href="{ONE}"' in listed
        overview = await page(stage, ONE)
        assert 'href="/apps/hello/databases/data.sqlite?table=notes"' in overview
        rows = await page(stage, f"{ONE}?table=notes")
        assert "note 50" in rows
        assert "note 51" not in rows
        after = await page(stage, link(rows, "Next page"))
        assert "note 51" in after
        assert "First page" in after
        fewer = await page(stage, f"{ONE}?table=notes&column=n&operator=%3D&value=2&sort=id&descending=1")
        assert fewer.count('aria-label="Edit row') == 40
        assert fewer.index("note 119") < fewer.index("note 116")
        assert "No row fits" in await page(stage, f"{ONE}?table=notes&column=text&operator=contains&value=none")

    web(body)


def test_names_and_values_that_are_markup_stay_text(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER)
        found = await page(stage, f"{ONE}?table={quote(NASTY)}&sort={quote('<b>col</b>')}")
        assert "&lt;img src=x onerror=hit()&gt;" in found
        assert "&lt;b&gt;col&lt;/b&gt;" in found
        editing = await page(stage, f"{ONE}?table={quote(NASTY)}&edit=%5B1%5D&value={quote(NASTY)}")
        assert "Edit row" in editing

    web(body)


def test_what_there_is_not(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER)
        for path, status in (
            (f"{ONE}?table=none", 404), ("/apps/hello/databases/none", 404), ("/apps/none/databases", 404),
            (f"{ONE}?table=notes&sort=none", 422), (f"{ONE}?table=notes&after=none", 422),
            (f"{ONE}?table=notes&column=none&value=1", 422), ("/apps/hello/databases/%2e%2e/x", 422),
        ):  # fmt: skip
            await page(stage, path, status)
        assert "not on this page any more" in await page(stage, f"{ONE}?table=notes&edit=%5B999%5D")
        assert "New row" not in await page(stage, f"{ONE}?table=v")
        async with stage.client(await stage.guest(), accept="text/html") as client:
            assert (await client.get(ONE)).status_code == 404
        async with stage.client(accept="text/html") as client:
            assert (await client.get(ONE)).status_code == 404

    web(body)


def test_it_is_checked(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER)
        assert "This database is whole." in await page(stage, f"{ONE}?check=1")

    web(body)


@pytest.mark.parametrize("query", ["table=notes", "table=notes&edit=%5B1%5D", "table=notes&edit=new", ""])
def test_every_input_has_a_label(web: Web, query: str) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER)
        found = await page(stage, f"{ONE}?{query}")
        for tag in re.findall(r"<(?:input|textarea|select)[^>]*>", found):
            if 'type="hidden"' in tag or "aria-label=" in tag:
                continue
            known = re.search(r'\bid="([^"]+)"', tag)
            assert (known and f'for="{known[1]}"' in found) or re.search(
                r"<label[^>]*>[^<]*" + re.escape(tag), found
            ), tag

    web(body)
