"""Connections to instances: hostile answers, reuse, retry, and nobody else's bytes."""

from __future__ import annotations

import asyncio
import json

import pytest

from steadyd.proxy.limits import (
    ANSWER_HEADER_BYTES_MAX,
    CLAIMS_MAX,
    INTERIM_ANSWERS_MAX,
    POOL_IDLE_MAX,
    POOL_IDLE_SECONDS_MAX,
)
from tests.proxy.stage import Handler, StagedUpstream, answer, canned, run, staged, until
from tests.proxy.test_answer import HOSTILE_HEADS

GET = b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
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


def test_a_surplus_byte_after_the_answer_closes_the_connection() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"one"))
        await asked.wait()
        writer.write(answer(b"poison"))
        await reader.read()

    asked = asyncio.Event()

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            client.get()
            assert (await client.answer())[2] == b"one"
            assert len(stage.upstream.pool) == 1
            asked.set()
            await until(lambda: not stage.upstream.pool)
            await until(lambda: not stage.instance.open)
            assert client.reader._buffer == b""  # type: ignore[attr-defined]

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


def dying_first(method_answers: bytes) -> Handler:
    """Serve one request, die on the second of the first connection; later connections are healthy."""
    connections = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        mine = connections
        await reader.readuntil(b"\r\n\r\n")
        writer.write(method_answers)
        await reader.readuntil(b"\r\n\r\n")
        if mine > 1:
            writer.write(method_answers)
            await reader.read()

    return handler


@pytest.mark.parametrize(
    ("method", "extra", "status"),
    [
        ("GET", "", 200),
        ("DELETE", "", 200),
        ("PUT", "Content-Length: 0\r\n", 200),
        ("POST", "", 502),
        ("PATCH", "", 502),
    ],
)
def test_a_reused_connection_that_dies_is_tried_again_once_if_that_is_harmless(
    method: str, extra: str, status: int
) -> None:
    async def body() -> None:
        async with staged(dying_first(answer())) as stage, stage.client() as client:
            client.get()
            await client.answer()
            client.send(f"{method} / HTTP/1.1\r\nHost: app.localhost\r\n{extra}\r\n".encode())
            got, head, _ = await client.answer()
            assert got == status
            assert (b"Steady-Error: app_died" in head) == (status == 502)
            assert stage.instance.connections == (2 if status == 200 else 1)

    run(body())


def test_a_whole_small_body_is_sent_again_too() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"PUT"):
            bodies.append(await reader.readexactly(3))
            writer.write(answer(b"kept"))
            await reader.read()
        else:
            writer.write(answer())
            await reader.readuntil(b"\r\n\r\n")  # and die

    bodies: list[bytes] = []

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            client.get()
            await client.answer()
            client.send(b"PUT / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 3\r\n\r\nabc")
            assert (await client.answer())[2] == b"kept"
            assert bodies == [b"abc"]

    run(body())


def test_a_fresh_connection_that_dies_is_502_app_died() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async def body() -> None:
        async with staged(handler) as stage:
            for data in (GET, GET.replace(b"GET", b"POST")):
                status, head, _ = await stage.ask(data)
                assert status == 502
                assert b"Steady-Error: app_died" in head
            assert stage.instance.connections == 2
            _, _, page = await stage.ask(GET.replace(b"\r\n\r\n", b"\r\nAccept: text/html\r\n\r\n"))
            assert b'href="http://localhost:9/apps/app#death"' in page
            assert [row.error for row in await stage.records(3)] == ["app_died"] * 3
            assert stage.app.upstream is not None
            assert stage.app.upstream.broken == [("GET", "/"), ("POST", "/"), ("GET", "/")]

    run(body())


def test_nobody_listening_is_502_app_died() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage:
            for path in ("/nowhere/at/all.sock", "/" + "long" * 50):
                stage.app.upstream = StagedUpstream(path)
                status, head, _ = await stage.ask(GET)
                assert status == 502
                assert b"Steady-Error: app_died" in head
                assert stage.upstream.misses == stage.upstream.releases == CLAIMS_MAX

    run(body())


def test_a_request_whose_instance_is_gone_goes_to_the_next() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage, stage.client() as client:
            alive = stage.upstream
            gone = stage.app.upstream = StagedUpstream("/nowhere/at/all.sock")
            gone.unreachable = lambda: setattr(stage.app, "upstream", alive)  # type: ignore[method-assign]
            client.send(b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 2\r\n\r\nhi")
            assert (await client.answer())[0] == 200
            assert (gone.releases, alive.releases) == (1, 1)

    run(body())


def test_idle_connections_are_bounded_in_number_and_time() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await all_in.wait()
            writer.write(answer())

    all_in = asyncio.Event()

    async def body() -> None:
        async with staged(handler) as stage:
            count = POOL_IDLE_MAX + 20
            waiting = [asyncio.create_task(stage.ask(GET)) for _ in range(count)]
            await until(lambda: stage.instance.connections == count)
            all_in.set()
            await asyncio.gather(*waiting)
            await until(lambda: stage.instance.open <= POOL_IDLE_MAX)
            assert len(stage.upstream.pool) == POOL_IDLE_MAX
            stage.tick(POOL_IDLE_SECONDS_MAX + 1)
            assert not stage.upstream.pool
            await until(lambda: not stage.instance.open)

    run(body())


def test_a_retired_instance_keeps_no_connection() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage:
            stage.upstream.retired = True
            await stage.ask(GET)
            assert not stage.upstream.pool
            await until(lambda: not stage.instance.open)

    run(body())


def test_idle_connections_of_an_instance_that_retires_are_closed_by_the_next_sweep() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage:
            await stage.ask(GET)
            assert len(stage.upstream.pool) == 1
            stage.upstream.retired = True
            stage.tick(0)
            assert not stage.upstream.pool
            await until(lambda: not stage.instance.open)

    run(body())


def test_a_slow_app_is_504_after_the_answer_time_and_a_stream_never_is() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/stream" in head:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
        await reader.read()

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as slow, stage.client() as stream:
            slow.get()
            stream.get("/stream")
            await stream.reader.readuntil(b"hi\r\n")
            await until(lambda: stage.instance.connections == 2)
            stage.tick(119)
            assert stage.listener.exchanges == 2
            stage.tick(121)
            status, head, _ = await slow.answer()
            assert status == 504
            assert b"Steady-Error: app_timeout" in head
            assert stage.listener.exchanges == 1

    run(body())
