from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from steadyd.backup.wire import ANSWER_BYTES_MAX, Refused, Unanswered, Wire
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
