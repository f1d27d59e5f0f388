"""Hold, drain, swap, release: nothing about a running app is changed in another way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import App, AppState, Choices, Network, Version
from steadyd.moment import Mark, PointKind, Stand
from steadyd.records.apps import choosing, suspending
from steadyd.runner.controller import RESUME, SUSPEND
from steadyd.runner.engine import Engine
from steadyd.runner.folder import Place
from steadyd.runner.keeper import NoKeeper
from steadyd.runner.start import Plan
from steadyd.store import Write
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


class Watcher(NoKeeper):
    """A keeper that remembers what it was told."""

    def __init__(self) -> None:
        self.turns: list[AppState] = []
        self.idles = self.approached = 0

    def turned(self, app_id: str, state: AppState) -> None:
        self.turns.append(state)

    async def forget(self, app_id: str) -> None:
        pass

    def pointed(self) -> None:
        pass

    def asked(self, app_id: str) -> None:
        self.idles += 1

    async def approach(self, app: App) -> None:
        assert self.turns[-1] is AppState.RUNNING, "nobody answers any more"
        self.approached += 1

    async def mark(self, app: App) -> Mark | None:
        assert self.turns[-1] is AppState.STOPPED, "something still runs"
        return Mark(5.0, (Stand("data.sqlite", 1, len(self.turns)),))


class Replacement:
    """Other data: a file that the app reads."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.scratch = Place(file.parent, None)
        self.writes: tuple[Write, ...] = (lambda _: self.told.append("committed"),)
        self.told: list[str] = []

    async def put_in(self) -> None:
        self.file.write_text("other")

    async def put_back(self) -> None:
        self.file.unlink()

    async def done(self) -> None:
        self.told.append("done")


READS = "export default { fetch: async () => new Response(await Bun.file('word').text().catch(() => 'none')) };\n"


def test_who_keeps_data_hears_of_every_turn_and_a_deploy_leaves_a_restore_point(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            here.fleet.keeper = watcher = Watcher()
            await here.create(SAYS)
            app = await here.app()
            points = here.fleet.ground.library.points
            assert await points.of(app.id) == []  # there was nothing before
            assert await here.ask() == "none"
            assert watcher.idles >= 1
            await here.deploy(SAYS + "// more\n")
            [point] = await points.of(app.id)
            assert watcher.approached == 1
            assert (point.kind, point.version, point.by) == (PointKind.DEPLOY, 1, (await here.operator()).name)
            assert point.mark.databases[0].path == "data.sqlite"
            [deployed, _] = await here.journal.operations(app.id)
            assert point.operation == deployed.id
            await here.controller.stop(await here.operator(), app, hold=False)
            assert watcher.turns[-1] is AppState.STOPPED
            assert AppState.RUNNING in watcher.turns

    run(body())


def test_a_swap_brings_other_data_and_takes_it_back_where_it_does_not_start(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(READS)
            app, by = await here.app(), await here.operator()
            data = Replacement(here.fleet.ground.place(app).app / "word")
            async with here.controller.turn(by, app, "restore") as turn:
                plan = await here.fleet.ground.plan(turn.app, turn.version)
                await here.controller.swap(turn, turn.version, plan, data=data)
            assert await here.ask() == "other"
            assert data.told == ["committed", "done"]
            data.file.unlink()

            async def break_it() -> None:
                async with here.controller.turn(by, app, "restore") as turn:
                    broken = replace(await here.fleet.ground.plan(turn.app, turn.version), entry="gone.ts")
                    await here.controller.swap(turn, turn.version, broken, data=data)

            with pytest.raises(Exception, match="exit"):
                await break_it()
            assert not data.file.exists()
            assert data.told == ["committed", "done"]
            assert await here.ask() == "none"

    run(body())
