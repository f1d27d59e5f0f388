"""Answers that wait at a barrier: what leaves and what does not, whoever goes away or is swapped meanwhile."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.proxy.stage import Closed, Handler, answer, canned, closed, is_cut, nothing_comes, run, staged, until
from tests.proxy.test_answering import age, cut, wind_down
from tests.proxy.test_exchange import CHUNKED, STREAM, sends, settle


@pytest.mark.parametrize(
    "whole",
    [
        answer(b"kept"),
        CHUNKED + b"4\r\nkept\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(b"kept"),
    ],
)
def test_nothing_of_an_answer_leaves_before_it_may(whole: bytes) -> None:
    async def body() -> None:
        async with staged(canned(whole)) as stage, stage.client() as client:
            barrier = closed(stage)
            for _ in range(3):  # the connections on both sides are of use again
                client.get()
                await until(lambda: barrier.waiting)
                await nothing_comes(client)
                barrier.let_pass()
                status, _, said = await client.answer()
                assert (status, said) in ((200, b"kept"), (204, b""))
            assert stage.instance.connections == 1

    run(body())


def test_what_is_safe_waits_for_nothing() -> None:
    async def body() -> None:
        async with staged(canned(answer(b"seen"))) as stage, stage.client() as client:
            barrier = closed(stage)
            barrier.open = True
            client.get()
            assert (await client.answer())[2] == b"seen"
            assert barrier.pieces == 1

    run(body())


def by_pieces(*pieces: bytes) -> tuple[Handler, asyncio.Event]:
    """An instance that sends the first of them, and each other one when it is told."""
    go_on = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await go_on.wait()
            go_on.clear()

    return handler, go_on


@pytest.mark.parametrize(
    ("pieces", "leaves"),
    [
        ((CHUNKED + b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n"), (b"one\r\n", b"two\r\n", b"0\r\n\r\n")),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", b"one", b"two"), (b"\r\n\r\n", b"one", b"two")),
        ((STREAM + b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n"), (b"one\r\n", b"two\r\n", b"0\r\n\r\n")),
    ],
)
def test_each_piece_waits_and_their_order_stays(pieces: tuple[bytes, ...], leaves: tuple[bytes, ...]) -> None:
    async def body() -> None:
        handler, go_on = by_pieces(*pieces)
        async with staged(handler) as stage, stage.client() as client:
            barrier = closed(stage)
            client.get()
            for piece in leaves:
                await until(lambda: barrier.waiting)
                await nothing_comes(client)
                barrier.let_pass()
                assert (await client.reader.readuntil(piece)).endswith(piece)
                go_on.set()

    run(body())


def test_the_end_of_an_answer_without_a_length_waits_too() -> None:
    async def body() -> None:
        async with staged(canned(b"HTTP/1.1 200 OK\r\n\r\nall of it", then_close=True)) as stage:
            barrier = closed(stage)
            async with stage.client() as client:
                client.get()
                await until(lambda: barrier.waiting)
                barrier.let_pass()
                await client.reader.readuntil(b"all of it\r\n")
                await until(lambda: barrier.waiting)
                await nothing_comes(client)
                barrier.let_pass()
                assert await client.reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"

    run(body())


def test_an_instance_is_not_read_while_its_answer_waits() -> None:
    sent = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (32 << 20))
        while sent < 32 << 20:
            writer.write(bytes(1 << 16))
            await writer.drain()
            sent += 1 << 16

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            barrier = closed(stage)
            client.get()
            await settle(lambda: sent)
            assert sent < 4 << 20  # kernel buffers and one piece of ours
            assert len(barrier.waiting) == 1
            barrier.open = True
            barrier.let_pass()
            await client.head()
            await client.reader.readexactly(32 << 20)

    run(body())


def test_a_client_that_reads_nothing_stops_an_instance_behind_a_barrier_too() -> None:
    async def body() -> None:
        async with staged(canned(answer(bytes(64 << 20)))) as stage, stage.client() as client:
            barrier = closed(stage)
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.get()
            passing = asyncio.create_task(pass_on(barrier))
            await settle(lambda: barrier.bytes)
            assert 0 < barrier.bytes < 24 << 20
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert len((await client.answer())[2]) == 64 << 20
            passing.cancel()

    run(body())


async def pass_on(barrier: Closed) -> None:
    while True:
        await asyncio.sleep(0)
        barrier.let_pass()


def test_an_answer_that_is_given_up_is_503_and_says_so() -> None:
    async def body() -> None:
        async with staged(canned(answer(b"secret"))) as stage, stage.client() as client:
            barrier = closed(stage)
            client.get()
            await until(lambda: barrier.waiting)
            barrier.give_up()
            status, head, page = await client.answer()
            assert (status, b"Retry-After: 2" in head) == (503, True)
            assert json.loads(page)["error"]["code"] == "not_replicated"
            assert not stage.upstream.holders
            await until(lambda: not stage.instance.open)
            (record,) = await stage.records(1)
            assert (record.status, record.error) == (503, "not_replicated")
            barrier.open = True
            client.get()
            assert (await client.answer())[2] == b"secret"

    run(body())


def test_where_there_is_no_use_in_waiting_nothing_waits() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage, stage.client() as client:
            barrier = closed(stage)
            barrier.full = True
            client.get()
            assert (await client.answer())[0] == 503
            assert stage.instance.heads == []
            barrier.refused = barrier.late()
            client.get()
            assert (await client.answer())[0] == 503
            assert (barrier.pieces, stage.app.claims) == (1, 1)  # the second was not passed on

    run(body())


@pytest.mark.parametrize("begun", [CHUNKED + b"3\r\none\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none"])
def test_an_answer_that_has_begun_is_broken_off_never_ended(begun: bytes) -> None:
    async def body() -> None:
        handler, go_on = by_pieces(begun, b"3\r\ntwo\r\n0\r\n\r\n" if b"chunked" in begun else b"two")
        async with staged(handler) as stage, stage.client() as client:
            barrier = closed(stage)
            client.get()
            await until(lambda: barrier.waiting)
            barrier.let_pass()
            await client.reader.readuntil(b"one")
            go_on.set()
            await until(lambda: barrier.waiting)
            barrier.give_up()
            rest = await is_cut(client)
            assert b"two" not in rest
            assert b"0\r\n\r\n" not in rest
            (record,) = await stage.records(1)
            assert (record.status, record.error) == (200, "not_replicated")
            go_on.set()

    run(body())


def test_a_client_that_leaves_waits_no_more() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage:
            barrier = closed(stage)
            async with stage.client() as client:
                client.get()
                await until(lambda: barrier.waiting)
                assert stage.upstream.holders
            await until(lambda: not stage.upstream.holders)
            assert (barrier.forgotten, barrier.waiting) == (1, {})
            (record,) = await stage.records(1)
            assert record.error == "client_gone"

    run(body())


def test_an_instance_may_end_once_it_has_answered() -> None:
    async def body() -> None:
        async with staged(canned(answer(b"last words"), then_close=True)) as stage, stage.client() as client:
            barrier = closed(stage)
            client.get()
            await until(lambda: barrier.waiting and not stage.instance.open)
            barrier.let_pass()
            assert (await client.answer())[2] == b"last words"

    run(body())


def test_an_instance_that_ends_during_an_upload_has_answered_all_the_same() -> None:
    """What cannot be written any more is noticed although nothing is read."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"too much"))
        await writer.drain()
        writer.transport.abort()

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            barrier = closed(stage)
            client.send(b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 100\r\n\r\nx")
            await until(lambda: barrier.waiting)
            for _ in range(9):
                client.send(b"x")
                await asyncio.sleep(0.001)
            barrier.let_pass()
            assert (await client.answer())[2] == b"too much"

    run(body())


def test_a_swap_waits_for_what_waits_and_then_ends_it_whole() -> None:
    async def body() -> None:
        async with staged(sends(STREAM + b"2\r\nhi\r\n")) as stage, stage.client() as client:
            barrier = closed(stage)
            client.get()
            await until(lambda: barrier.waiting)
            wind_down(stage)
            assert stage.upstream.holders
            barrier.let_pass()
            assert (await client.reader.readuntil(b"0\r\n\r\n")).endswith(b"2\r\nhi\r\n0\r\n\r\n")
            assert not stage.upstream.holders

    run(body())


def test_a_later_piece_holds_a_swap_as_well() -> None:
    async def body() -> None:
        handler, go_on = by_pieces(CHUNKED + b"3\r\none\r\n", b"3\r\ntwo\r\n")
        async with staged(handler) as stage, stage.client() as client:
            barrier = closed(stage)
            client.get()
            await until(lambda: barrier.waiting)
            barrier.let_pass()
            await client.reader.readuntil(b"one\r\n")
            go_on.set()
            await until(lambda: barrier.waiting)
            age(stage)
            wind_down(stage)
            await nothing_comes(client)
            barrier.let_pass()
            assert await client.reader.readuntil(b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"
            go_on.set()

    run(body())


def test_the_end_of_a_drain_tells_the_truth() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage, stage.client() as client:
            barrier = closed(stage)
            client.get()
            await until(lambda: barrier.waiting)
            cut(stage)
            status, _, page = await client.answer()
            assert (status, json.loads(page)["error"]["code"]) == (503, "not_replicated")
            assert (barrier.forgotten, barrier.waiting) == (1, {})

    run(body())


def test_requests_in_a_pipeline_wait_one_after_another() -> None:
    async def body() -> None:
        async with staged(canned(answer(b"1"), answer(b"2"), answer(b"3"))) as stage, stage.client() as client:
            barrier = closed(stage)
            for _ in range(3):
                client.get()
            for number in (b"1", b"2", b"3"):
                await until(lambda: barrier.waiting)
                await nothing_comes(client)
                barrier.let_pass()
                assert (await client.answer())[2] == number

    run(body())


def test_from_one_moment_to_the_next_nothing_waits_any_more() -> None:
    """An owner who does not want it any longer: the barrier is gone, and connections are what they were."""

    async def body() -> None:
        async with staged(canned(answer())) as stage, stage.client() as client:
            barrier = closed(stage)
            client.get()
            await until(lambda: barrier.waiting)
            stage.app.barrier = None
            barrier.let_pass()
            await client.answer()
            client.get()
            await client.answer()
            assert barrier.pieces == 1

    run(body())
