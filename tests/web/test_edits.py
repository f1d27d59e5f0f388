"""Forms of the database pages, as a browser without scripts sends them."""

from __future__ import annotations

import base64
import html
import json
import re
import sqlite3
from typing import Any

import httpx
import pytest

from tests.web.conftest import HELLO, Stage, Web, form_token
from tests.web.test_pages import log_in

KEEPER = (
    b"""
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL, n, raw BLOB)");
db.run("INSERT OR IGNORE INTO notes VALUES (1, 'one', 9007199254740993, x'00ff'), (2, 'two', NULL, NULL)");
"""
    + HELLO
)
ONE = "/apps/hello/databases/data.sqlite"


class Person:
    """Who fills in the forms of one page after the other."""

    def __init__(self, stage: Stage, client: httpx.AsyncClient) -> None:
        self.stage = stage
        self.client = client
        self.page = ""

    async def look(self, query: str) -> None:
        self.page = (await self.client.get(f"{ONE}?{query}")).text

    async def send(self, verb: str, status: int = 200, **typed: str) -> str:
        """Send the form of the page as it stands, with `typed` in it."""
        form = re.search(rf'<form method="post" action="/apps/hello/database/{verb}[^"]*".*?</form>', self.page, re.S)
        assert form, self.page
        fields = {}
        for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[0]):
            fields[name] = html.unescape(value)
        for name, text in re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>\n(.*?)</textarea>', form[0], re.S):
            fields[name] = html.unescape(text)
        for name, options in re.findall(r'<select name="([^"]+)"(.*?)</select>', form[0], re.S):
            fields[name] = re.search(r'value="([^"]*)" selected', options)[1]  # type: ignore[index]
        fields |= {name.replace("_", ":"): value for name, value in typed.items()}
        answer = await self.client.post(f"/apps/hello/database/{verb}", data=fields)
        assert answer.status_code == status, answer.text
        self.page = answer.text
        return self.page

    def rows(self, sql: str = "SELECT * FROM notes") -> list[Any]:
        (path,) = (self.stage.folder / "apps").glob("*/app/data.sqlite")
        database = sqlite3.connect(path)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()


def play(web: Web, body: Any) -> None:
    async def whole(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER)
        async with stage.client(cookie=await log_in(stage), accept="text/html") as client:
            client.cookies.clear()
            await body(Person(stage, client))

    web(whole)


BEFORE = [(1, "one", 9007199254740993, b"\0\xff"), (2, "two", None, None)]


def test_a_cell_is_changed_and_undone(web: Web) -> None:
    async def body(person: Person) -> None:
        await person.look("table=notes&edit=%5B1%5D")
        assert "9007199254740993" in person.page
        assert "Nothing was changed." in await person.send("row")
        await person.look("table=notes&edit=%5B1%5D")
        assert "The row is changed." in await person.send("row", value_1="eins\nzwei <b>")
        assert person.rows() == [(1, "eins\nzwei <b>", 9007199254740993, b"\0\xff"), BEFORE[1]]
        assert "It is as it was before." in await person.send("undo")
        assert person.rows() == BEFORE

    play(web, body)


def test_values_of_every_kind(web: Web) -> None:
    async def body(person: Person) -> None:
        await person.look("table=notes&edit=%5B2%5D")
        await person.send("row", kind_2="number", value_2="1.0", kind_3="blob", value_3="c0ffee")
        assert person.rows("SELECT n, typeof(n), raw FROM notes WHERE id = 2") == [(1.0, "real", b"\xc0\xff\xee")]
        await person.look("table=notes&edit=%5B2%5D")
        await person.send("row", kind_2="null", value_2="")
        assert person.rows("SELECT n FROM notes WHERE id = 2") == [(None,)]

    play(web, body)


def test_a_row_is_made_and_one_goes_and_comes_back(web: Web) -> None:
    async def body(person: Person) -> None:
        await person.look("table=notes&edit=new")
        assert "The row is made." in await person.send("row", kind_1="text", value_1="three")
        assert person.rows("SELECT id, text FROM notes")[2] == (3, "three")
        await person.look("table=notes&edit=%5B1%5D")
        assert "The row is gone." in await person.send("row", do="delete")
        assert len(person.rows()) == 2
        await person.send("undo")
        assert person.rows()[0] == BEFORE[0]

    play(web, body)


def test_what_is_refused_keeps_what_was_typed(web: Web) -> None:
    async def body(person: Person) -> None:
        for typed, said in (
            ({"kind_2": "number", "value_2": "x<b>"}, "is not a number"),
            ({"kind_1": "null", "value_1": "<i>typed"}, "is not NULL"),
            ({"kind_1": "null", "value_1": ""}, "NOT NULL constraint failed"),
        ):  # fmt: skip
            await person.look("table=notes&edit=%5B1%5D")
            page = await person.send("row", 422, **typed)
            assert said in page
            for value in typed.values():
                assert html.escape(value) in page
            assert person.rows() == BEFORE
        await person.look("table=notes&edit=%5B1%5D")
        stale = person.page
        await person.send("row", value_1="changed")
        person.page = stale
        page = await person.send("row", 409, value_1="mine")
        assert "mine" in page
        assert person.rows()[0][1] == "changed"

    play(web, body)


