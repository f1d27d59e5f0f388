from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from steadyd.linux.seccomp import program
from steadyd.model import Limits
from steadyd.runner import sandbox
from steadyd.runner.confined import sandbox_files
from steadyd.runner.engine import Engine
from steadyd.runner.failure import Failure
from steadyd.runner.launcher import Launcher
from steadyd.runner.start import STARTS_AT_ONCE_MAX, Plan
from steadyd.runner.status import PATHS_MAX
from steadyd.variables import ENVIRON_BYTES_MAX, NAMES_MAX, VALUE_BYTES_MAX
from tests.runner.conftest import BOTH, HELLO, UID, Stage, alive, exchange, needs_root, run, stage

NEVER = "await new Promise(() => setInterval(() => {}, 1000));\n"
SECONDS = 10.0


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def failure(ground: Stage, plan: Plan, seconds: float = SECONDS) -> Failure:
    with pytest.raises(Failure) as caught:
        await ground.starter.start(plan, seconds)
    assert list(ground.sockets.iterdir()) == [], "nothing of it is left"
    assert alive(str(plan.folder)) == []
    return caught.value


@BOTH
def test_a_started_instance_listens_on_its_own_socket(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed) as ground:
            plan = ground.plan(HELLO)
            first, second = await asyncio.gather(
                ground.starter.start(plan, SECONDS), ground.starter.start(plan, SECONDS)
            )
            assert first.address != second.address
            assert [await exchange(instance.address) for instance in (first, second)] == [(200, "hello")] * 2
            assert (first.version, first.uptime_seconds is not None) == (1, True)
            await asyncio.gather(first.stop(1.0), second.stop(1.0))

    run(body())


@pytest.mark.parametrize(
    ("code", "cause", "reason"),
    [
        ("process.exit(7);", "exit", "exit code 7"),
        ("process.exit(255);", "exit", "exit code 255"),
        ("const done = true;", "exit", "without starting a server"),
        ("process.kill(process.pid, 'SIGKILL'); await new Promise(() => {});", "signal", "SIGKILL"),
        ("throw new TypeError('x is not y');", "exit", "index.ts:2: x is not y"),
        ("Promise.reject(new Error('nobody waits'));", "exit", "nobody waits"),
        ("const = 1;", "exit", "index.ts:2"),
        ("import './gone';", "exit", "gone"),
        ("export default { fetch: 3 };", "exit", "without starting a server"),
    ],
)
@BOTH
def test_why_it_does_not_start_is_told(
    code: str, cause: str, reason: str, root: Path, bun: Engine, sandboxed: bool
) -> None:
    """One plain sentence, the place where there is one, and the last lines."""

    async def body() -> None:
        async with stage(root, bun, sandboxed) as ground:
            told = await failure(ground, ground.plan('console.log("last words");\n' + code))
            assert (told.cause, reason in told.message) == (cause, True), told.message
            if "const =" not in code and "gone" not in code:
                assert "last words" in told.lines
            error = told.as_error("switch")
            assert (error.code, error.details["step"]) == ("deploy_failed", "switch")
            assert error.details["reason"].startswith(told.message)
            if "index.ts:2" in reason:
                assert (error.details["file"], error.details["line"]) == ("index.ts", 2)
            assert str(root) not in str(error.body()) or not sandboxed

    run(body())


@BOTH
def test_one_that_never_listens_is_given_up_at_its_deadline(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed) as ground:
            began = time.monotonic()
            told = await failure(ground, ground.plan(NEVER), 0.4)
            assert (told.cause, told.ended) == ("start_timeout", None)
            assert "did not listen within 0.4 s" in told.message
            assert 0.4 <= time.monotonic() - began < 5

    run(body())


@pytest.mark.parametrize("made", ["nothing", 'fs.symlinkSync("/etc/passwd", socket)', 'fs.writeFileSync(socket, "")'])
@BOTH
def test_one_that_lies_about_listening_is_found_out(made: str, root: Path, bun: Engine, sandboxed: bool) -> None:
    """The harness runs in the user's process: whatever it tells, the socket must be one, and no link is followed."""
    code = f"""
import fs from "node:fs";
const socket = process.env.HERE + "/app.sock", nothing = 0;
{made};
fs.writeSync(3, '{{"event":"ready"}}\\n');
setInterval(() => {{}}, 1000);
"""

    async def body() -> None:
        async with stage(root, bun, sandboxed) as ground:
            here = "/run/steady" if sandboxed else str(ground.sockets / "1")
            told = await failure(ground, replace(ground.plan(code), environ={"HERE": here}))
            assert "there is no socket" in told.message
            assert str(root) not in told.message

    run(body())


@pytest.mark.sandbox
@needs_root
def test_once_it_listens_nothing_can_take_its_socket_s_place(root: Path, bun: Engine) -> None:
    code = """
import fs from "node:fs";
export default { fetch() {
  try { fs.unlinkSync("/run/steady/app.sock"); } catch (error) { return new Response(error.code); }
  return new Response("gone");
} };
"""

    async def body() -> None:
        async with stage(root, bun) as ground:
            instance = await ground.starter.start(ground.plan(code), SECONDS)
            assert await exchange(instance.address) == (200, "EACCES")
            assert stat.S_ISSOCK(os.stat(instance.address).st_mode)
            assert os.stat(instance.address).st_uid == UID
            await instance.stop(1.0)

    run(body())


