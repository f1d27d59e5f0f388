"""Databases through the API: real files, really opened by another process; tests/runner/test_query.py has the rest."""

from __future__ import annotations

import asyncio
import base64

import pytest

from steadyd.runner import query
from steadyd.runner.keeper import NoKeeper
from steadyd.web.turns import Turns
from tests.runner.test_writing import Keeping
from tests.web.conftest import HELLO, Stage, Web, code

KEEPER = b"""
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS seen (n INTEGER, word TEXT, raw BLOB)");
db.run("INSERT INTO seen VALUES (1, 'one', x'00ff'), (9007199254740993, 'two', NULL)");
"""
QUERY = "/api/apps/hello/databases/data.sqlite/query"


def test_a_database_is_found_and_read(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER + HELLO)
        async with stage.client(stage.operator_token) as client:
            answer = (await client.get("/api/apps/hello/databases")).json()
            assert [each["path"] for each in answer["databases"]] == ["data.sqlite"]
            assert answer["more"] is False
            asked = {"sql": "SELECT n, word, raw FROM seen WHERE n > ? ORDER BY n;", "params": [0]}
            read = await client.post(QUERY, json=asked)
            assert read.status_code == 200, read.text
            assert read.json()["columns"] == ["n", "word", "raw"]
            raw = {"base64": base64.b64encode(b"\x00\xff").decode()}
            assert read.json()["rows"] == [[1, "one", raw], ["9007199254740993", "two", None]]
            assert read.json()["truncated"] is False
            named = {"sql": "SELECT word FROM seen WHERE raw = :raw", "params": {"raw": raw}}
            assert (await client.post(QUERY, json=named)).json()["rows"] == [["one"]]

    web(body)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"sql": "SELEC 1"}, "sql_error"),
        ({"sql": "SELECT 1; SELECT 2"}, "sql_error"),
        ({"sql": " -- nothing"}, "sql_error"),
        ({"sql": "DELETE FROM seen"}, "sql_error"),
        ({"sql": "SELECT ?", "params": [1, 2]}, "sql_error"),
        ({"sql": "ATTACH 'x' AS x", "write": True}, "sql_error"),
        ({"sql": "DELETE FROM seen; SELEC", "write": True}, "sql_error"),
        ({"sql": "DELETE FROM seen; SELECT ?", "params": [1], "write": True}, "invalid"),
        ({"sql": "SELECT ?", "params": [2**63]}, "invalid"),
        ({"sql": "SELECT ?", "params": [{"base64": "!"}]}, "invalid"),
        ({"sql": "SELECT ?", "params": [{"base64": "é"}]}, "invalid"),
        ({"sql": "SELECT 1", "params": ["x" * 60_000]}, "too_large"),
        ({"sql": "SELECT 1", "limit": 1}, "invalid"),
        ({}, "invalid"),
    ],
)
def test_what_is_refused(web: Web, asked: dict[str, object], said: str) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER + HELLO)
        async with stage.client(stage.operator_token) as client:
            assert code(await client.post(QUERY, json=asked)) == said
            assert (await client.post(QUERY, json={"sql": "SELECT count(*) FROM seen"})).json()["rows"] == [[2]]

    web(body)


def test_what_is_no_database(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        one = {"sql": "SELECT 1"}
        async with stage.client(stage.operator_token) as client:
            assert (await client.get("/api/apps/hello/databases")).json() == {"databases": [], "more": False}
            assert code(await client.post(QUERY, json=one)) == "not_found"
            assert code(await client.post("/api/apps/hello/databases/index.ts/query", json=one)) == "database_damaged"
            assert code(await client.post("/api/apps/hello/databases/a/../b/query", json=one)) in (
                "not_found",
                "invalid_path",
            )
            assert code(await client.post("/api/apps/hello/databases/..%2Fb/query", json=one)) == "invalid_path"

    web(body)


def test_only_the_owner_reads(web: Web) -> None:
    async def body(stage: Stage) -> None:
        token = await stage.guest()
        await stage.app("hello", token, content=KEEPER + HELLO)
        async with stage.client(await stage.guest()) as stranger:
            assert code(await stranger.get("/api/apps/hello/databases")) == "not_found"
            assert code(await stranger.post(QUERY, json={"sql": "SELECT 1"})) == "not_found"
        async with stage.client(token) as owner:
            assert (await owner.post(QUERY, json={"sql": "SELECT 1"})).json()["rows"] == [[1]]

    web(body)


def test_so_many_at_once(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER + HELLO)
        stage = stage.rebuilt(queries=Turns(1, 2, "queries"))
        async with stage.client(stage.operator_token) as client:
            answers = await asyncio.gather(*(client.post(QUERY, json={"sql": "SELECT 1"}) for _ in range(4)))
            assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 503]

    web(body)


