"""Exports and imports through the API; tests/runner/test_transfer.py has what goes round."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
from pathlib import Path

import pytest

from steadyd.model import AppState
from steadyd.runner import transfer
from steadyd.web import transfers
from steadyd.web.turns import Turns
from tests.web.conftest import HELLO, Stage, Web, code

KEEPER = b"""
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, w TEXT)");
db.run("INSERT OR IGNORE INTO t VALUES (1, 'one'), (2, NULL)");
"""
ONE = "/api/apps/hello/databases/data.sqlite"


@pytest.mark.parametrize(
    ("asked", "media", "content"),
    [
        ("format=csv&table=t", "text/csv; charset=utf-8", b"id,w\n1,one\n2,\n"),
        ("format=ndjson&sql=SELECT+w+FROM+t", "application/x-ndjson", b'{"w":"one"}\n{"w":null}\n'),
        ("format=json&table=t", "application/json", b'[\n{"id":1,"w":"one"},\n{"id":2,"w":null}\n]\n'),
        ("format=sql&sql=SELECT+1+AS+a", "application/sql",
         b'BEGIN TRANSACTION;\nCREATE TABLE "query" ("a");\nINSERT INTO "query" VALUES (1);\nCOMMIT;\n'),
    ],
)  # fmt: skip
def test_what_is_taken_out(web: Web, asked: str, media: str, content: bytes) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER + HELLO)
        async with stage.client(stage.operator_token) as client:
            answer = await client.get(f"{ONE}/export?{asked}")
            assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, media, content)
            assert answer.headers["content-length"] == str(len(content))
            head = await client.head(f"{ONE}/export?{asked}")
            assert (head.status_code, head.content) == (200, b"")

    web(body)


def test_a_file_s_name_is_plain(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER + HELLO)
        async with stage.client(stage.operator_token) as client:
            wrote = {"sql": 'CREATE TABLE "a""\r\nx: é/.." (a)', "write": True}
            assert (await client.post(f"{ONE}/query", json=wrote)).status_code == 200
            answer = await client.get(f"{ONE}/export", params={"format": "csv", "table": 'a"\r\nx: é/..'})
            assert answer.headers["content-disposition"] == 'attachment; filename="hello-data-a-x.csv"'

    web(body)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("", "invalid"), ("format=xml", "invalid"), ("format=csv", "invalid"), ("format=csv&table=none", "not_found"),
        ("format=csv&table=t&sql=SELECT+1", "invalid"), ("format=csv&sql=DELETE+FROM+t", "sql_error"),
        ("format=csv&sql=SELECT+1;SELECT+2", "sql_error"), ("format=csv&table=t&x=1", "200"),
    ],
)  # fmt: skip
def test_what_is_not_taken_out(web: Web, asked: str, said: str) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER + HELLO)
        async with stage.client(stage.operator_token) as client:
            answer = await client.get(f"{ONE}/export?{asked}")
            assert (str(answer.status_code) if answer.is_success else code(answer)) == said

    web(body)


def test_what_is_put_in(web: Web, tmp_path: Path) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER + HELLO)
        async with stage.client(stage.operator_token) as client:
            made = await client.post(f"{ONE}/import?format=csv&table=new", content=b"a,b\n1,x\n")
            assert made.status_code == 201, made.text
            assert made.json()["columns"] == [{"name": "a", "type": "INTEGER"}, {"name": "b", "type": "TEXT"}]
            sql = {"content": "INSERT INTO t VALUES (3, 'three');\nINSERT INTO new VALUES (2, 'y')"}
            assert (await client.post(f"{ONE}/import?format=sql", json=sql)).json()["statements"] == 2
            refused = await client.post(f"{ONE}/import?format=sql", content=b"DELETE FROM t;\nSELEC")
            assert (code(refused), refused.json()["error"]["details"]["line"]) == ("sql_error", 2)
            rows = (await client.get(f"{ONE}/rows?table=t")).json()["rows"]
            assert [row["values"][0] for row in rows] == [1, 2, 3]
            whole = (await client.get(f"{ONE}/export?format=sqlite")).content
            body = {"content": {"base64": base64.b64encode(whole).decode()}}
            other = "/api/apps/hello/databases/deep/other"
            assert (await client.post(f"{other}/import?format=sqlite", json=body)).status_code == 201
            assert code(await client.post(f"{other}/import?format=sqlite", content=whole)) == "conflict"
            sqlite3.connect(tmp_path / "third").executescript("CREATE TABLE only (a); INSERT INTO only VALUES (1)")
            content = (tmp_path / "third").read_bytes()
            assert (await client.post(f"{other}/import?format=sqlite&replace=1", content=content)).status_code == 201
            tables = (await client.get(f"{other}/schema")).json()["tables"]
            assert [table["name"] for table in tables] == ["only"]

    web(body)


@pytest.mark.parametrize(
    ("asked", "content", "kind", "said"),
    [
        ("format=csv", b"a\n", "text/csv", "invalid"), ("format=json", b"[]", "", "invalid"),
        ("format=csv&table=t&create=0&delimiter=;;", b"a\n", "text/csv", "invalid"),
        ("format=csv&table=no&create=0", b"a\n", "text/csv", "not_found"),
        ("format=sql", b"", "image/png", "unsupported_media_type"),
        ("format=sql", b'{"content": {"base64": "!"}}', "application/json", "invalid"),
        ("format=sql", b'{"contents": ""}', "application/json", "invalid"),
        ("format=sqlite&replace=1", b"no database", "", "database_damaged"), ("format=sql&x=1", b"", "", "invalid"),
    ],
)  # fmt: skip
def test_what_is_not_put_in(web: Web, asked: str, content: bytes, kind: str, said: str) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER + HELLO)
        async with stage.client(stage.operator_token) as client:
            headers = {"content-type": kind} if kind else {}
            assert code(await client.post(f"{ONE}/import?{asked}", content=content, headers=headers)) == said
            assert list((stage.folder / "apps").glob("*/scratch/*")) == []

    web(body)


def test_a_large_import_holds_the_app(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "IMPORT_BESIDE_BYTES_MAX", 10)

    async def body(stage: Stage) -> None:
        app = await stage.app("hello", content=KEEPER + HELLO)
        async with stage.client(stage.operator_token) as client:
            assert (await client.post("/api/apps/hello/start", json={})).status_code == 200
            for content, steps in (
                (b"id,w\n7,x\n", ["point", "write"]),
                (b"id,w\n70000,x\n", ["drain", "point", "write"]),
            ):
                assert (await client.post(f"{ONE}/import?format=csv&table=t", content=content)).status_code == 201
                done = (await stage.rooms.journal.operations(app.id))[0]
                assert [step["name"] for step in done.steps] == steps
            runtime = stage.rooms.fleet.runtime(app.id)
            assert runtime is not None
            assert runtime.state in (AppState.STARTING, AppState.RUNNING)

    web(body)


def test_transfers_have_their_limits(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=KEEPER + HELLO)
        few = stage.rebuilt(transfers=Turns(1, 2, "exports and imports"))
        async with few.client(stage.operator_token) as client:
            asked = (client.get(f"{ONE}/export?format=csv&table=t") for _ in range(4))
            assert sorted(answer.status_code for answer in await asyncio.gather(*asked)) == [200, 200, 200, 503]
        async with stage.client(stage.operator_token) as client:
            monkeypatch.setattr(transfer, "EXPORT_BYTES_MAX", 3)
            assert code(await client.get(f"{ONE}/export?format=csv&table=t")) == "too_large"
            monkeypatch.setattr(transfers, "IMPORT_BYTES_MAX", 3)
            assert code(await client.post(f"{ONE}/import?format=sql", content=b"SELECT 1")) == "too_large"
            monkeypatch.setattr(transfer, "EXPORT_SECONDS_MAX", 0.0)
            assert code(await client.get(f"{ONE}/export?format=csv&table=t")) == "query_timeout"
            monkeypatch.setattr(transfers, "IMPORT_SECONDS_MAX", 0.0)
            assert code(await client.post(f"{ONE}/import?format=sql", content=b"S")) == "query_timeout"

    web(body)
