from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import AppState, Asked, Settings
from steadyd.runner import lifecycle
from steadyd.runner.app import AppRuntime, Timing
from steadyd.runner.engine import Engine
from steadyd.runner.failure import Failure
from steadyd.runner.lifecycle import STARTS_MAX
from tests.runner.conftest import BOTH, HELLO, Visitor, ask, exchange, run, stage, until

DIES = 'console.log("about to die"); process.exit(3);\n'
NEVER = "await new Promise(() => setInterval(() => {}, 1000));\n"
NUMBERED = "export default { fetch: () => new Response(String(process.pid)) };\n"
DIES_TWICE = """
import { appendFileSync, readFileSync } from "node:fs";
appendFileSync("starts", "x");
if (readFileSync("starts").length < 3) process.exit(1);
export default { fetch: () => new Response("third") };
"""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoffs that a test can wait for."""
    monkeypatch.setattr(lifecycle, "BACKOFF_SECONDS_FIRST", 0.001)


def refusal(visitor: Visitor) -> str:
    return visitor.error.code if visitor.error else ""


def state(runtime: AppRuntime) -> str:
    """A function, so that no type checker believes it to stay as it was."""
    return str(runtime.state)


async def state_is(runtime: AppRuntime, state: AppState) -> None:
    await until(lambda: runtime.state is state, f"{state}, not {runtime.state}")


def kill(runtime: AppRuntime) -> None:
    """End Bun itself, which in a sandbox is the last of its descendants."""
    assert runtime.instance is not None
    pid, children = 0, [runtime.instance.process.pid]
    while children:
        pid = children[-1]
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    os.kill(pid, signal.SIGKILL)


@BOTH
def test_a_thousand_requests_to_a_sleeping_app_are_one_start(root: Path, bun: Engine, sandboxed: bool) -> None:
    """Promise 1: they wait at the gate and are all answered."""

    async def body() -> None:
        async with stage(root, bun, sandboxed) as ground:
            runtime = ground.runtime(ground.plan(HELLO))
            visitors = [Visitor() for _ in range(1_000)]
            upstreams = await asyncio.gather(*(visitor.arrive(runtime) for visitor in visitors))
            assert len(set(map(id, upstreams))) == 1
            answers = await asyncio.gather(*(exchange(upstream.address) for upstream in upstreams[::20]))
            assert set(answers) == {(200, "hello")}
            assert runtime.instance is not None
            assert runtime.instance.claims == 1_000
            for visitor in visitors:
                visitor.leave()
            assert (runtime.instance.claims, runtime.requests, ground.starts) == (0, 1_000, 1)

    run(body())


@pytest.mark.usefixtures("hasty")
def test_an_app_that_never_comes_up_is_tried_so_many_times_and_then_failed(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(DIES))
            visitor = Visitor()
            runtime.claim(visitor)
            await visitor.settled.wait()
            assert (runtime.state, refusal(visitor)) == (AppState.FAILED, "app_failed")
            assert [death.exit_code for death in ground.deaths] == [3] * STARTS_MAX
            assert ground.deaths[0].log_tail == ("about to die",)
            assert [kind for kind, _ in ground.events if kind == "failed"] == ["failed"]

            runtime.claim(again := Visitor())
            assert refusal(again) == "app_failed", "at once: nobody waits for what does not come"
            assert again.error is not None
            assert again.error.details == {}, "the reason is its owner's business"

    run(body())


@pytest.mark.usefixtures("hasty")
def test_its_owner_is_told_why_and_can_try_again(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            plan = ground.plan(DIES)
            runtime = ground.runtime(plan)
            runtime.claim(Visitor())
            await state_is(runtime, AppState.FAILED)
            with pytest.raises(SteadyError) as caught:
                await runtime.wake()
            assert caught.value.code == "app_failed"
            assert caught.value.details["logs"] == ["about to die"]
            assert "exit code 3" in caught.value.details["reason"]
            (plan.folder / "index.ts").write_text(HELLO)
            await runtime.wake()
            assert await ask(runtime) == (200, "hello")

    run(body())


@pytest.mark.usefixtures("hasty")
def test_requests_wait_out_a_backoff(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(DIES_TWICE))
            assert await ask(runtime) == (200, "third")
            assert len(ground.deaths) == 2

    run(body())


def test_stopping_an_app_in_its_backoff_loses_nobody_who_waits(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "BACKOFF_SECONDS_FIRST", 60.0)

    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            plan = ground.plan(DIES)
            runtime = ground.runtime(plan)
            waiting = asyncio.create_task(ask(runtime))
            await state_is(runtime, AppState.BACKOFF)
            (plan.folder / "index.ts").write_text(HELLO)
            await runtime.sleep()
            assert await waiting == (200, "hello")
            await runtime.sleep(hold=True)
            assert state(runtime) == "held"

    run(body())


@BOTH
def test_a_death_is_told_and_followed_by_another_start(root: Path, bun: Engine, sandboxed: bool) -> None:
    """Promise 3. It had answered, so the next start follows at once."""

    async def body() -> None:
        async with stage(root, bun, sandboxed) as ground:
            runtime = ground.runtime(ground.plan(HELLO))
            await ask(runtime)
            visitor = Visitor()
            await visitor.arrive(runtime)
            kill(runtime)
            await until(lambda: ground.deaths, "the death card")
            visitor.leave()
            assert await ask(runtime) == (200, "hello")
            [death] = ground.deaths
            assert (death.cause, death.signal, death.exit_code, death.in_flight) == ("signal", "SIGKILL", None, 1)
            assert death.requests == (Asked("GET", "/"),)
            assert ground.starts == 2

    run(body())


def test_who_comes_between_a_death_and_the_next_start_waits(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(NUMBERED))
            before = await ask(runtime)
            kill(runtime)
            await until(lambda: runtime.instance is None or runtime.instance.process.ended.done(), "the end")
            after = await asyncio.gather(*(ask(runtime) for _ in range(50)))
            assert len({before, *after}) == 2

    run(body())


def test_one_that_lives_but_cannot_be_reached_is_replaced(root: Path, bun: Engine) -> None:
    """The data plane tells that its connection was refused; whoever comes from then on is not sent there."""

    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(NUMBERED))
            before = await ask(runtime)
            assert runtime.instance is not None
            runtime.instance.unreachable()
            assert await ask(runtime) != before
            assert (ground.starts, len(ground.deaths)) == (2, 1)

    run(body())


@pytest.mark.usefixtures("hasty")
def test_a_healthy_app_that_dies_again_and_again_never_fails(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "HEALTHY_SECONDS", 0.0)

    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(HELLO))
            for number in range(STARTS_MAX + 2):
                await runtime.wake()
                kill(runtime)
                await until(lambda n=number: len(ground.deaths) == n + 1, "the death")  # type: ignore[misc]
            assert await ask(runtime) == (200, "hello")

    run(body())


def test_a_start_that_takes_too_long_is_given_up(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(NEVER), Timing(0.3, 5.0, 0.3, 0.3))
            with pytest.raises(SteadyError, match=r"did not listen within 0\.3 s"):
                await runtime.wake()
            assert ground.deaths[0].cause == "start_timeout"

    run(body())


@BOTH
def test_stopping_a_start_under_way_leaves_nothing(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed) as ground:
            runtime = ground.runtime(ground.plan(NEVER))
            runtime.claim(visitor := Visitor())
            await until(lambda: list(ground.sockets.iterdir()), "the start")
            runtime.forget(visitor)
            await runtime.sleep()
            assert state(runtime) == "stopped"

    run(body())


def test_what_cannot_even_be_tried_is_a_failure_too(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(HELLO))
            ground.sockets.rmdir()
            with pytest.raises(SteadyError) as caught:
                await runtime.wake()
            assert caught.value.code == "app_failed"
            ground.sockets.mkdir(mode=0o711)
            await runtime.wake()

    run(body())


# ------------------------------------------------------------------------------------------------------- sleep


def test_an_idle_app_sleeps_and_the_next_request_wakes_it(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(HELLO))
            await ask(runtime)
            runtime.tick(time.monotonic() + runtime.settings.idle_seconds - 1)
            assert state(runtime) == "running"
            runtime.tick(time.monotonic() + runtime.settings.idle_seconds)
            await state_is(runtime, AppState.STOPPED)
            assert runtime.instance is None
            assert await ask(runtime) == (200, "hello")
            runtime.settings = Settings(idle_seconds=0)
            runtime.tick(time.monotonic() + 1e9)
            assert state(runtime) == "running", "0 means never"

    run(body())


def test_a_claim_keeps_it_awake(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(HELLO))
            visitor = Visitor()
            await visitor.arrive(runtime)
            runtime.tick(time.monotonic() + 1e9)
            assert state(runtime) == "running"
            visitor.leave()
            runtime.tick(time.monotonic() + 1e9)
            assert state(runtime) == "stopping"

    run(body())


def test_requests_that_race_with_falling_asleep_are_all_answered(root: Path, bun: Engine) -> None:
    """Promise 1 at its edge: they come at every moment from the decision to sleep to the end of the process."""

    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(HELLO))
            await ask(runtime)
            for turns in range(10):
                runtime.tick(time.monotonic() + 1e9)
                assert state(runtime) == "stopping"
                for _ in range(turns):
                    await asyncio.sleep(0)
                assert await ask(runtime) == (200, "hello")
            assert ground.starts == 11

    run(body())


def test_stopping_returns_although_somebody_comes_meanwhile_who_is_answered(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(HELLO))
            slow = Visitor()
            await slow.arrive(runtime)
            stopping = asyncio.create_task(runtime.sleep())
            await state_is(runtime, AppState.STOPPING)
            late = asyncio.create_task(ask(runtime))
            await stopping
            assert slow.was_cut
            assert await late == (200, "hello")

    run(body())


def test_a_hold_refuses_who_waits_and_who_comes_until_it_ends(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(HELLO))
            slow, late, later = Visitor(), Visitor(), Visitor()
            await slow.arrive(runtime)
            holding = asyncio.create_task(runtime.sleep(hold=True))
            await state_is(runtime, AppState.STOPPING)
            runtime.claim(late)
            await holding
            runtime.claim(later)
            assert (runtime.state, refusal(late), refusal(later)) == (AppState.HELD, "held", "held")
            await runtime.wake()
            assert await ask(runtime) == (200, "hello")

    run(body())


# ------------------------------------------------------------------------------------------------------- swap


def test_a_swap_ends_what_is_long_waits_for_the_rest_and_answers_who_comes(root: Path, bun: Engine) -> None:
    """Promise 2: the drain deadline cuts only who stays, and nobody who waits is lost."""

    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(HELLO))
            next_plan = ground.plan('export default { fetch: () => new Response("new") };\n')
            polite, short, stubborn = Visitor(), Visitor(), Visitor()
            for visitor in (polite, short, stubborn):
                await visitor.arrive(runtime)
            old = runtime.instance
            assert old is not None
            swapping = asyncio.create_task(swap(runtime, lambda: runtime.adopt(next_plan)))
            await until(lambda: stubborn.wound_down, "the drain")
            assert old.retired
            polite.leave()
            late = asyncio.create_task(ask(runtime))
            short.leave()
            await swapping
            assert (polite.was_cut, short.was_cut, stubborn.was_cut) == (False, False, True)
            assert await late == (200, "new")
            assert old.process.ended.done()
            assert [kind for kind, _ in ground.events].count("slow_drain") == 1
            assert runtime.requests == 4

    run(body())


def test_a_swap_that_takes_too_long_refuses_who_waited_for_it(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(HELLO), Timing(10.0, 0.05, 0.3, 0.3))
            await runtime.wake()
            visitor = Visitor()

            async def wait() -> None:
                runtime.claim(visitor)
                await visitor.settled.wait()

            await swap(runtime, wait)
            assert refusal(visitor) == "gate_timeout"
            assert await ask(runtime) == (200, "hello")

    run(body())


def test_a_claim_that_is_never_given_back_does_not_stop_a_swap(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(HELLO))
            stuck = Visitor()
            stuck.leaves_when_cut = False
            await stuck.arrive(runtime)
            await swap(runtime, lambda: asyncio.sleep(0))
            assert stuck.was_cut
            assert await ask(runtime) == (200, "hello")

    run(body())


async def swap(runtime: AppRuntime, inside: Callable[[], object]) -> None:
    async with runtime.swap():
        assert runtime.instance is None
        await inside()  # type: ignore[misc]


def test_what_does_not_start_in_a_swap_leaves_the_old_one_serving(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(HELLO))
            await runtime.wake()
            broken = ground.plan(DIES)
            waiting: list[asyncio.Task[tuple[int, str]]] = []

            async def adopt() -> None:
                waiting.append(asyncio.create_task(ask(runtime)))
                await runtime.adopt(broken)

            with pytest.raises(Failure):
                await swap(runtime, adopt)
            assert await waiting[0] == (200, "hello")

    run(body())


def test_an_app_that_slept_sleeps_on_after_a_swap_and_a_held_one_is_held(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(HELLO))
            broken = ground.plan(DIES)
            await swap(runtime, lambda: asyncio.sleep(0))
            assert state(runtime) == "stopped"
            await runtime.sleep(hold=True)
            with pytest.raises(Failure):
                await swap(runtime, lambda: runtime.adopt(broken))
            assert state(runtime) == "held"

    run(body())


def test_what_was_adopted_may_be_stopped_again_inside_the_swap(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(old := ground.plan(HELLO))
            await runtime.wake()

            async def adopt_and_regret() -> None:
                await runtime.adopt(ground.plan(NUMBERED))
                late.append(asyncio.create_task(ask(runtime)))
                await asyncio.sleep(0)
                await runtime.sleep()
                assert not late[0].done()
                runtime.plan = old

            late: list[asyncio.Task[tuple[int, str]]] = []
            await swap(runtime, adopt_and_regret)
            assert await late[0] == (200, "hello")

    run(body())


# ------------------------------------------------------------------------------------------------------- the end


def test_closing_refuses_who_waits_and_who_comes_and_starts_nothing_again(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(NEVER))
            waiting, late = Visitor(), Visitor()
            runtime.claim(waiting)
            await until(lambda: list(ground.sockets.iterdir()), "the start")
            await runtime.close()
            runtime.claim(late)
            assert (refusal(waiting), refusal(late)) == ("shutting_down", "shutting_down")
            with pytest.raises(SteadyError):
                await runtime.wake()
            assert state(runtime) == "stopped"

    run(body())
