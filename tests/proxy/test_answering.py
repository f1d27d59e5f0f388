"""How a swap ends answers: what is endless ends now and whole, what is short goes on, what is late is cut."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from steadyd.proxy.limits import LONG_LIVED_SECONDS
from tests.proxy.stage import Instance, Stage, StagedUpstream, answer, canned, run, staged, until
from tests.proxy.test_client import GET
from tests.proxy.test_exchange import CHUNKED, STREAM, sends, silent


def age(stage: Stage) -> None:
    """Make the answers under way old enough to be long-lived."""
    for holder in stage.upstream.holders:
        holder._answered_at -= LONG_LIVED_SECONDS  # type: ignore[attr-defined]


def wind_down(stage: Stage) -> None:
    for holder in tuple(stage.upstream.holders):
        holder.wind_down()


def cut(stage: Stage) -> None:
    for holder in tuple(stage.upstream.holders):
        holder.cut()


def test_winding_down_ends_an_event_stream_with_a_complete_last_chunk_and_keeps_the_client() -> None:
    async def body() -> None:
        async with staged(sends(STREAM + b"2\r\nhi\r\n")) as stage, stage.client() as client:
            client.get()
            await client.reader.readuntil(b"hi\r\n")
            wind_down(stage)
            assert not stage.upstream.holders
            assert await client.reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"
            await until(lambda: not stage.instance.open)
            stage.app.open = False
            client.get()
            await until(lambda: stage.app.waiting)  # its reconnect waits at the gate
            stage.app.let_in()
            await client.reader.readuntil(b"hi\r\n")

    run(body())


def test_an_event_stream_that_begins_during_the_swap_ends_at_once() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go_on.wait()
        writer.write(STREAM + b"2\r\nhi\r\n")
        await reader.read()

    go_on = asyncio.Event()

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            client.get()
            await until(lambda: stage.upstream.holders)
            wind_down(stage)
            go_on.set()
            assert (await client.answer())[2] == b"hi"

    run(body())


def test_an_open_answer_without_length_ends_once_it_is_a_second_old() -> None:
    async def body() -> None:
        async with staged(sends(CHUNKED + b"2\r\nhi\r\n")) as stage, stage.client() as client:
            client.get()
            await client.reader.readuntil(b"hi\r\n")
            wind_down(stage)
            assert stage.upstream.holders
            assert await client.reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"
            client.get()
            await client.reader.readuntil(b"hi\r\n")
            age(stage)
            wind_down(stage)
            assert not stage.upstream.holders

    run(body())


def test_an_answer_with_a_length_goes_on_until_it_is_cut() -> None:
    async def body() -> None:
        async with staged(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi")) as stage, stage.client() as client:
            client.get()
            await client.reader.readuntil(b"hi")
            age(stage)
            wind_down(stage)
            assert stage.upstream.holders
            cut(stage)
            assert not stage.upstream.holders
            with pytest.raises(ConnectionResetError):
                await client.rest()
            await until(lambda: not stage.instance.open)

    run(body())


def test_an_answer_that_has_not_begun_is_cut_with_504() -> None:
    async def body() -> None:
        async with staged(silent) as stage, stage.client() as client:
            client.get()
            await until(lambda: stage.upstream.holders)
            wind_down(stage)
            assert stage.upstream.holders
            cut(stage)
            status, head, _ = await client.answer()
            assert status == 504
            assert b"Steady-Error: app_timeout" in head
            assert b"Retry-After" in head

    run(body())


def test_winding_down_and_cutting_a_finished_exchange_do_nothing() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage, stage.client() as client:
            stage.app.open = False
            client.get()
            await until(lambda: stage.app.waiting)
            holder = stage.app.waiting[0]
            stage.app.let_in()
            await client.answer()
            holder.wind_down()
            holder.cut()
            client.get()
            assert (await client.answer())[0] == 200
            assert len(await stage.records(2)) == 2

    run(body())


def test_an_http_1_0_client_sees_its_stream_end_too() -> None:
    async def body() -> None:
        async with staged(sends(STREAM + b"2\r\nhi\r\n")) as stage, stage.client() as client:
            client.send(b"GET / HTTP/1.0\r\nHost: app.localhost\r\n\r\n")
            await client.head()
            assert await client.reader.readexactly(2) == b"hi"
            wind_down(stage)
            assert await client.rest() == b""
            assert not stage.upstream.holders

    run(body())


def test_the_rest_of_an_upload_that_was_already_answered_does_not_hold_a_swap() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"early"))
        await reader.read()

    async def body() -> None:
        for end in (wind_down, cut):
            async with staged(handler) as stage, stage.client() as client:
                client.send(b"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1000\r\n\r\nabc")
                assert (await client.answer())[2] == b"early"
                end(stage)
                assert not stage.upstream.holders
                assert await client.rest() == b""

    run(body())


def test_a_swap_to_another_instance_loses_no_request(tmp_path: Path) -> None:
    async def body() -> None:
        async with staged(canned(answer(b"old"))) as stage:
            new = Instance(canned(answer(b"new")))
            server = await new.serve(str(tmp_path / "new"))
            old = stage.upstream
            stop = asyncio.Event()
            seen: list[bytes] = []

            async def visitor() -> None:
                async with stage.client() as client:
                    while not stop.is_set():
                        client.get()
                        status, _, content = await client.answer()
                        assert status == 200
                        seen.append(content)

            visitors = [asyncio.create_task(visitor()) for _ in range(8)]
            await until(lambda: len(seen) > 200)
            stage.app.open = False
            old.retired = True
            await until(lambda: not old.holders)
            stage.app.upstream = StagedUpstream(str(tmp_path / "new"))
            stage.app.let_in()
            await until(lambda: seen.count(b"new") > 200)
            stop.set()
            await asyncio.gather(*visitors)
            assert seen == sorted(seen, reverse=True)  # never the old one again
            server.close()

    run(body())


def test_both_heads_of_a_request_are_held_for_its_record() -> None:
    async def body() -> None:
        async with staged(canned(answer(b"12345"))) as stage:
            await stage.ask(GET.replace(b"\r\n\r\n", b"\r\nX-Own: v\r\n\r\n"))
            await stage.ask(b"GET / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: x\r\n\r\n")
            fine, rejected = await stage.records(2)
            asked, answered = stage.ring.heads(fine.number)
            assert b"X-Own: v\r\n" in asked
            assert answered == b"" or answered.endswith(b"\r\n")
            assert stage.ring.heads(rejected.number) == (b"", b"")

    run(body())
