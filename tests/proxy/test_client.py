"""The HTTP/1.1 door, over real sockets."""

from __future__ import annotations

import asyncio
import json

import pytest

from steadyd.proxy.limits import PIPELINE_BYTES_MAX, Limits
from tests.proxy.stage import HOST, Client, Stage, answer, canned, run, staged, until
from tests.proxy.test_head import SMUGGLING_BLOCKS

GET = b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with its body, framed as it came."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        body = b""
        if b"Transfer-Encoding: chunked" in head:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readuntil(b"\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n")
            continue
        for line in head.split(b"\r\n"):
            if line.startswith(b"Content-Length: "):
                body = await reader.readexactly(int(line[16:]))
        writer.write(answer(body or head))


def test_one_connection_serves_many_requests_over_one_upstream_connection() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage, stage.client() as client:
            for _ in range(20):
                client.get()
                assert (await client.answer())[::2] == (200, b"ok")
            assert stage.instance.connections == 1
            assert stage.app.claims == stage.upstream.releases == 20

    run(body())


def test_hosts_do_not_mix_on_one_connection() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage, stage.client() as client:
            for host, status in [(HOST, 200), ("localhost", 200), ("other.localhost", 404), (HOST.upper() + ":1", 200)]:
                client.get(host=host)
                assert (await client.answer())[0] == status
            assert stage.app.claims == 2
            assert stage.instance.connections == 2  # one for each service

    run(body())


def test_pipelined_requests_are_answered_in_order() -> None:
    async def body() -> None:
        async with staged(echo) as stage, stage.client() as client:
            for number in range(50):
                client.get(f"/{number}")
                client.send(b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 4\r\n\r\n%04d" % number)
            for number in range(50):
                assert f"GET /{number} HTTP/1.1".encode() in (await client.answer())[2]
                assert (await client.answer())[2] == b"%04d" % number

    run(body())


def test_a_long_pipeline_of_refusals_does_not_nest() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage, stage.client() as client:
            count = 3_000
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * count)
            for _ in range(count):
                assert (await client.answer())[0] == 404

    run(body())


def test_a_pipeline_is_not_read_past_its_limit() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage, stage.client() as client:
            stage.app.open = False
            client.get()
            await until(lambda: stage.app.waiting)
            client.send(GET * 200_000)
            await asyncio.wait_for(stall(client), 5)
            stage.app.let_in()
            assert (await client.answer())[0] == 200

    run(body())


async def stall(client: Client) -> None:
    """Wait until the other side stops reading: the kernel's buffers are full and stay full."""
    transport = client.writer.transport
    sizes = [-1, transport.get_write_buffer_size()]
    while sizes[-1] != sizes[-2] or sizes[-1] < PIPELINE_BYTES_MAX:
        await asyncio.sleep(0.05)
        sizes.append(transport.get_write_buffer_size())


@pytest.mark.parametrize("step", [1, 7])
def test_the_split_of_a_request_does_not_matter(step: int) -> None:
    async def body() -> None:
        wire = (
            b"POST /a HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX: y\r\n\r\n"
            b"\r\nPOST /b HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 3\r\n\r\nabc"
        )
        async with staged(echo) as stage, stage.client() as client:
            for at in range(0, len(wire), step):
                client.send(wire[at : at + step])
                await asyncio.sleep(0)
            assert (await client.answer())[2] == b"hello world"
            assert (await client.answer())[2] == b"abc"

    run(body())


@pytest.mark.parametrize("block", SMUGGLING_BLOCKS)
def test_smuggling_is_refused_and_the_connection_closed(block: bytes) -> None:
    async def body() -> None:
        async with staged(echo) as stage, stage.client() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: app.localhost\r\n" + block + b"\r\n0\r\n\r\n" + GET)
            status, head, _ = await client.answer()
            assert status == 400
            assert b"Connection: close" in head
            assert await client.rest() == b""
            assert stage.app.claims == 0

    run(body())


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\nHost: app.localhost\n\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
        (b"TRACE / HTTP/1.1\r\nHost: app.localhost\r\nCookie: c\r\n\r\n", 405),
        (b"BREW / HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET http://b.localhost/ HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400),
        (b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 414),
        (b"GET /" + b"a" * 17_000, 414),
        (b"GET / HTTP/1.1\r\nHost: app.localhost\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: app.localhost\r\nX: " + b"a" * 70_000, 431),
        (b"GET / HTTP/1.1\r\nHost: app.localhost\r\n" + b"X: a\r\n" * 128 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", 400),
    ],
)
def test_what_is_not_a_request_gets_its_code_and_a_closed_connection(data: bytes, status: int) -> None:
    async def body() -> None:
        async with staged(echo) as stage, stage.client() as client:
            client.send(data)
            got, head, page = await client.answer()
            assert got == status
            assert b"Connection: close" in head
            assert b"Steady-Error: " + json.loads(page)["error"]["code"].encode() in head
            assert await client.rest() == b""
            assert stage.app.claims == 0
            assert (await stage.records(1))[-1].status == status

    run(body())


