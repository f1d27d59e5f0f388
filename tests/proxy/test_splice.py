"""WebSockets: only a real 101 to a valid upgrade is spliced, and a swap says goodbye between two frames."""

from __future__ import annotations

import asyncio
import base64
import hashlib

import pytest

from steadyd.proxy.frames import CLOSE_SERVICE_RESTART, close_frame
from steadyd.proxy.splice import accept_for
from tests.proxy.stage import Client, Closed, Handler, Stage, answer, closed, is_cut, nothing_comes, run, staged, until
from tests.proxy.test_answering import cut, wind_down
from tests.proxy.test_exchange import settle
from tests.proxy.test_frames import frame

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n"
)
CLIENT_CLOSE = b"\x88\x82mask\x6e\x95"


def switching(key: bytes = KEY, extra: bytes = b"") -> bytes:
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n" + extra + b"\r\n"
    )


def speaking(first: bytes, go_on: asyncio.Event | None = None, then: bytes = b"") -> Handler:
    """Agree, send `first`, send `then` when told, and echo whatever comes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(switching() + first)
        if go_on is not None:
            await go_on.wait()
            writer.write(then)
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()

    return handler


async def shake_hands(client: Client) -> bytes:
    client.send(UPGRADE)
    head = await client.head()
    assert head.startswith(b"HTTP/1.1 101 ")
    return head


def test_the_example_of_the_rfc() -> None:
    assert accept_for(KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_bytes_pass_as_they_come_after_a_valid_101() -> None:
    async def body() -> None:
        async with staged(speaking(frame(3))) as stage, stage.client() as client:
            head = await shake_hands(client)
            assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in head
            assert await client.reader.readexactly(5) == frame(3)
            for size in (0, 10, 200, 70_000):
                data = frame(size, masked=True)
                client.send(data)
                assert await client.reader.readexactly(len(data)) == data
            await client.close()
            await until(lambda: not stage.instance.open)
            (record,) = await stage.records(1)
            assert (record.status, record.error) == (101, "")
            assert record.request_bytes > 70_000
            assert record.answer_bytes > 70_000

    run(body())


def test_what_the_client_sent_too_early_is_not_lost() -> None:
    async def body() -> None:
        async with staged(speaking(b"")) as stage, stage.client() as client:
            client.send(UPGRADE + frame(4, masked=True))
            await client.head()
            assert await client.reader.readexactly(10) == frame(4, masked=True)

    run(body())


@pytest.mark.parametrize(
    "reply",
    [
        switching(key=b"AAAAAAAAAAAAAAAAAAAAAA=="),
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
def test_a_101_that_does_not_answer_the_key_is_502(reply: bytes) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            client.send(UPGRADE)
            assert (await client.answer())[0] == 502

    run(body())


@pytest.mark.parametrize(
    "request_bytes",
    [
        UPGRADE.replace(b": 13", b": 12"),
        UPGRADE.replace(b"Sec-WebSocket-Key: " + KEY + b"\r\n", b""),
        UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        UPGRADE.replace(b"GET", b"PUT"),
        UPGRADE.replace(b": websocket", b": h2c"),
    ],
)
def test_an_invalid_upgrade_is_an_ordinary_request(request_bytes: bytes) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(switching() if b"Upgrade" in head else answer(b"plain"))
        await reader.read()

    async def body() -> None:
        async with staged(handler) as stage:
            status, head, content = await stage.ask(request_bytes)
            assert (status, content) == (200, b"plain")
            assert b"Upgrade" not in head

    run(body())


def test_an_app_may_refuse_an_upgrade() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(b"no", status=b"403 Forbidden"))

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            for _ in range(2):
                client.send(UPGRADE)
                assert (await client.answer())[0] == 403

    run(body())


def test_winding_down_closes_with_1012_and_waits_for_the_reply() -> None:
    async def body() -> None:
        async with staged(speaking(frame(3))) as stage, stage.client() as client:
            await shake_hands(client)
            await client.reader.readexactly(5)
            wind_down(stage)
            assert not stage.upstream.holders
            assert await client.reader.readexactly(4) == close_frame(CLOSE_SERVICE_RESTART)
            client.send(frame(2, masked=True))  # was on its way
            client.send(CLIENT_CLOSE)
            assert await client.rest() == b""
            await until(lambda: not stage.instance.open)

    run(body())


def test_a_client_that_never_replies_is_dropped() -> None:
    async def body() -> None:
        async with staged(speaking(b"")) as stage, stage.client() as client:
            await shake_hands(client)
            wind_down(stage)
            assert await client.rest() == close_frame(CLOSE_SERVICE_RESTART)

    run(body())


def test_the_goodbye_waits_for_the_end_of_a_frame() -> None:
    go_on = asyncio.Event()
    whole = frame(300)

    async def body() -> None:
        async with staged(speaking(whole[:100], go_on, whole[100:] + frame(7))) as stage, stage.client() as client:
            await shake_hands(client)
            await client.reader.readexactly(100)
            wind_down(stage)
            assert stage.upstream.holders
            go_on.set()
            rest = await client.reader.readexactly(len(whole) - 100 + 4)
            assert rest == whole[100:] + close_frame(CLOSE_SERVICE_RESTART)
            assert not stage.upstream.holders

    run(body())


def test_a_frame_that_never_ends_is_cut() -> None:
    async def body() -> None:
        async with staged(speaking(frame(300)[:100])) as stage, stage.client() as client:
            await shake_hands(client)
            await client.reader.readexactly(100)
            wind_down(stage)
            cut(stage)
            assert not stage.upstream.holders
            assert await client.rest() == b""

    run(body())


@pytest.mark.parametrize("side", ["client", "instance"])
def test_either_side_may_end_it(side: str) -> None:
    leave = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(switching() + frame(70_000))
        if side == "instance":
            await leave.wait()
        else:
            await reader.read()

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            await shake_hands(client)
            leave.set()
            if side == "client":
                await client.close()
            else:
                assert await client.rest() == frame(70_000)  # nothing that was sent is lost
            await until(lambda: not stage.listener.exchanges)
            await until(lambda: not stage.instance.open)

    run(body())


def test_a_client_that_reads_nothing_stops_the_instance() -> None:
    sent = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(switching())
        while sent < 64 << 20:
            writer.write(frame(65_000))
            await writer.drain()
            sent += 65_000

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            await shake_hands(client)
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await settle(lambda: sent)
            assert 0 < sent < 24 << 20

    run(body())


def test_an_instance_that_reads_nothing_stops_the_client() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(switching())
        await leave.wait()

    leave = asyncio.Event()

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            await shake_hands(client)
            transport = client.writer.transport
            client.send(b"x" * (64 << 20))
            await settle(transport.get_write_buffer_size)
            assert transport.get_write_buffer_size() > 40 << 20
            leave.set()
            transport.abort()

    run(body())


def test_frames_wait_and_their_order_stays() -> None:
    async def body() -> None:
        go_on = asyncio.Event()
        async with staged(speaking(frame(3), go_on, frame(5))) as stage, stage.client() as client:
            barrier = closed(stage)
            client.send(b"")
            hands = asyncio.create_task(shake_hands(client))
            await until(lambda: barrier.waiting)
            barrier.let_pass()  # the 101, and the frame that came with it
            await hands
            assert await client.reader.readexactly(5) == frame(3)
            go_on.set()
            await until(lambda: barrier.waiting)
            await nothing_comes(client)
            client.send(frame(9, masked=True))  # it goes on hearing
            barrier.let_pass()
            assert await client.reader.readexactly(7) == frame(5)
            await until(lambda: barrier.waiting)
            barrier.let_pass()
            assert await client.reader.readexactly(15) == frame(9, masked=True)
            barrier.open = True

    run(body())


async def held_frame(stage: Stage, client: Client, go_on: asyncio.Event) -> Closed:
    """A WebSocket with a frame that waits."""
    await shake_hands(client)
    barrier = closed(stage)
    go_on.set()
    await until(lambda: barrier.waiting)
    return barrier


def test_a_frame_that_is_given_up_breaks_the_connection() -> None:
    async def body() -> None:
        go_on = asyncio.Event()
        async with staged(speaking(b"", go_on, frame(5))) as stage, stage.client() as client:
            barrier = await held_frame(stage, client, go_on)
            barrier.give_up()
            assert await is_cut(client) == b""
            await until(lambda: not stage.instance.open)
            (record,) = await stage.records(1)
            assert (record.status, record.error) == (101, "not_replicated")

    run(body())


def test_a_swap_says_goodbye_after_the_frames_that_waited() -> None:
    async def body() -> None:
        go_on = asyncio.Event()
        async with staged(speaking(b"", go_on, frame(5) + frame(7))) as stage, stage.client() as client:
            barrier = await held_frame(stage, client, go_on)
            wind_down(stage)
            await nothing_comes(client)
            barrier.let_pass()
            assert await client.reader.readexactly(20) == frame(5) + frame(7) + close_frame(CLOSE_SERVICE_RESTART)

    run(body())


@pytest.mark.parametrize("ending", ["client", "cut"])
def test_a_socket_that_ends_while_a_frame_waits(ending: str) -> None:
    async def body() -> None:
        go_on = asyncio.Event()
        async with staged(speaking(b"", go_on, frame(5))) as stage:
            async with stage.client() as client:
                barrier = await held_frame(stage, client, go_on)
                if ending == "cut":
                    cut(stage)
            await until(lambda: not stage.upstream.holders)
            assert (barrier.forgotten, barrier.waiting) == (1, {})
            await until(lambda: not stage.instance.open)

    run(body())


def test_a_frame_passes_though_its_instance_has_ended() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(switching())
        await reader.readexactly(1)
        writer.write(frame(5))
        await writer.drain()

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            await shake_hands(client)
            barrier = closed(stage)
            client.send(b"!")
            await until(lambda: barrier.waiting and not stage.instance.open)
            client.send(b"nobody reads this")
            barrier.let_pass()
            assert await client.rest() == frame(5)

    run(body())