def test_what_the_harness_tells_is_bounded(root: Path, bun: Engine) -> None:
    """It is the user's process that writes there, and it may write anything."""
    code = """
import fs from "node:fs";
const noise = ("x".repeat(999) + "\\n").repeat(1000), deep = "[".repeat(60000) + "\\n";
for (let n = 0; n < 20; n++) fs.writeSync(3, noise);
fs.writeSync(3, '{"event":"modules","files":' + deep);
fs.writeSync(3, '{"event":"wrote","file":5}\\n{"event":7}\\nnull\\n[]\\n{"event":"error","message":null}\\n');
fs.writeSync(3, "y".repeat(5_000_000));
fs.writeSync(3, "\\n");
"""

    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            instance = await ground.starter.start(ground.plan(code + HELLO), SECONDS)
            assert instance.told is not None
            assert len(instance.told.files) <= PATHS_MAX
            assert await exchange(instance.address) == (200, "hello")
            await instance.stop(1.0)

    run(body())


@BOTH
def test_no_descriptor_is_left_open(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed) as ground:
            good, bad = ground.plan(HELLO), ground.plan("process.exit(1)")
            before = 0
            for number in range(6):
                instance = await ground.starter.start(good, SECONDS)
                await instance.stop(1.0)
                await failure(ground, bad)
                await failure(ground, ground.plan(NEVER), 0.01)
                if number == 0:
                    before = descriptors()
            assert descriptors() == before

    run(body())


def test_what_cannot_be_executed_is_an_error_and_leaves_nothing(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, replace(bun, folder=root / "no engine"), sandboxed=False) as ground:
            before = descriptors()
            told = await failure(ground, ground.plan(HELLO))
            assert told.cause == "exit"
            assert descriptors() == before

    run(body())


@pytest.mark.skipif(sys.platform != "linux", reason="proc(5)")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Max open files", "2048"),
        ("Max core file size", "0"),
        ("Max locked memory", str(64 << 10)),
        ("Max msgqueue size", "0"),
        ("Max file size", str(7 << 20)),
    ],
)
@BOTH
def test_an_instance_has_limits(name: str, value: str, root: Path, bun: Engine, sandboxed: bool) -> None:
    """As the app itself finds them, soft and hard."""
    source = 'export default { fetch: async () => new Response(await Bun.file("/proc/self/limits").text()) };'

    async def body() -> None:
        async with stage(root, bun, sandboxed) as ground:
            plan = replace(ground.plan(source), limits=Limits(disk_bytes=7 << 20))
            instance = await ground.starter.start(plan, SECONDS)
            assert list(ground.starter.running) == [instance]
            _, told = await exchange(instance.address)
            line = next(line for line in told.splitlines() if line.startswith(name))
            assert line.removeprefix(name).split()[:2] == [value, value]
            await instance.stop(1.0)
            assert ground.starter.running == {}

    run(body())


@BOTH
def test_as_many_variables_as_an_app_may_have_reach_it(root: Path, bun: Engine, sandboxed: bool) -> None:
    """Whatever JSON makes of them on their way."""
    many = {f"A{number}": "ü\n'\"" for number in range(NAMES_MAX)}
    large = {"BIG": "x" * VALUE_BYTES_MAX, "LARGE": "y" * (ENVIRON_BYTES_MAX - VALUE_BYTES_MAX - 12)}
    code = "const { PORT, ...rest } = process.env; export default { fetch: () => Response.json({ PORT, ...rest }) };"

    async def body() -> None:
        launcher = Launcher()  # which has a limit of its own
        await launcher.open()
        async with stage(root, bun, sandboxed, spawn=launcher.spawn) as ground:
            for variables in (many, large):
                plan = ground.plan(code)
                instance = await ground.starter.start(replace(plan, environ={**plan.environ, **variables}), SECONDS)
                found = json.loads((await exchange(instance.address))[1])
                assert found | variables == found
                assert found["PORT"] == "3000"
                await instance.stop(1.0)
        await launcher.close()

    run(body())


def test_what_bubblewrap_reads_is_its_options_and_the_filter() -> None:
    room = sandbox.Room(Path("/folder"), Path("/engine"), None, {"A": "ü b", "B": ""})
    system = sandbox.System({})
    pipes = sandbox_files(room, system)
    with open(pipes[sandbox.ARGS_FD], "rb") as words, open(pipes[sandbox.SECCOMP_FD], "rb") as rules:
        assert words.read().decode().split("\0") == [*sandbox.options(room, system), ""]
        assert rules.read() == program()


def test_as_many_as_there_are_places_hang_in_their_start_and_others_start_all_the_same(root: Path, bun: Engine) -> None:
    """A few boot at once; whoever waits for something keeps no place."""

    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            never = ground.plan(NEVER)
            hanging = [asyncio.create_task(ground.starter.start(never, 20.0)) for _ in range(STARTS_AT_ONCE_MAX)]
            await asyncio.sleep(0)
            instance = await asyncio.wait_for(ground.starter.start(ground.plan(HELLO), SECONDS), 5.0)
            assert not any(task.done() for task in hanging)
            assert await exchange(instance.address) == (200, "hello")
            for task in hanging:
                task.cancel()
            await asyncio.gather(instance.stop(1.0), *hanging, return_exceptions=True)

    run(body())


def test_starts_beyond_the_places_wait_their_turn(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            plan = ground.plan(HELLO)
            starting = [asyncio.create_task(ground.starter.start(plan, SECONDS)) for _ in range(3 * STARTS_AT_ONCE_MAX)]
            most = 0
            while not all(task.done() for task in starting):
                most = max(most, len(list(ground.sockets.iterdir())) - sum(task.done() for task in starting))
                await asyncio.sleep(0)
            assert 1 < most <= STARTS_AT_ONCE_MAX
            await asyncio.gather(*(task.result().stop(1.0) for task in starting))

    run(body())