def test_malformed_chunks_after_the_head_left_end_in_400_too() -> None:
    async def body() -> None:
        async with staged(echo) as stage, stage.client() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            await until(lambda: stage.upstream.holders)
            client.send(b"zz\r\n")
            assert (await client.answer())[0] == 400
            await until(lambda: not stage.instance.open)

    run(body())


def test_a_slow_head_is_408_and_a_silent_connection_is_closed_silently() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage, stage.client() as slow, stage.client() as idle:
            slow.send(GET[:20])
            idle.get()
            await idle.answer()
            await until(lambda: stage.listener.connections == 2)
            await asyncio.sleep(0.01)
            stage.tick(9)
            stage.tick(11)
            assert (await slow.answer())[0] == 408
            idle.get()
            assert (await idle.answer())[0] == 200
            stage.tick(76)
            assert await idle.rest() == b""

    run(body())


def test_a_body_that_stops_coming_is_408() -> None:
    async def body() -> None:
        async with staged(echo) as stage, stage.client() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 9\r\n\r\nabc")
            await until(lambda: stage.upstream.holders)
            stage.tick(59)
            stage.tick(61)
            assert (await client.answer())[0] == 408

    run(body())


def test_http_1_0_clients() -> None:
    async def body() -> None:
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        async with staged(canned(answer(b"one"), chunked)) as stage:
            async with stage.client() as client:
                client.send(b"GET / HTTP/1.0\r\nHost: app.localhost\r\nConnection: keep-alive\r\n\r\n")
                _, head, got = await client.answer()
                assert got == b"one"
                assert b"Connection: keep-alive" in head
                client.send(b"GET / HTTP/1.0\r\nHost: app.localhost\r\nConnection: keep-alive\r\n\r\n")
                head = await client.head()
                assert b"Transfer-Encoding" not in head
                assert b"Connection: close" in head
                assert await client.rest() == b"hi"
            async with stage.client() as client:
                client.send(b"GET http://app.localhost/x HTTP/1.0\r\n\r\n")
                assert (await client.head()).startswith(b"HTTP/1.1 200")
                assert await client.rest() == b"hi"

    run(body())


def test_what_one_request_asked_for_does_not_stick_to_the_next() -> None:
    async def body() -> None:
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
        async with staged(canned(head, chunked, answer(), chunked)) as stage, stage.client() as client:
            client.send(GET.replace(b"GET", b"HEAD"))
            assert await client.head() == head
            client.get()
            assert (await client.answer())[2] == b"hi"
            client.send(b"GET / HTTP/1.0\r\nHost: app.localhost\r\nConnection: keep-alive\r\n\r\n")
            assert b"Connection: keep-alive" in (await client.answer())[1]
            client.get()
            _, got, content = await client.answer()
            assert (b"Connection" in got, content) == (False, b"hi")

    run(body())


def test_connection_close_is_honoured() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage, stage.client() as client:
            client.get(extra="Connection: close\r\n")
            _, head, _ = await client.answer()
            assert b"Connection: close" in head
            assert await client.rest() == b""

    run(body())


def test_too_many_connections_are_503() -> None:
    async def body() -> None:
        async with staged(canned(answer()), Limits(connections_per_client_max=3)) as stage:
            clients = [await open_client(stage) for _ in range(3)]
            await until(lambda: stage.listener.connections == 3)
            async with stage.client() as refused:
                status, head, _ = await refused.answer()
                assert status == 503
                assert b"Retry-After: 1" in head
                assert await refused.rest() == b""
            await clients.pop().close()
            await until(lambda: stage.listener.connections == 2)
            clients.append(await open_client(stage))
            clients[-1].get()
            assert (await clients[-1].answer())[0] == 200
            for client in clients:
                await client.close()
        async with staged(canned(answer()), Limits(connections_max=1)) as stage, stage.client() as first:
            first.get()
            await first.answer()
            async with stage.client() as second:
                assert (await second.answer())[0] == 503

    run(body())


async def open_client(stage: Stage) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", stage.port))


def test_a_client_that_takes_nothing_is_dropped() -> None:
    async def body() -> None:
        big = answer(b"x" * (32 << 20))
        async with staged(canned(big)) as stage, stage.client() as client:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.get()
            await until(lambda: stage.upstream.holders)
            end = asyncio.get_running_loop().time() + 5
            while stage.listener.exchanges and asyncio.get_running_loop().time() < end:
                stage.tick(121)
                await asyncio.sleep(0.01)
            assert not stage.listener.exchanges
            assert (await stage.records(1))[0].status == 499

    run(body())