def test_so_many_long_ones_at_once(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER + HELLO)
        stage = stage.rebuilt(long_queries=Turns(1, 2, "exports and imports"))
        async with stage.client(stage.operator_token) as client:
            asked = (client.get("/api/apps/hello/databases/data.sqlite/check") for _ in range(4))
            assert sorted(answer.status_code for answer in await asyncio.gather(*asked)) == [200, 200, 200, 503]

    web(body)


def test_a_check_takes_so_long(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "CHECK_SECONDS_MAX", 0.0)

    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER + HELLO)
        async with stage.client(stage.operator_token) as client:
            assert code(await client.get("/api/apps/hello/databases/data.sqlite/check")) == "query_timeout"

    web(body)


def test_what_one_holds_and_whether_it_is_whole(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER + HELLO)
        async with stage.client(stage.operator_token) as client:
            (listed,) = (await client.get("/api/apps/hello/databases")).json()["databases"]
            assert (listed["tables"], listed["problem"], listed["wal_bytes"] >= 0) == (1, "", True)
            told = (await client.get("/api/apps/hello/databases/data.sqlite/schema")).json()
            (table,) = told["tables"]
            assert (table["name"], table["rows"], table["rows_exact"], table["platform"]) == ("seen", 2, True, False)
            assert [(column["name"], column["type"]) for column in table["columns"]] == [
                ("n", "INTEGER"), ("word", "TEXT"), ("raw", "BLOB"),
            ]  # fmt: skip
            assert (told["journal_mode"], told["encoding"]) == ("wal", "UTF-8")
            for full in ("0", "1"):
                checked = (await client.get(f"/api/apps/hello/databases/data.sqlite/check?full={full}")).json()
                assert (checked["ok"], checked["problems"], checked["orphans"]) == (True, [], [])
            assert code(await client.get("/api/apps/hello/databases/index.ts/schema")) == "database_damaged"
            assert code(await client.get("/api/apps/hello/databases/none/check")) == "not_found"

    web(body)


def test_statements_write_and_are_remembered(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello", content=KEEPER + HELLO)
        async with stage.client(stage.operator_token) as client:
            wrote = {"sql": "UPDATE seen SET word = 'x' WHERE n = ?; ", "params": [1], "write": True}
            stage.rooms.fleet.keeper = keeper = Keeping(stage.rooms.library)
            assert (
                await client.post(QUERY, json={"sql": f"{' ' * 9}SELECT '{'x' * 999}'", "write": True})
            ).status_code == 200
            (point,) = await stage.rooms.library.points.of(app.id)
            assert (len(point.note), point.note[:10]) == (200, "SELECT 'xx")
            stage.rooms.fleet.keeper = NoKeeper()
            assert keeper.looked
            await client.delete("/api/apps/hello/statements")
            written = (await client.post(QUERY, json=wrote)).json()
            assert (written["changes"], written["statements"], written["point"]) == (1, 1, None)
            explained = await client.post(QUERY, json={"sql": "SELECT * FROM seen", "explain": True})
            assert explained.json()["rows"][0][-1] == "SCAN seen"
            await client.post(QUERY, json={"sql": "SELEC"})
            await client.post(QUERY, json={"sql": "SELECT 2", "remember": False})
            unknown = await client.post(QUERY, json={"sql": f"SELECT {'x' * 5_000}", "remember": False})
            assert len(unknown.json()["error"]["message"]) == 2_000
            said = (await client.get("/api/apps/hello/statements")).json()["statements"]
            assert [(each["sql"], each["write"], each["error"]) for each in said] == [
                ("SELEC", False, "sql_error"), ("SELECT * FROM seen", False, ""), (wrote["sql"], True, ""),
            ]  # fmt: skip
            assert (await client.delete("/api/apps/hello/statements")).status_code == 204
            assert (await client.get("/api/apps/hello/statements")).json() == {"statements": []}

    web(body)
