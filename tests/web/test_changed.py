"""What changed, and bringing rows back, through the API; tests/runner/test_comparison.py has the rest."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from steadyd.moment import PointKind
from tests.web.conftest import HELLO, Stage, Web, code

NOTES = b"""
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT, n)");
db.run("INSERT INTO notes VALUES (2, 'two, changed', 2), (9, 'nine', 9)");
"""
THEN = (
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT, n);"
    "INSERT INTO notes VALUES (1, 'one', 9007199254740993), (2, 'two', 2);"
    "CREATE TABLE gone (a); INSERT INTO gone VALUES (x'00ff')"
)
ONE = "/api/apps/hello/databases/data.sqlite"


async def start(stage: Stage) -> None:
    await stage.app("hello", content=NOTES + HELLO)
    stage.moments.add(1, THEN)


def live(stage: Stage, sql: str) -> list[Any]:
    (path,) = (stage.folder / "apps").glob("*/app/data.sqlite")
    database = sqlite3.connect(path)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


def test_counts_and_rows(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await start(stage)
        async with stage.client(stage.operator_token) as client:
            found = (await client.get(f"{ONE}/changed?from=point:1")).json()
            assert (found["file"], found["from"]["point"], found["from"]["precision"]) == ("data.sqlite", 1, 1.5)
            assert (found["from"]["at"], found["to"]["asked"]) == ("1970-01-01T00:00:01Z", "now")
            assert [(each["change"], each["name"]) for each in found["schema"]] == [("removed", "gone")]
            counts = [(each["table"], each["inserted"], each["deleted"], each["updated"]) for each in found["tables"]]
            assert counts == [("gone", 0, 1, 0), ("notes", 1, 1, 1)]
            page = (await client.get(f"{ONE}/changed?from=1970-01-01T00:00:01Z&table=notes")).json()
            assert page["rows"] == [
                {"change": "deleted", "key": [1], "before": [1, "one", {"integer": "9007199254740993"}], "after": None,
                 "differs": [], "count": 1},
                {"change": "updated", "key": [2], "before": [2, "two", 2], "after": [2, "two, changed", 2],
                 "differs": ["text"], "count": 1},
                {"change": "inserted", "key": [9], "before": None, "after": [9, "nine", 9], "differs": [], "count": 1},
            ]  # fmt: skip
            assert (page["next"], page["from"]["point"]) == ("", None)
            stage.moments.add(2, f"{THEN}; DELETE FROM notes")
            between = (await client.get(f"{ONE}/changed?from=1&to=2")).json()
            assert [(each["table"], each["deleted"]) for each in between["tables"]] == [("gone", 0), ("notes", 2)]
            assert stage.moments.brought == 2

    web(body)


def test_rows_come_back_after_a_restore_point(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await start(stage)
        async with stage.client(stage.operator_token) as client:
            wish = {"from": "1", "rows": [{"table": "notes", "key": [1]}, {"table": "notes", "key": [2]}]}
            back = (await client.post(f"{ONE}/bring-back", json=wish)).json()
            assert (back["inserted"], back["overwritten"], back["skipped"]) == (1, 0, 1)
            assert back["skips"] == [{"table": "notes", "key": [2], "reason": "differs"}]
            assert live(stage, "SELECT id, text FROM notes") == [(1, "one"), (2, "two, changed"), (9, "nine")]
            whole = {"from": "1", "table": "notes", "overwrite": True}
            assert (await client.post(f"{ONE}/bring-back", json=whole)).json()["overwritten"] == 1
            made = (await client.post(f"{ONE}/bring-back", json={"from": "1", "table": "gone"})).json()
            assert (made["made"], made["inserted"]) == (["gone"], 1)
            assert live(stage, "SELECT text FROM notes WHERE id = 2") == [("two",)]
            done = (await client.get("/api/apps/hello/operations")).json()["operations"]
            assert [each["kind"] for each in done[:3]] == [PointKind.SQL] * 3

    web(body)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"from": "1"}, "invalid"), ({"from": "1", "table": "notes", "rows": [{"table": "a", "key": [1]}]}, "invalid"),
        ({"from": "5", "table": "notes"}, "not_reachable"), ({"from": "soon", "table": "notes"}, "invalid"),
        ({"from": "1", "table": "none"}, "not_found"), ({"table": "notes"}, "invalid"),
        ({"from": "1", "rows": [{"table": "notes", "key": [None]}]}, "invalid"),
        ({"from": "1", "rows": [{"table": "notes", "key": [1, 2]}]}, "invalid"),
        ({"from": "1", "rows": [{"table": "notes", "key": [{"base64": "?"}]}]}, "invalid"),
        ({"from": "1", "rows": [{"table": "notes", "key": [1]}] * 1001}, "invalid"),
    ],
)  # fmt: skip
def test_wishes_that_cannot_be(web: Web, wish: dict[str, Any], said: str) -> None:
    async def body(stage: Stage) -> None:
        await start(stage)
        before = live(stage, "SELECT * FROM notes")
        async with stage.client(stage.operator_token) as client:
            answer = await client.post(f"{ONE}/bring-back", json=wish)
            assert code(answer) == said, answer.text
        assert live(stage, "SELECT * FROM notes") == before

    web(body)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("", "invalid"), ("from=soon", "invalid"), ("from=9", "not_reachable"), ("from=1&to=9", "not_reachable"),
        ("from=1&table=none", "not_found"), ("from=1&table=notes&after=x", "invalid"),
    ],
)  # fmt: skip
def test_questions_that_cannot_be(web: Web, asked: str, said: str) -> None:
    async def body(stage: Stage) -> None:
        await start(stage)
        async with stage.client(stage.operator_token) as client:
            assert code(await client.get(f"{ONE}/changed?{asked}")) == said
            assert code(await client.get("/api/apps/hello/databases/none/changed?from=1")) == "not_found"
        async with stage.rebuilt(changed=None).client(stage.operator_token) as client:
            assert code(await client.get(f"{ONE}/changed?from=1")) == "not_reachable"

    web(body)