def test_sql_is_run_explained_and_remembered(web: Web) -> None:
    async def body(person: Person) -> None:
        await person.look("table=notes")
        page = await person.send("sql", sql="SELECT text, raw, '<script>' FROM notes", do="run")
        assert "2 rows in" in page
        assert "&lt;script&gt;" in page
        assert "00 ff" in page
        page = await person.send("sql", sql="SELECT * FROM notes WHERE id = 1", do="explain")
        assert "SEARCH notes" in page
        assert "only reads" in await person.send("sql", 422, sql="DELETE FROM notes", do="run")
        assert person.rows() == BEFORE
        page = await person.send(
            "sql", sql="DELETE FROM notes; INSERT INTO notes (text) VALUES ('x')", write="1", do="run"
        )
        assert "3 changed" in page
        assert person.rows("SELECT text FROM notes") == [("x",)]
        assert page.count("DELETE FROM notes") >= 3, "the console, and both times it was asked"
        assert "no such table" in await person.send("sql", 422, sql="SELECT * FROM none", do="run")
        assert "There is no statement in it" in await person.send("sql", 422, sql="", do="run")

    play(web, body)


def test_what_is_pasted_or_read_is_imported(web: Web) -> None:
    async def body(person: Person) -> None:
        await person.look("table=notes")

        async def bring(status: int, **fields: str) -> str:
            sent = {"form_token": form_token(person.page), "file": "data.sqlite", "table": "notes", **fields}
            answer = await person.client.post("/apps/hello/database/import", data=sent)
            assert answer.status_code == status, answer.text
            return answer.text

        told = await bring(200, format="csv", into="words", content="word,n\nriver,1\n<script>,2\n")
        assert "Imported: 2 rows." in told
        assert person.rows("SELECT word FROM words") == [("river",), ("<script>",)]
        assert "Imported: 1 statement." in await bring(200, format="sql", content="DELETE FROM words")
        (path,) = (person.stage.folder / "apps").glob("*/app/data.sqlite")
        whole = base64.b64encode(path.read_bytes()).decode()
        await bring(303, format="sqlite", base64=whole)
        assert (path.parent / "data.sqlite-imported").is_file()
        for fields, said in (
            ({"format": "csv", "content": ""}, "nothing to import"), ({"format": "none", "content": "x"}, "format"),
            ({"format": "sql", "content": "DELETE FROM notes; <b>"}, "syntax error"),
            ({"format": "sqlite", "base64": "!"}, "cannot be read"), ({"format": "csv", "content": "a"}, "which table"),
        ):  # fmt: skip
            told = await bring(422, **fields)
            assert said in told
            assert "<b>" not in told.split("<main")[1].replace("<b>live", "")
        assert person.rows() == BEFORE

    play(web, body)


@pytest.mark.parametrize("verb", ["row", "undo", "sql", "import"])
def test_no_other_page_can_send_them(web: Web, verb: str) -> None:
    async def body(person: Person) -> None:
        await person.look("table=notes&edit=%5B1%5D")
        sent = {"file": "data.sqlite", "table": "notes", "sql": "DELETE FROM notes", "write": "1", "do": "run"}
        answer = await person.client.post(f"/apps/hello/database/{verb}", data=sent)
        assert answer.status_code == 403
        sent["form_token"] = form_token(person.page)
        for field, value in (("was", "[]"), ("key", "{}"), ("names", "x"), ("edits", "x"), ("file", "../x")):
            answer = await person.client.post(f"/apps/hello/database/{verb}", data={**sent, "sql": "", field: value})
            assert answer.status_code in (400, 422), (field, answer.text[:500])
        assert person.rows() == BEFORE

    play(web, body)


def test_a_table_of_many_columns_is_edited_as_far_as_a_form_goes(web: Web) -> None:
    async def body(person: Person) -> None:
        columns = ", ".join(f"c{number}" for number in range(300))
        await person.look("table=notes")
        await person.send(
            "sql", sql=f"CREATE TABLE wide ({columns}); INSERT INTO wide (c1) VALUES (1)", write="1", do="run"
        )
        await person.look("table=wide&edit=%5B1%5D")
        assert "Further columns are set by SQL." in person.page
        names = json.loads(html.unescape(re.search(r'name="names" value="([^"]*)"', person.page)[1]))  # type: ignore[index]
        assert len(names) == 90
        await person.send("row", kind_89="number", value_89="7")
        assert person.rows("SELECT c89 FROM wide") == [(7,)]

    play(web, body)
