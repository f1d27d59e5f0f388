"""Rows through the API: pages, edits and their undo; tests/runner/test_browsing.py has the properties."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.web.conftest import HELLO, Stage, Web, code

KEEPER = b"""
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, w TEXT, raw BLOB, n)");
db.run("INSERT INTO t (w, raw, n) VALUES ('one', x'00ff', 9007199254740993), ('two', NULL, 1.0), ('three', x'', -5)");
"""
ONE = "/api/apps/hello/databases/data.sqlite"


def test_pages_of_rows(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER + HELLO)
        async with stage.client(stage.operator_token) as client:
            first = (await client.get(f"{ONE}/rows?table=t&limit=2")).json()
            assert (first["key"], first["columns"]) == (["rowid"], ["id", "w", "raw", "n"])
            assert [row["values"] for row in first["rows"]] == [
                [1, "one", {"base64": "AP8="}, {"integer": "9007199254740993"}], [2, "two", None, {"real": "1.0"}],
            ]  # fmt: skip
            rest = (await client.get(f"{ONE}/rows", params={"table": "t", "after": first["next"]})).json()
            assert ([row["key"] for row in rest["rows"]], rest["more"], rest["next"]) == ([[3]], False, "")
            filters = json.dumps([{"column": "w", "is": "contains", "value": "t"}])
            asked = {"table": "t", "filters": filters, "sort": "w", "columns": '["id"]', "descending": "1"}
            found = (await client.get(f"{ONE}/rows", params=asked)).json()
            assert [row["values"] for row in found["rows"]] == [[2], [3]]

    web(body)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("", "invalid"), ("table=none", "not_found"), ("table=t&limit=0", "invalid"), ("table=t&limit=1001", "invalid"),
        ("table=t&filters=x", "invalid"), ('table=t&filters=[{"column":"x","is":"="}]', "invalid"),
        ("table=t&sort=x", "invalid"), ("table=t&after=x", "invalid"), ("table=t&columns=1", "invalid"),
        ("table=t&filters=[" + ",".join(['{"column":"w","is":"null"}'] * 33) + "]", "invalid"),
        ("table=t&cell_bytes=99999999", "invalid"),
    ],
)  # fmt: skip
def test_pages_that_there_are_not(web: Web, asked: str, said: str) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER + HELLO)
        async with stage.client(stage.operator_token) as client:
            assert code(await client.get(f"{ONE}/rows?{asked}")) == said

    web(body)


def test_a_cell_is_changed_and_changed_back(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello", content=KEEPER + HELLO)
        async with stage.client(stage.operator_token) as client:
            before = (await client.get(f"{ONE}/rows?table=t")).json()["rows"]
            number = {"integer": "9007199254740993"}
            edits: list[dict[str, Any]] = [
                {"op": "update", "key": [1], "set": {"n": {"real": "2.0"}}, "was": {"n": number}},
                {"op": "delete", "key": [2], "was": {"w": "two"}},
                {"op": "insert", "set": {"w": "four", "raw": {"base64": "AQ=="}}},
            ]
            done = await client.post(f"{ONE}/edits", json={"table": "t", "edits": edits})
            assert done.status_code == 200, done.text
            assert (done.json()["keys"], done.json()["further"], done.json()["point"]) == ([[1], [2], [4]], 0, None)
            again = await client.post(f"{ONE}/edits", json={"table": "t", "edits": edits})
            assert (again.status_code, code(again), again.json()["error"]["details"]["now"]) == (
                409, "row_changed", {"real": "2.0"},
            )  # fmt: skip
            undone = await client.post(f"{ONE}/edits", json=done.json()["undo"])
            assert undone.status_code == 200, undone.text
            assert (await client.get(f"{ONE}/rows?table=t")).json()["rows"] == before
            redone = await client.post(f"{ONE}/edits", json=undone.json()["undo"])
            assert redone.status_code == 200
            kinds = [each.kind for each in await stage.rooms.journal.operations(app.id)]
            assert kinds.count("sql") == 4

    web(body)


@pytest.mark.parametrize(
    "edits",
    [
        [], [{"op": "update", "key": [1], "set": {"w": 1}}], [{"op": "insert"}], [{"op": "delete", "key": [1]}],
        [{"op": "drop"}], [{"op": "delete", "key": [1], "was": {}}], [{"op": "delete", "key": [1, 2], "was": {"w": 1}}],
        [{"op": "insert", "set": {"none": 1}}], [{"op": "insert", "set": {"w": {"base64": "!"}}}],
        [{"op": "insert", "set": {"w": "x"}}] * 1001,
    ],
)  # fmt: skip
def test_edits_that_make_no_sense(web: Web, edits: list[Any]) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER + HELLO)
        async with stage.client(stage.operator_token) as client:
            assert code(await client.post(f"{ONE}/edits", json={"table": "t", "edits": edits})) == "invalid"

    web(body)
