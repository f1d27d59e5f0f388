"""Apps that rest in memory, and apps that take more than they may: with this machine's real cgroups."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path

import pytest

from steadyd.model import AppState, Limits
from steadyd.runner.app import AppRuntime
from steadyd.runner.engine import Engine
from steadyd.runner.lull import leads_out, talks
from steadyd.runner.rest import BUSY_SECONDS_MAX
from tests.runner.conftest import Visitor, ask, limits, needs_cgroups, run, stage, until

pytestmark = [needs_cgroups, pytest.mark.sandbox]

LATER = """
setInterval(() => {}, 60_000);
let answers = 0;
export default { fetch: (request: Request) => {
  if (request.url.endsWith("/spin")) setTimeout(() => { for (;;); }, 10);
  return new Response(`${process.pid} ${++answers}`);
} };
"""


def state(runtime: AppRuntime) -> AppState:
    """A function, so that no type checker believes it to stay as it was."""
    return runtime.state


def stopped(runtime: AppRuntime) -> bool:
    """Whether no process of it has a turn: each is in state T of proc(5)."""
    assert runtime.instance is not None
    assert runtime.instance.group is not None
    pids = runtime.instance.group.pids()
    return all(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T" for pid in pids)


async def rests(runtime: AppRuntime, seconds: float = 10.0) -> None:
    """Let two looks at it pass, `seconds` after the last request; the second knows what it used."""
    assert runtime.instance is not None
    for later in (seconds - 1, seconds + 1):
        runtime.tick(runtime.instance.last_used + later)


def test_an_idle_app_is_frozen_and_the_next_request_is_answered_by_the_same_process(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with limits() as more, stage(root, bun, **more) as here:
            runtime = here.runtime(here.plan(LATER))
            first = await ask(runtime)
            await rests(runtime, 5)
            assert state(runtime) is AppState.RUNNING
            await rests(runtime)
            assert state(runtime) is AppState.FROZEN
            await until(lambda: stopped(runtime), "every process of it to stop")
            assert [kind for kind, _ in here.events].count("paused") == 1, "it has a timer, and is told so"
            second = await ask(runtime)
            assert (first[1].split()[0], second[1].split()) == (second[1].split()[0], [first[1].split()[0], "2"])
            assert here.starts == 1
            await rests(runtime)
            assert state(runtime) is AppState.FROZEN
            assert [kind for kind, _ in here.events].count("paused") == 1, "once"
            runtime.tick(time.monotonic() + runtime.settings.idle_seconds)
            await runtime.watch.until(lambda: state(runtime) is AppState.STOPPED)

    run(body())


def test_what_computes_is_not_frozen_but_for_a_limited_time(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with limits() as more, stage(root, bun, **more) as here:
            runtime = here.runtime(here.plan(LATER))
            await ask(runtime, "/spin")
            assert runtime.instance is not None
            began = time.monotonic()
            while time.monotonic() < began + 0.3:  # a reading of its use of cpu, and another
                runtime.tick(runtime.instance.last_used + 10 + time.monotonic() - began)
                await asyncio.sleep(0.1)
            assert state(runtime) is AppState.RUNNING
            runtime.tick(runtime.instance.last_used + BUSY_SECONDS_MAX)
            assert state(runtime) is AppState.FROZEN

    run(body())


def test_a_frozen_app_is_stopped_restarted_and_killed_like_any_other(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with limits() as more, stage(root, bun, **more) as here:
            runtime = here.runtime(here.plan(LATER))
            for end in ("sleep", "swap", "killed"):
                await ask(runtime)
                await rests(runtime)
                assert state(runtime) is AppState.FROZEN
                if end == "sleep":
                    await runtime.sleep()
                    assert state(runtime) is AppState.STOPPED
                elif end == "swap":
                    async with runtime.swap():
                        pass
                    assert (await ask(runtime))[1].endswith(" 1")
                else:
                    assert runtime.instance is not None
                    os.kill(runtime.instance.process.pid, 9)
                    await until(lambda: here.deaths)
                    assert (await ask(runtime))[1].endswith(" 1")

    run(body())


def test_under_memory_pressure_a_resting_app_sleeps_early_and_a_used_one_does_not(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with limits() as more, stage(root, bun, **more) as here:
            runtime = here.runtime(here.plan(LATER))
            visitor = Visitor()
            await visitor.arrive(runtime)
            assert runtime.idle is None
            runtime.sleep_early()
            assert state(runtime) is AppState.RUNNING
            visitor.leave()
            assert runtime.idle is not None
            runtime.sleep_early()
            await runtime.watch.until(lambda: state(runtime) is AppState.STOPPED)
            assert "pressure" in [kind for kind, _ in here.events]

    run(body())


def test_an_app_that_takes_more_memory_than_it_may_is_ended_for_that(root: Path, bun: Engine) -> None:
    hog = """
    const kept: Uint8Array[] = [];
    export default { fetch: (request: Request) => {
      if (request.url.endsWith("/hog")) for (;;) kept.push(new Uint8Array(1 << 20).fill(1));
      return new Response("ok");
    } };"""

    async def body() -> None:
        async with limits() as more, stage(root, bun, **more) as here:
            runtime = here.runtime(here.plan(hog, limits=Limits(memory_bytes=96 << 20)))
            await ask(runtime)
            with contextlib.suppress(IndexError, ConnectionError, ValueError):
                await ask(runtime, "/hog")
            await until(lambda: here.deaths, "its death")
            assert here.deaths[0].cause == "memory"
            assert "96 MiB" in here.deaths[0].message

    run(body())


TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1B5A 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 100 0 0 10 0
   1: 0100007F:9C40 0100007F:1B5A 01 00000000:00000000 00:00000000 00000000  1000        0 2 1 0 20 4 30 10 -1
"""
OUTSIDE = (
    "   2: 020012C6:9C40 22D8B85D:01BB {} 00000000:00000000 00:00000000 00000000  1000        0 3 1 0 20 4 30 10 -1\n"
)


def test_a_connection_counts_while_it_is_open_and_leads_out() -> None:
    assert not leads_out(TABLE), "it listens, and talks to itself"
    assert leads_out(TABLE + OUTSIDE.format("01"))
    assert leads_out(TABLE + OUTSIDE.format("02"))
    assert not leads_out(TABLE + OUTSIDE.format("06")), "it is over"
    assert not leads_out("")


def connections(pid: int) -> str:
    return Path(f"/proc/{pid}/net/tcp").read_text()


def test_an_app_s_own_connections_are_seen_from_outside(root: Path, bun: Engine) -> None:
    source = """
    export default { fetch: () => new Response("ok") };
    setTimeout(async () => {
      const socket = { data() {} };
      Bun.listen({ hostname: "127.0.0.1", port: 7002, socket });
      await Bun.connect({ hostname: "127.0.0.1", port: 7002, socket });
      console.log("connected");
    }, 1);"""

    async def body() -> None:
        async with limits() as more, stage(root, bun, **more) as here:
            runtime = here.runtime(here.plan(source))
            await ask(runtime)
            assert runtime.instance is not None
            recent = runtime.instance.pump.recent
            await until(lambda: "connected" in recent)
            assert not talks(runtime.instance)
            pid = runtime.instance.group.pids()[-1] if runtime.instance.group else 0
            assert "0100007F:1B5A 01" in connections(pid)

    run(body())
