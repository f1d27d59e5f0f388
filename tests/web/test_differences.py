"""The page that tells what changed, as a browser without scripts gets it."""

from __future__ import annotations

import html
import re
import sqlite3
from typing import Any

import pytest
from markupsafe import escape

from tests.web.conftest import HELLO, Stage, Web, form_token
from tests.web.test_pages import log_in

NASTY = "<img src=x onerror=hit()>\"'"
KEEPER = (
    b"""
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT, n)");
db.run("INSERT OR IGNORE INTO notes VALUES (2, 'two, changed', 2), (9, 'nine', 9), (3, 'same', 3)");
"""
    + HELLO
)
THEN = (
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT, n);"
    "INSERT INTO notes VALUES (1, '<img src=x onerror=hit()>\"''', 1), (2, 'two', 2), (3, 'same', 3);"
    'CREATE TABLE "<img src=x onerror=hit()>""\'" ("<b>c</b>"); INSERT INTO "<img src=x onerror=hit()>""\'" VALUES (1)'
)
PAGE = "/apps/hello/changed"


class Person:
    def __init__(self, stage: Stage, client: Any) -> None:
        self.stage = stage
        self.client = client
        self.page = ""

    async def look(self, query: str, status: int = 200) -> str:
        answer = await self.client.get(f"{PAGE}?{query}")
        assert answer.status_code == status, answer.text
        self.page = answer.text
        assert "<img src=x" not in self.page
        assert "<b>c" not in self.page
        return self.page

    async def send(self, fields: dict[str, str], status: int = 200) -> str:
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', self.page)
        sent = {name: html.unescape(value) for name, value in hidden} | fields
        sent["form_token"] = form_token(self.page)
        answer = await self.client.post(PAGE, data=sent)
        assert answer.status_code == status, answer.text
        self.page = answer.text
        return self.page

    def rows(self) -> list[Any]:
        (path,) = (self.stage.folder / "apps").glob("*/app/data.sqlite")
        database = sqlite3.connect(path)
        try:
            return database.execute("SELECT id, text FROM notes ORDER BY id").fetchall()
        finally:
            database.close()


def play(web: Web, body: Any) -> None:
    async def whole(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER)
        stage.moments.add(1, THEN)
        async with stage.client(cookie=await log_in(stage), accept="text/html") as client:
            await body(Person(stage, client))

    web(whole)


NOW = [(2, "two, changed"), (3, "same"), (9, "nine")]


def test_from_counts_to_rows(web: Web) -> None:
    async def body(person: Person) -> None:
        assert "since <input" in await person.look("")
        counts = await person.look("from=point:1")
        assert "(restore point 1)" in counts
        assert 'class="number gone">1<' in counts
        assert f"gone</span> table <code>{escape(NASTY)}" in counts
        rows = await person.look("from=point:1&table=notes")
        assert "1 gone, 1 changed, 1 new" in rows
        assert "<del>two</del><ins>two, changed</ins>" in rows
        assert rows.count('type="checkbox" name="row:') == 2, "what is new cannot be brought back"
        assert escape(NASTY) in rows

    play(web, body)


def test_what_is_ticked_comes_back(web: Web) -> None:
    async def body(person: Person) -> None:
        await person.look("from=point:1&table=notes")
        said = await person.send({"row:0": "[1]", "row:1": "[2]", "do": "rows"})
        assert "1 row came back." in said
        assert "1 was left alone: <code>[2]</code> differs now." in said
        assert person.rows() == [(1, NASTY), *NOW]
        said = await person.send({"do": "table", "overwrite": "1"})
        assert "1 of them over what was there" in said
        assert person.rows()[1] == (2, "two")
        await person.look(f"from=point:1&table={NASTY.replace(' ', '+')}")
        assert "The table was made again." in await person.send({"do": "table"})

    play(web, body)


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("from=soon", 422, "is not a moment"), ("from=9", 422, "There is no such moment"),
        ("from=1&table=none", 404, "There is no table"), ("from=1&table=notes&after=x", 422, "is none that this call"),
        ("from=1&to=later", 422, "is not a moment"), ("from=1&file=none.sqlite", 404, "There was no database"),
        ("from=%3Cimg+src%3Dx%3E", 422, "is not a moment"), ("from=1&file=../x", 422, "path"),
    ],
)  # fmt: skip
def test_questions_without_an_answer(web: Web, query: str, status: int, said: str) -> None:
    async def body(person: Person) -> None:
        assert said in await person.look(query, status)

    play(web, body)


def test_forms_that_bring_nothing_back(web: Web) -> None:
    async def body(person: Person) -> None:
        await person.look("from=point:1&table=notes")
        for fields, said in (
            ({"do": "rows"}, "Tick the rows"), ({"row:0": "x"}, "JSON"), ({"row:0": "[null]"}, "A value of a key"),
            ({"row:0": "[1, 2]"}, "A key of"), ({"row:0": "[1]", "from": "soon"}, "is not a moment"),
        ):  # fmt: skip
            answer = await person.client.get(f"{PAGE}?from=point:1&table=notes")
            person.page = answer.text
            status = 400 if said == "JSON" else 422
            assert said in await person.send(fields, status)
        assert (await person.client.post(PAGE, data={"file": "data.sqlite"})).status_code == 403
        assert person.rows() == NOW

    play(web, body)
