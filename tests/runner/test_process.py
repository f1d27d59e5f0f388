from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner.process import Exit, Process, settle_descriptors, spawn_now

SECONDS_MAX = 10


def python(program: str, descriptors: dict[int, int] | None = None, environ: dict[str, str] | None = None) -> Process:
    return spawn_now([sys.executable, "-c", program], environ or {}, descriptors or {})


async def read_all(descriptor: int) -> bytes:
    """Everything a pipe brings until its end."""

    def read() -> bytes:
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    return await asyncio.wait_for(asyncio.to_thread(read), SECONDS_MAX)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not gone(pid):  # noqa: ASYNC110 - another process's end is no event of this loop
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("program", "ended"),
    [
        ("pass", Exit(0, None)),
        ("raise SystemExit(3)", Exit(3, None)),
        ("import os; os.kill(os.getpid(), 9)", Exit(None, "SIGKILL")),
    ],
)
def test_how_a_child_ended_is_known_once_it_was_reaped(program: str, ended: Exit) -> None:
    async def body() -> None:
        process = python(program)
        assert await asyncio.wait_for(process.ended, SECONDS_MAX) == ended
        assert gone(process.pid), "a zombie would be there"

    asyncio.run(body())


def test_a_child_has_its_own_session_an_empty_stdin_and_only_its_own_environment() -> None:
    program = "import os, sys; print(os.getsid(0) == os.getpid(), sys.stdin.read(), sorted(os.environ))"

    async def body() -> bytes:
        reading, writing = os.pipe()
        process = python(program, {1: writing}, {"ONLY": "this"})
        os.close(writing)
        output = await read_all(reading)
        await process.ended
        return output

    assert asyncio.run(body()) in (b"True  ['ONLY']\n", b"True  ['LC_CTYPE', 'ONLY']\n")


def test_a_child_inherits_the_descriptors_it_was_given_and_no_other() -> None:
    """Not even one that whoever started the daemon left open for everybody."""
    program = "import os; os.write(7, ' '.join(sorted(os.listdir('/proc/self/fd'), key=int)).encode())"

    async def body() -> set[int]:
        reading, writing = os.pipe()
        left_open = os.open("/etc/passwd", os.O_RDONLY)
        os.set_inheritable(left_open, True)
        settle_descriptors()
        process = python(program, {7: writing})
        os.close(writing)
        os.close(left_open)
        output = await read_all(reading)
        await process.ended
        return {int(number) for number in output.split()}

    seen = asyncio.run(body())
    assert 7 in seen
    assert len(seen - {0, 1, 2, 7}) == 1, "the listing's own"


def test_as_many_descriptors_are_allowed_as_the_system_lets_us_have() -> None:
    """A login's soft limit of 1,024 would be a few hundred visitors."""
    program = (
        "import resource as r; from steadyd.runner.process import DESCRIPTORS_MAX, settle_descriptors\n"
        "hard = r.getrlimit(r.RLIMIT_NOFILE)[1]; r.setrlimit(r.RLIMIT_NOFILE, (256, hard)); settle_descriptors()\n"
        "assert r.getrlimit(r.RLIMIT_NOFILE) == (min(hard, DESCRIPTORS_MAX), hard)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=SECONDS_MAX)


def test_a_polite_child_ends_by_sigterm() -> None:
    program = "import signal; signal.signal(15, lambda *a: exit(7)); print('up', flush=True); signal.pause()"

    async def body() -> Exit:
        reading, writing = os.pipe()
        process = python(program, {1: writing})
        os.close(writing)
        assert await asyncio.to_thread(os.read, reading, 2) == b"up"
        os.close(reading)
        return await asyncio.wait_for(process.stop(SECONDS_MAX), SECONDS_MAX)

    assert asyncio.run(body()) == Exit(7, None)


def test_a_stubborn_child_is_killed_after_the_grace_period_with_its_whole_group(tmp_path: Path) -> None:
    """SIGTERM is ignored by the child and by a grandchild; neither outlives `stop`."""
    program = (
        "import os, signal; signal.signal(15, signal.SIG_IGN); pid = os.fork() or os.getpid();"
        "os.write(1, b'%d\\n' % os.getpid()); signal.pause()"
    )

    async def body() -> tuple[Exit, list[int]]:
        reading, writing = os.pipe()
        process = python(program, {1: writing})
        os.close(writing)
        lines = b""
        while lines.count(b"\n") < 2:
            lines += await asyncio.wait_for(asyncio.to_thread(os.read, reading, 100), SECONDS_MAX)
        os.close(reading)
        ended = await asyncio.wait_for(process.stop(0.05), SECONDS_MAX)
        pids = [int(line) for line in lines.split()]
        for pid in pids:
            await until_gone(pid)
        return ended, pids

    ended, pids = asyncio.run(body())
    assert ended == Exit(None, "SIGKILL")
    assert len(set(pids)) == 2


def test_signals_that_the_daemon_ignores_work_in_a_child() -> None:
    """Python ignores SIGPIPE; a child that inherited that would write to a closed pipe for ever."""
    program = "import signal; print(signal.getsignal(13) is signal.SIG_IGN)"

    async def body() -> Exit:
        reading, writing = os.pipe()
        process = spawn_now(["/bin/sh", "-c", "kill -PIPE $$; exit 5"], {}, {1: writing})
        os.close(reading)
        os.close(writing)
        return await asyncio.wait_for(process.ended, SECONDS_MAX)

    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN, program
    assert asyncio.run(body()) == Exit(None, "SIGPIPE")


def test_what_cannot_be_executed_is_an_error() -> None:
    async def body() -> None:
        with pytest.raises(SteadyError) as caught:
            spawn_now(["/nowhere/program"], {}, {})
        assert caught.value.code == "cannot_start"

    asyncio.run(body())


def test_signals_after_the_end_reach_nobody() -> None:
    async def body() -> None:
        process = python("pass")
        await asyncio.wait_for(process.ended, SECONDS_MAX)
        process.terminate()
        process.kill()
        assert await process.stop(0) == Exit(0, None)

    asyncio.run(body())
