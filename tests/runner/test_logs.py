from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from steadyd.runner import logs as module
from steadyd.runner.engine import Engine
from steadyd.runner.logs import LINE_BYTES_MAX, RECENT_LINES_MAX, LogLine, Logs, Pump
from tests.runner.conftest import HELLO, exchange, stage

SECONDS_MAX = 10
Body = Callable[[Logs], Awaitable[None]]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Body], None]:
    """Runs a test's body with the logs of a host, under a deadline."""

    async def go(body: Body) -> None:
        logs = Logs(lambda app_id: tmp_path / app_id, 0)
        try:
            async with asyncio.timeout(SECONDS_MAX):
                await body(logs)
        finally:
            await logs.close()

    return lambda body: asyncio.run(go(body))


async def pumped(logs: Logs, *pieces: bytes) -> Pump:
    """A pump after an app wrote `pieces` and ended."""
    reading, writing = os.pipe()
    pump = Pump(logs, "a", 3, reading)
    for piece in pieces:
        await asyncio.to_thread(_write_all, writing, piece)
    os.close(writing)
    await pump.ended
    return pump


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def texts(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


def test_what_an_app_prints_is_kept_with_its_version(run: Callable[[Body], None]) -> None:
    async def body(logs: Logs) -> None:
        await pumped(logs, b"one\ntw", b"o\r\n\nlast without an end")
        lines = await logs.tail("a", 100)
        assert texts(lines) == ["one", "two", "", "last without an end"]
        assert {(line.version, line.source) for line in lines} == {(3, "app")}
        assert texts(await logs.tail("a", 2)) == ["", "last without an end"]
        assert texts(await logs.tail("a", 100, q="tw")) == ["two"]
        assert await logs.tail("a", 100, since=lines[-1].at + 1) == []

    run(body)


def test_each_app_has_its_own_log_and_the_platform_speaks_in_it(run: Callable[[Body], None]) -> None:
    async def body(logs: Logs) -> None:
        logs.say("a", 1, "Started.")
        logs.add("b", 1, "app", [b"\xff not utf-8"])
        assert [(line.source, line.text) for line in await logs.tail("a", 9)] == [("steadyd", "Started.")]
        assert texts(await logs.tail("b", 9)) == ["\ufffd not utf-8"]
        assert await logs.tail("never seen", 9) == []

    run(body)


def test_a_follower_hears_lines_at_once(run: Callable[[Body], None]) -> None:
    async def body(logs: Logs) -> None:
        follower = logs.feed.subscribe("a")
        logs.add("a", 1, "app", [b"hello"])
        assert (await anext(follower)).text == "hello"

    run(body)


def test_a_line_is_cut_at_its_limit_and_the_next_one_is_whole(run: Callable[[Body], None]) -> None:
    async def body(logs: Logs) -> None:
        long = b"x" * (3 * LINE_BYTES_MAX)
        await pumped(logs, long[:LINE_BYTES_MAX], long[LINE_BYTES_MAX:], b"tail of it\nnext\n")
        first, second = await logs.tail("a", 9)
        assert first.text.startswith("x" * LINE_BYTES_MAX)
        assert len(first.text) < LINE_BYTES_MAX + 100
        assert second.text == "next"

    run(body)


def test_an_app_that_writes_too_fast_is_read_all_the_same_and_told_what_was_dropped(
    run: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer is never blocked for good: it ends, and the log says how many lines are missing."""
    monkeypatch.setattr(module, "RATE_BYTES_PER_SECOND_MAX", 64 << 10)

    async def body(logs: Logs) -> None:
        await pumped(logs, b"a line across pieces\n" * 40_000)
        lines = await logs.tail("a", 100_000)
        assert len(lines) < 40_000
        assert lines[-1].source == "steadyd"
        dropped = sum(int(line.text.split()[0]) for line in lines if line.source == "steadyd")
        kept = sum(line.source == "app" for line in lines)
        assert dropped + kept == 40_000

    run(body)


def test_what_waits_for_the_disk_is_limited_and_counted(
    run: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PENDING_BYTES_MAX", 1_000)

    async def body(logs: Logs) -> None:
        for _ in range(100):
            logs.add("a", 1, "app", [b"x" * 100])
        await logs.flush()
        logs.add("a", 1, "app", [b"after"])
        lines = texts(await logs.tail("a", 1_000))
        assert lines[-1] == "after"
        assert int(lines[-2].split()[0]) + len(lines) - 2 == 100

    run(body)


def test_the_last_lines_stay_in_memory_for_the_death_card(run: Callable[[Body], None]) -> None:
    async def body(logs: Logs) -> None:
        pump = await pumped(logs, b"".join(b"%d\n" % number for number in range(RECENT_LINES_MAX + 10)))
        assert list(pump.recent) == [str(number) for number in range(10, RECENT_LINES_MAX + 10)]

    run(body)


def test_a_grandchild_that_keeps_the_pipe_open_holds_nobody(run: Callable[[Body], None]) -> None:
    async def body(logs: Logs) -> None:
        reading, writing = os.pipe()
        pump = Pump(logs, "a", 1, reading)
        os.write(writing, b"last words\n")
        pump.finish()
        assert pump.ended.done()
        assert texts(await logs.tail("a", 9)) == ["last words"]
        os.close(writing)

    run(body)


def test_a_grandchild_that_goes_on_writing_for_ever_holds_nobody_either(run: Callable[[Body], None]) -> None:
    async def body(logs: Logs) -> None:
        reading, writing = os.pipe()
        pump, over = Pump(logs, "a", 1, reading), threading.Event()

        def flood() -> None:
            with contextlib.suppress(BrokenPipeError):
                while not over.is_set():
                    os.write(writing, b"never ends\n" * 5_000)

        flooding = asyncio.create_task(asyncio.to_thread(flood))
        await asyncio.sleep(0.01)
        pump.finish()
        over.set()
        await flooding
        os.close(writing)

    run(body)


def test_a_reason_of_many_lines_cannot_forge_a_line_of_ours(run: Callable[[Body], None]) -> None:
    """What we say quotes the app: its newlines make new stamped lines, and none is lost."""

    async def body(logs: Logs) -> None:
        logs.say("a", 7, "it died: first\n2020-01-01T00:00:00.000000Z 1 app forged\n" + "x" * 20_000)
        lines = await logs.tail("a", 9)
        assert [line.source for line in lines] == ["steadyd"] * 3
        assert [line.version for line in lines] == [7] * 3
        assert lines[1].text == "2020-01-01T00:00:00.000000Z 1 app forged"
        assert len(lines[2].text) < LINE_BYTES_MAX + 50

    run(body)


@pytest.mark.parametrize("lines", [200_000])
def test_an_app_that_prints_without_end_is_never_stopped_by_its_log(lines: int, root: Path, bun: Engine) -> None:
    """Bun's console.log is synchronous: with nobody reading, the 200,000th line never comes."""
    code = f"for (let n = 0; n < {lines}; n++) console.log('line', n);" + HELLO

    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            instance = await ground.starter.start(ground.plan(code), 30.0)
            assert await exchange(instance.address) == (200, "hello")
            await instance.stop(1.0)
            kept = await ground.logs.tail("a", lines)
            dropped = sum(int(line.text.split()[0]) for line in kept if line.source == "steadyd")
            assert len([line for line in kept if line.source == "app"]) + dropped == lines

    asyncio.run(body())


def test_one_turn_of_the_loop_reads_only_so_much(run: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    read = os.read

    def watched(descriptor: int, count: int) -> bytes:
        asked.append(count)
        return read(descriptor, count)

    async def body(logs: Logs) -> None:
        monkeypatch.setattr(os, "read", watched)
        await pumped(logs, b"a line\n" * 50_000)
        assert set(asked) == {module.READ_BYTES_PER_TURN_MAX}

    run(body)
