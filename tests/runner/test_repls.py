"""All REPLs of a host: who has one, what it may take, and when it must end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import repls as repls_room
from steadyd.runner.engine import Engine
from steadyd.runner.household import watched
from steadyd.runner.process import spawn
from steadyd.runner.quota import Quota
from steadyd.runner.repls import Repls
from tests.runner.conftest import AS_ROOT, BOTH, HELLO, limits, needs_cgroups, run, until, world
from tests.runner.test_repl import ask, last, left, opened


@BOTH
def test_it_ends_at_the_hold_and_with_the_app(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            repls = Repls(here.fleet)
            session = await opened(here, repls)
            await here.deploy(HELLO.replace("hello", "two"))
            assert "swapped" in await last(session)
            with pytest.raises(SteadyError) as caught:
                await session.evaluate("1")
            assert caught.value.code == "conflict"
            with pytest.raises(SteadyError) as caught:
                repls.find(await here.app(), "somebody", session.id)
            assert caught.value.code == "not_found"
            session = await opened(here, repls)
            assert session.plan.version == 2
            await here.routes["hello.localhost"].sleep()
            assert (await ask(session, "1"))[1] == "value"
            await here.routes["hello.localhost"].close()
            assert "deleted" in await last(session)
            await until(lambda: left(root) == [])

    run(body())


@BOTH
def test_one_of_each_person(root: Path, bun: Engine, sandboxed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repls_room, "REPLS_MAX", 2)

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            repls = Repls(here.fleet)
            first, other = await opened(here, repls, "a"), await opened(here, repls, "b")
            second = await opened(here, repls, "a")
            assert "another" in await last(first)
            assert repls.find(await here.app(), "a", second.id) is second
            with pytest.raises(SteadyError) as caught:
                repls.find(await here.app(), "b", second.id)
            assert caught.value.code == "not_found"
            with pytest.raises(SteadyError) as caught:
                await opened(here, repls, "c")
            assert caught.value.code == "overloaded"
            await other.end("")
            await opened(here, repls, "c")

    run(body())


@BOTH
def test_nobody_waits_for_ever_to_open_one(
    root: Path, bun: Engine, sandboxed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repls_room, "START_SECONDS_MAX", 0.2)

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            async with here.routes["hello.localhost"].operation:
                with pytest.raises(SteadyError) as caught:
                    await opened(here, Repls(here.fleet))
            assert caught.value.code == "conflict"

    run(body())


@BOTH
def test_an_app_that_does_not_start_can_be_looked_into(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create("import { existsSync } from 'node:fs'; if (existsSync('bad')) throw 1;" + HELLO)
            (here.fleet.ground.place(await here.app()).app / "bad").touch()
            await here.routes["hello.localhost"].sleep()
        async with world(root, bun, sandboxed) as here:
            session = await opened(here, Repls(here.fleet))
            assert (await ask(session, "require('node:fs').existsSync('bad')"))[2] == "true"

    run(body())


@needs_cgroups
@pytest.mark.sandbox
def test_it_has_the_app_s_limits(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with limits() as more, world(root, bun, **more) as here:
            await here.create(HELLO)
            session = await opened(here, Repls(here.fleet, more["spawn"]))
            await session.evaluate("const kept = []; for (;;) kept.push(new Uint8Array(8 << 20).fill(1));")
            reason = await asyncio.wait_for(last(session), 20)
            assert "memory" in reason or "SIGKILL" in reason
            await until(lambda: left(root) == [])

    run(body())


@BOTH
@pytest.mark.skipif(not AS_ROOT, reason="whose files are whose is told by uid")
def test_who_writes_too_much_there_is_ended(root: Path, bun: Engine, sandboxed: bool) -> None:
    """Its app sleeps, so nobody else watches the folder."""

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            await here.routes["hello.localhost"].sleep()
            repls = Repls(here.fleet)
            session = await opened(here, repls)
            session.plan = replace(session.plan, limits=replace(session.plan.limits, disk_bytes=64 << 20))
            quota = Quota(root, spawn, lambda: repls.watched(watched(here.fleet)))
            watching = asyncio.create_task(quota.run())
            try:
                await session.evaluate(
                    "const { appendFileSync } = require('node:fs'); const mib = new Uint8Array(16 << 20).fill(1);"
                    "for (let n = 0; n < 20; n++) appendFileSync(`f${n % 4}`, mib); await new Promise(() => {});"
                )
                reason = await last(session)
                assert reason.startswith("It was ended: it"), reason
                assert "64 MiB" in reason
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

    run(body())


@BOTH
def test_with_its_instance_it_is_watched_as_one(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            repls = Repls(here.fleet)
            alone = watched(here.fleet)
            session = await opened(here, repls)
            both = repls.watched(watched(here.fleet))
            assert [each.folders for each in both] == [each.folders for each in alone]
            assert len(both[0].pids()) > len(alone[0].pids())
            both[0].stop("too much")
            assert "too much" in await last(session)
            assert repls.watched([]) == []

    run(body())
