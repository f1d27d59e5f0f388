"""Answers read off a connection: the hostile, the broken, and those with a byte too many."""

from __future__ import annotations

import asyncio
import json

import pytest

from steadyd.proxy.limits import ANSWER_HEADER_BYTES_MAX, INTERIM_ANSWERS_MAX
from tests.proxy.stage import answer, canned, run, staged, until
from tests.proxy.test_answer import HOSTILE_HEADS

HOSTILE_ANSWERS = [
    *HOSTILE_HEADS,
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * (ANSWER_HEADER_BYTES_MAX + 10),
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * (ANSWER_HEADER_BYTES_MAX + 10) + b"\r\n\r\n",
    b"HTTP/1.1 103 Early\r\n\r\n" * (INTERIM_ANSWERS_MAX + 1),
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    answer(b"ok") + b"!",
    answer(b"ok") + answer(b"for the next visitor"),
    b"HTTP/1.1 204 No Content\r\n\r\nbody",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n!",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
]


@pytest.mark.parametrize("hostile", HOSTILE_ANSWERS)
def test_a_hostile_answer_is_502_and_its_connection_is_never_used_again(hostile: bytes) -> None:
    async def body() -> None:
        async with staged(canned(hostile)) as stage, stage.client() as client:
            for count in (1, 2):
                client.get()
                status, head, page = await client.answer()
                assert status == 502
                assert b"Steady-Error: bad_upstream" in head
                assert json.loads(page)["error"]["code"] == "bad_upstream"
                assert stage.instance.connections == count
                assert not stage.upstream.pool

    run(body())


PARTS = {
    b"/chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"zz\r\n"),
    b"/cut": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b""),
    b"/short": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", b""),
}


@pytest.mark.parametrize("path", PARTS)
def test_a_broken_answer_whose_head_has_left_is_broken_off_not_ended(path: bytes) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PARTS[path][0])
        await gone.wait()
        writer.write(PARTS[path][1])

    gone = asyncio.Event()

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            client.get(path.decode())
            await client.head()
            await client.reader.readuntil(b"hello")
            gone.set()
            try:
                rest = await client.rest()
            except ConnectionError:
                rest = b""
            assert b"0\r\n\r\n" not in rest
            (record,) = await stage.records(1)
            assert (record.status, record.error != "") == (200, True)

    run(body())


def test_a_content_length_split_over_reads_with_a_surplus_is_cut_at_its_length() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await seen.wait()
        writer.write(b"cdEVIL")
        await reader.read()

    seen = asyncio.Event()

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            client.get()
            assert b"Content-Length: 4" in await client.head()
            assert await client.reader.readexactly(2) == b"ab"
            seen.set()
            assert await client.reader.readexactly(2) == b"cd"
            assert not stage.upstream.pool
            await until(lambda: not stage.instance.open)

    run(body())
