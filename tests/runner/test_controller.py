"""Hold, drain, swap, release: nothing about a running app is changed in another way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import App, AppState, Choices, Network, Version
from steadyd.records.apps import choosing, suspending
from steadyd.runner.controller import RESUME, SUSPEND
from steadyd.runner.engine import Engine
from steadyd.runner.start import Plan
from tests.runner.conftest import HELLO, World, ask, run, world

WISH = choosing("", lambda before: before)
SAYS = "export default { fetch: () => new Response(process.env.WORD ?? 'none') };\n"
PICKY = "if (process.env.WORD === 'bad') throw new Error('a bad word');\n" + SAYS


def saying(here: World, word: str) -> Callable[[App, Version], Awaitable[Plan]]:
    """A plan with one more variable."""

    async def plan(app: App, version: Version) -> Plan:
        made = await here.fleet.ground.plan(app, version)
        return replace(made, environ={**made.environ, "WORD": word})

    return plan


def test_a_change_takes_a_fresh_instance_and_loses_no_request(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(SAYS)
            by, app, stopped, answers = await here.operator(), await here.app(), asyncio.Event(), []

            async def visit() -> None:
                while not stopped.is_set():
                    answers.append(await here.ask())

            visitors = [asyncio.create_task(visit()) for _ in range(8)]
            for word in ("one", "two", "three"):
                await here.controller.change(by, app, "env", saying(here, word), WISH)
                assert await here.ask() == word
            stopped.set()
            await asyncio.gather(*visitors)
            assert set(answers) <= {"none", "one", "two", "three"}
            kinds = [(found.kind, found.outcome) for found in await here.journal.operations(app.id)]
            assert kinds == [("env", "done")] * 3 + [("create", "done")]

    run(body())


def test_a_change_that_does_not_start_changes_nothing(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(PICKY)
            by, app = await here.operator(), await here.app()
            write = choosing(app.id, lambda _: Choices(cpus=0.3))
            for awake in (True, False):
                if not awake:
                    await here.controller.stop(by, app, hold=False)
                with pytest.raises(SteadyError) as caught:
                    await here.controller.change(by, app, "env", saying(here, "bad"), write)
                assert (caught.value.code, caught.value.details["step"]) == ("deploy_failed", "switch")
                assert "a bad word" in caught.value.message
                assert await here.ask() == "none"
                assert (await here.app()).chosen == Choices()

    run(body())


def test_a_suspended_app_is_changed_by_nobody_and_stays_so_after_a_restart(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(SAYS)
            by, app = await here.operator(), await here.app()
            await here.controller.stop(by, app, hold=True)
            suspended = await here.controller.suspension(by, app, SUSPEND, suspending(app.id, "Spam."))
            assert (suspended.suspended, here.fleet.state(suspended)) == ("Spam.", AppState.SUSPENDED)
            for work in (
                here.controller.start(by, app),
                here.controller.restart(by, app),
                here.controller.stop(by, app, True),
                here.controller.record(by, app, "rename"),
                here.deploy(HELLO),
            ):
                with pytest.raises(SteadyError, match="is suspended: Spam") as caught:
                    await work
                assert caught.value.code == "suspended"
            assert ("suspend", "Suspended by the operator: Spam.") in [(e.kind, e.message) for _, e in here.heard]
        async with world(root, bun, sandboxed=False) as here:
            app = await here.app()
            assert here.fleet.state(app) is AppState.SUSPENDED
            with pytest.raises(SteadyError, match="is suspended"):
                await ask(here.routes["hello.localhost"])
            resumed = await here.controller.suspension(by, app, RESUME, suspending(app.id, None))
            assert (here.fleet.state(resumed), resumed.version) == (AppState.HELD, 1)
            await here.controller.start(by, app)
            assert await here.ask() == "none"
            kinds = [found.kind for found in await here.journal.operations(app.id) if found.outcome == "done"]
            assert kinds == ["start", "resume", "suspend", "stop", "create"]

    run(body())


def test_a_held_app_is_changed_without_being_started(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(SAYS)
            by, app = await here.operator(), await here.app()
            await here.controller.stop(by, app, hold=True)
            await here.controller.change(by, app, "env", saying(here, "later"), WISH)
            assert here.fleet.state(app) is AppState.HELD
            await here.controller.start(by, app)
            assert await here.ask() == "later"

    run(body())


def test_a_held_app_that_was_not_started_yet_is_prepared_when_it_is(root: Path, bun: Engine) -> None:
    """After a start of the daemon its folder is linked, and a new Bun tried, before it runs."""

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(SAYS)
            await here.controller.stop(await here.operator(), await here.app(), hold=True)
        async with world(root, bun, sandboxed=False) as here:
            by, app = await here.operator(), await here.app()
            await here.controller.change(by, app, "env", saying(here, "later"), WISH)
            runtime = here.fleet.runtime(app.id)
            assert runtime is not None
            assert runtime.plan is None
            await here.controller.start(by, app)
            assert await here.ask() == "none", "what the records say: the plan was this test's own"

    run(body())


def test_a_held_app_that_does_not_start_is_held_again(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create('if (await Bun.file("broken").exists()) throw new Error("it is broken");\n' + HELLO)
            by, app = await here.operator(), await here.app()
            await here.controller.stop(by, app, hold=True)
            (here.fleet.ground.place(app).app / "broken").touch()
            for work in (here.controller.start, here.controller.restart):
                with pytest.raises(SteadyError, match="it is broken"):
                    await work(by, app)
                assert here.fleet.state(app) is AppState.HELD
                assert (await here.app()).held

    run(body())


def test_a_fact_is_recorded_without_another_instance(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            by, app, first = await here.operator(), await here.app(), here.routes["hello.localhost"].instance
            changed = await here.controller.record(by, app, "note", choosing(app.id, lambda _: Choices(cpus=0.3)))
            assert changed.chosen == Choices(cpus=0.3)
            assert here.routes["hello.localhost"].instance is first

    run(body())


def test_a_wish_that_is_refused_changes_nothing(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            by, app = await here.operator(), await here.app()

            def refuse(before: Choices) -> Choices:
                raise SteadyError("invalid", "Not that.")

            with pytest.raises(SteadyError, match="Not that"):
                await here.controller.settle(by, app, refuse)
            await here.controller.settle(by, app, lambda before: replace(before, network=Network.NONE))
            outcomes = [found.outcome for found in await here.journal.operations(app.id)]
            assert outcomes == ["done", "failed", "done"]
            assert (await here.app()).settings.network is Network.NONE

    run(body())
