"""Connections to instances: hostile answers, reuse, retry, and nobody else's bytes."""

from __future__ import annotations

import asyncio

import pytest

from steadyd.proxy.limits import (
    CLAIMS_MAX,
    POOL_IDLE_MAX,
    POOL_IDLE_SECONDS_MAX,
)
from tests.proxy.stage import Handler, StagedUpstream, answer, canned, run, staged, until

GET = b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n"


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
