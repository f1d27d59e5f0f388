from __future__ import annotations

import asyncio
import socket
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from steadyd.backup.wire import ANSWER_BYTES_MAX, Refused, Unanswered, Wire
from steadyd.runner.engine import find_litestream
from tests.backup.replicas import enclosure, running
from tests.runner.conftest import root, run

__all__ = ["root"]


@asynccontextmanager
async def saying(path: Path, answer: bytes) -> AsyncIterator[Wire]:
    """Somebody at the socket who says that, whatever is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            writer.write(answer)
            await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    server = await asyncio.start_unix_server(serve, str(path))
    async with server:
        yield Wire(path)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.0 200 OK\r\n",
        b"nonsense\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * (ANSWER_BYTES_MAX + 1),
    ],
)
def test_an_answer_that_is_none_is_no_answer(root: Path, answer: bytes) -> None:
    async def body() -> None:
        async with saying(root / "s", answer) as wire:
            with pytest.raises(Unanswered):
                await wire.sync("/x", 5.0)

    run(body())


def test_what_it_does_not_say_is_refused(root: Path) -> None:
    async def body() -> None:
        async with saying(root / "s", b"HTTP/1.0 200 OK\r\n\r\n[1]") as wire:
            with pytest.raises(Refused):
                await wire.sync("/x", 5.0)
        async with saying(root / "t", b'HTTP/1.0 500 no\r\n\r\n{"error": "disk full"}') as wire:
            with pytest.raises(Refused, match="disk full"):
                await wire.register("/x", "file:///y")

    run(body())


def test_nobody_there_and_nobody_answering_in_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steadyd.backup.wire.CALL_SECONDS_MAX", 0.05)

    async def body() -> None:
        with pytest.raises(Unanswered):
            await Wire(root / "none").version()
        with closing(socket.socket(socket.AF_UNIX)) as silent:
            silent.bind(str(root / "s"))
            silent.listen()
            with pytest.raises(Unanswered, match="within"):
                await Wire(root / "s").registered()

    run(body())


def test_litestream_itself_answers(root: Path) -> None:
    async def body() -> None:
        async with running(enclosure(root)) as litestream:
            assert (await litestream.wire.version()).startswith("0.5")
            path = litestream.enclosure.inside("none.db")
            assert await litestream.wire.unregister(path, 1.0) == 0
            with pytest.raises(Refused, match="not found"):
                await litestream.wire.sync(path, 1.0)
            with pytest.raises(Refused):
                await litestream.wire.register(path, "nowhere")

    run(body())


def test_nothing_is_missed_where_the_writer_restarts_its_log(root: Path) -> None:
    """Litestream holds a read transaction, so that nobody restarts the log before it has read it. That one must outlive
    the call in which it began: what a call's deadline ends, the call's end ends too."""

    async def body() -> None:
        path = root / "apps" / "data.sqlite"
        async with running(enclosure(root, linkless=False)) as litestream:
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, filling BLOB)")
                inside, target = litestream.enclosure.inside("data.sqlite"), f"file://{root}/replica/line"
                await litestream.wire.register(inside, target)
                for rows in (300, 150, 200, 1, 300, 150, 200, 1):
                    for _ in range(rows):
                        db.execute("INSERT INTO rows (filling) VALUES (randomblob(5000))")
                    synced = await litestream.wire.sync(inside, 10.0)
                    assert synced.replicated == synced.txid
                (count,) = db.execute("SELECT count(*) FROM rows").fetchone()
        back = root / "back.sqlite"
        command = [str(find_litestream()), "restore", "-o", str(back), target]
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, timeout=60)
        with closing(sqlite3.connect(back)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("SELECT count(*) FROM rows").fetchone() == (count,)

    run(body())
