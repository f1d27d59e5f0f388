from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable

import pytest

from steadyd.runner import status
from steadyd.runner.process import spawn_now
from steadyd.runner.status import StatusReader

SECONDS_MAX = 5


def told(*pieces: bytes) -> StatusReader:
    """A reader after the harness wrote `pieces` and went away."""

    async def body() -> StatusReader:
        ours, theirs = socket.socketpair()
        process = spawn_now(["/bin/true"], {}, {})
        reader = StatusReader(process, ours, -1)
        for piece in pieces:
            theirs.sendall(piece)
            reader.read()
        theirs.close()
        reader.read()
        await process.ended
        reader.close()
        reader.close()
        return reader

    return asyncio.run(body())


def line(**event: object) -> bytes:
    return json.dumps(event).encode() + b"\n"


def test_ready_is_an_event() -> None:
    assert told(line(event="ready")).ready.done()
    assert told(line(event="ready") * 2).ready.done()
    assert not told(line(event="ready")[:-1]).ready.done(), "half a line is none"


def test_lines_may_come_in_pieces() -> None:
    whole = line(event="ready")
    assert told(*[whole[n : n + 1] for n in range(len(whole))]).ready.done()


def test_an_error_says_where() -> None:
    error = told(line(event="error", message="Unexpected }", file="index.ts", line=3, column=7)).error
    assert error
    assert (error.message, error.file, error.line, error.column) == ("Unexpected }", "index.ts", 3, 7)


@pytest.mark.parametrize("noise", [b"\n", b"{}\n", b"[1]\n", b"\xff\xfe\n", b'{"event": 1}\n', b"not json\n"])
def test_noise_is_passed_over(noise: bytes) -> None:
    assert told(noise + line(event="ready")).ready.done()


def test_a_line_without_an_end_keeps_only_so_much() -> None:
    reader = told(*[b"x" * 50_000] * 4)
    assert len(reader._buffer) <= status.STATUS_LINE_BYTES_MAX


def test_only_so_many_paths_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "PATHS_MAX", 3)
    written = [line(event="wrote", file=f"{number}.txt") for number in range(5)]
    reader = told(line(event="modules", files=["a", "b"]), line(event="modules", files=["c", "d"]), *written)
    assert (len(reader.files), len(reader.wrote)) == (3, 3)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; the deadline is the caller's."""
    while not condition():  # noqa: ASYNC110 - a reader's state is no event
        await asyncio.sleep(0)


def with_info(check: Callable[[StatusReader, int], Awaitable[None]]) -> None:
    async def body() -> None:
        ours, theirs = socket.socketpair()
        info, info_end = os.pipe()
        process = spawn_now(["/bin/true"], {}, {})
        reader = StatusReader(process, ours, info)
        async with asyncio.timeout(SECONDS_MAX):
            await check(reader, info_end)
            await process.ended
        reader.close()
        theirs.close()

    asyncio.run(body())


def test_the_group_to_signal_is_the_one_inside_the_sandbox() -> None:
    async def check(reader: StatusReader, info_end: int) -> None:
        os.write(info_end, b'{\n "child-pi')
        os.write(info_end, b'd": 4321,\n')
        os.close(info_end)
        await until(lambda: reader._info._process.group == 4321)

    with_info(check)


def test_what_the_sandbox_tells_is_limited() -> None:
    async def check(reader: StatusReader, info_end: int) -> None:
        os.write(info_end, b"x" * (2 * status.INFO_BYTES_MAX))
        os.close(info_end)
        await until(lambda: reader._info._info < 0)
        assert len(reader._info._told) == status.INFO_BYTES_MAX

    with_info(check)
