from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from steadyd.model import Asked
from steadyd.runner import instance as module
from steadyd.runner.engine import Engine
from steadyd.runner.instance import CUT_SECONDS_MAX, Instance
from tests.runner.conftest import HELLO, Visitor, alive, run, stage, until

STUBBORN = 'process.on("SIGTERM", () => console.log("not yet"));\n' + HELLO
WORKS = "const kept = new Uint8Array(64 << 20).fill(1); let n = 0; while (n < 2e8) n++;\n" + HELLO


class Connection:
    """What the data plane pools."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


@asynccontextmanager
async def started(root: Path, bun: Engine, code: str = HELLO, sandboxed: bool = False) -> AsyncIterator[Instance]:
    async with stage(root, bun, sandboxed) as ground:
        instance = await ground.starter.start(ground.plan(code), 10.0)
        try:
            yield instance
        finally:
            await instance.stop(0.0)


def test_claims_are_counted_and_given_back(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with started(root, bun) as instance:
            first, second = Visitor(), Visitor()
            instance.claim(first)
            instance.claim(second)
            assert (first.upstream, instance.claims, instance.requests, instance.proven) == (instance, 2, 2, False)
            before = instance.last_used
            first.leave()
            assert (instance.claims, instance.requests, instance.proven) == (1, 2, True)
            assert instance.last_used > before
            second.leave()

    run(body())


def test_what_broke_off_just_before_the_end_was_in_flight_and_proves_nothing(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data plane sees a dying instance's sockets close before anybody knows that it is dead."""

    async def body() -> None:
        async with started(root, bun) as instance:
            broken, held = Visitor(), Visitor()
            for visitor in (broken, held):
                instance.claim(visitor)
            broken.path, held.path = "/broken" + 400 * "x", "/held"
            instance.broke_off(broken)
            broken.leave()
            assert (instance.claims, instance.in_flight, instance.proven) == (1, 2, False)
            first, second = instance.asked()
            assert (first.path, second) == (broken.path[: module.PATH_CHARACTERS_MAX], Asked("GET", "/held"))
            held.leave()
            assert (instance.in_flight, instance.proven) == (1, True)
            monkeypatch.setattr(module, "LAST_SECONDS", 0.0)
            assert (instance.in_flight, instance.asked()) == (0, ()), "an app may close a connection and live on"

    run(body())


def test_only_so_many_that_broke_off_are_remembered(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with started(root, bun) as instance:
            for number in range(module.BROKEN_MAX + 1):
                visitor = Visitor()
                visitor.path = f"/{number}"
                instance.broke_off(visitor)
            instance.claim(holds := Visitor())
            assert instance.in_flight == module.BROKEN_MAX + 1
            named = [asked.path for asked in instance.asked()]
            last = range(module.BROKEN_MAX + 1 - module.REQUESTS_TOLD_MAX, module.BROKEN_MAX + 1)
            assert named == [f"/{number}" for number in last]
            holds.leave()

    run(body())


def test_draining_an_idle_instance_takes_no_time_and_closes_its_pool(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with started(root, bun) as instance:
            instance.pool.append(pooled := Connection())
            began = time.monotonic()
            assert await instance.drain(5.0) == 0
            assert time.monotonic() - began < 1
            assert (instance.retired, pooled.closed, instance.pool) == (True, 1, [])

    run(body())


def test_draining_ends_what_is_long_waits_and_cuts_the_rest(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with started(root, bun) as instance:
            leaves, stays = Visitor(), Visitor()
            for visitor in (leaves, stays):
                instance.claim(visitor)
            draining = asyncio.create_task(instance.drain(0.2))
            await until(lambda: leaves.wound_down and stays.wound_down, "the wind-down")
            leaves.leave()
            assert await draining == 1
            assert (leaves.was_cut, stays.was_cut, instance.claims) == (False, True, 0)

    run(body())


def test_a_claim_that_is_never_given_back_is_waited_for_a_limited_time(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with started(root, bun) as instance:
            visitor = Visitor()
            visitor.leaves_when_cut = False
            instance.claim(visitor)
            began = time.monotonic()
            assert await instance.drain(0.0) == 1
            assert CUT_SECONDS_MAX <= time.monotonic() - began < CUT_SECONDS_MAX + 2
            visitor.leave()

    run(body())


@pytest.mark.parametrize("sandboxed", [pytest.param(True, marks=pytest.mark.sandbox), False])
def test_a_stubborn_one_is_killed_after_the_grace_and_its_last_words_are_kept(
    root: Path, bun: Engine, sandboxed: bool
) -> None:
    """SIGTERM reaches the app, also through bubblewrap, which passes no signal on."""

    async def body() -> None:
        async with started(root, bun, STUBBORN, sandboxed) as instance:
            folder = Path(instance.address).parent
            gone: list[str] = []
            forget = instance.on_gone

            def on_gone() -> None:
                gone.append("gone")
                forget()

            instance.on_gone = on_gone
            began = time.monotonic()
            ended = await instance.stop(0.3)
            assert (ended.signal, ended.code) == ("SIGKILL", None)
            assert 0.3 <= time.monotonic() - began < 3
            assert list(instance.pump.recent)[-1] == "not yet"
            await instance.stop(0.3)
            assert gone == ["gone"], "once"
            assert not folder.exists()
            assert alive(str(root)) == []

    run(body())


@pytest.mark.parametrize("sandboxed", [pytest.param(True, marks=pytest.mark.sandbox), False])
def test_a_polite_one_ends_at_once(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with started(root, bun, HELLO, sandboxed) as instance:
            began = time.monotonic()
            await instance.stop(5.0)
            assert time.monotonic() - began < 2

    run(body())


@pytest.mark.parametrize("sandboxed", [pytest.param(True, marks=pytest.mark.sandbox), False])
def test_what_it_consumes_is_what_its_processes_do(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with started(root, bun, WORKS, sandboxed) as instance:
            memory, cpu = instance.consumption()
            assert 64 << 20 < memory < 512 << 20
            assert 0.01 < cpu < 20
            await instance.stop(0.0)
            assert instance.consumption() == (0, 0.0)

    run(body())


def test_who_finds_it_unreachable_says_so(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with started(root, bun) as instance:
            told: list[str] = []
            instance.on_unreachable = lambda: told.append("told")
            instance.unreachable()
            assert told == ["told"]

    run(body())
