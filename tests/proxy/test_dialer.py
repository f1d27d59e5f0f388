"""Opening connections: few at once, the rest in line, and no request lost to a full accept queue."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from pathlib import Path

import pytest

from steadyd.proxy import dialer
from steadyd.proxy.limits import DIALING_MAX
from tests.proxy.stage import Instance, StagedUpstream, answer, canned, run, staged, until

GET = b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n"


def fill(path: str) -> list[socket.socket]:
    """Connections that nobody accepts, as many as fit."""
    fillers = []
    with contextlib.suppress(BlockingIOError):
        while True:
            fillers.append(socket.socket(socket.AF_UNIX))
            fillers[-1].setblocking(False)
            fillers[-1].connect(path)
    return fillers


def test_a_full_accept_queue_is_tried_again() -> None:
    async def body() -> None:
        late = Instance(canned(answer(b"late")))
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
            path = str(Path(folder, "s"))
            listening.bind(path)
            listening.listen(0)
            listening.setblocking(False)
            async with staged(canned(answer())) as stage, stage.client() as client:
                stage.app.upstream = StagedUpstream(path)
                fillers = fill(path)
                client.get()
                await until(lambda: stage.upstream.holders)
                await asyncio.sleep(0.02)
                assert stage.listener.exchanges == 1
                for filler in fillers:
                    filler.close()
                server = await asyncio.start_unix_server(late.connected, sock=listening.dup())
                assert (await client.answer())[2] == b"late"
                server.close()
            await server.wait_closed()

    run(body())


def test_few_dial_and_the_rest_take_what_becomes_free() -> None:
    most = 0

    async def body() -> None:
        nonlocal most
        async with staged(canned(answer())) as stage:
            count = 10 * DIALING_MAX
            stage.app.open = False
            asking = [asyncio.create_task(stage.ask(GET)) for _ in range(count)]
            await until(lambda: len(stage.app.waiting) == count)
            plane = stage.listener._plane
            stage.app.let_in()
            while not all(task.done() for task in asking):
                most = max(most, len(plane.connecting))
                await asyncio.sleep(0)
            assert {status for status, _, _ in await asyncio.gather(*asking)} == {200}
            assert 0 < most <= DIALING_MAX
            assert stage.instance.connections < count
            await until(lambda: not plane.dialers)

    run(body())


def test_who_leaves_the_line_is_passed_over() -> None:
    async def body() -> None:
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
            path = str(Path(folder, "s"))
            listening.bind(path)
            listening.listen(0)
            listening.setblocking(False)
            async with staged(canned(answer())) as stage:
                stage.app.upstream = StagedUpstream(path)
                fillers = fill(path)
                async with stage.client() as leaving:
                    leaving.get()
                    await until(lambda: stage.upstream.holders)
                await until(lambda: not stage.upstream.holders)
                await until(lambda: not stage.listener._plane.dialers)
                for filler in fillers:
                    filler.close()

    run(body())


def test_a_queue_that_stays_full_is_504(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer, "CONNECT_SECONDS_MAX", 0.02)

    async def body() -> None:
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
            path = str(Path(folder, "s"))
            listening.bind(path)
            listening.listen(0)
            async with staged(canned(answer())) as stage:
                stage.app.upstream = StagedUpstream(path)
                fillers = fill(path)
                status, head, _ = await stage.ask(GET)
                assert status == 504
                assert b"Steady-Error: app_timeout" in head
                assert not stage.upstream.misses  # it is busy, not gone
                for filler in fillers:
                    filler.close()

    run(body())
