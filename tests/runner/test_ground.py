from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import Choices, Kind, Limits
from steadyd.runner.engine import Engine
from steadyd.runner.ground import UID_FIRST
from tests.runner.conftest import AS_ROOT, HELLO, run, world


def test_a_place_is_named_by_the_permanent_id_and_has_a_uid_of_its_own(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            first, second = (await here.create(HELLO)).app, (await here.create(HELLO, name="other")).app
            places = [here.fleet.ground.place(app) for app in (first, second)]
            assert [place.root.name for place in places] == [first.id, second.id]
            uids = [UID_FIRST + app.number for app in (first, second)] if AS_ROOT else [None, None]
            assert [place.uid for place in places] == uids
            assert "hello" not in str(places[0].root)

    run(body())


def test_a_plan_is_one_version_in_one_place(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            ground = here.fleet.ground
            made = await here.create(HELLO)
            plan = await ground.plan(made.app, made.version)
            assert (plan.app_id, plan.version, plan.entry, plan.folder) == (
                made.app.id, 1, "index.ts", ground.place(made.app).app,
            )  # fmt: skip
            assert plan.environ["STEADY_ENV"] == "production"
            elsewhere = replace(ground.place(made.app), root=root / "elsewhere")
            trial = await ground.plan(made.app, replace(made.version, modules="key"), elsewhere, environment="trial")
            assert (trial.folder, trial.environ["STEADY_ENV"]) == (root / "elsewhere" / "app", "trial")
            assert trial.modules == ground.place(made.app).root / "modules" / "key" / "node_modules"

    run(body())


def test_a_candidate_is_held_to_its_own_limits_and_not_to_those_of_what_is_live(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            made = await here.create(HELLO)
            asks = replace(made.version, shipped=Choices(memory_bytes=512 << 20, cpus=0.5))
            assert (await here.fleet.ground.plan(made.app, asks)).limits == Limits(512 << 20, 0.5)
            chosen = replace(made.app, chosen=Choices(cpus=0.7))
            assert (await here.fleet.ground.plan(chosen, asks)).limits == Limits(512 << 20, 0.7)
            guests = replace(made.app, owner_kind=Kind.GUEST)
            assert (await here.fleet.ground.plan(guests, asks)).limits == Limits(128 << 20, 0.5, disk_bytes=100 << 20)

    run(body())


def test_where_there_is_no_sandbox_only_the_operator_s_apps_run(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            operator, guest = await here.operator(), await here.people.add_guest(1.0)
            alone = replace(here.fleet.ground, only_owner=operator.id)
            alone.check_may_run((await here.create(HELLO)).app)
            app = await here.apps.create("theirs", guest, True, 1.0)
            here.fleet.ground.check_may_run(app)
            with pytest.raises(SteadyError, match="steadyd doctor") as caught:
                alone.check_may_run(app)
            assert caught.value.code == "forbidden"
            await here.apps.remove(app.id, 1.0)

    run(body())


def test_a_live_version_that_is_missing_is_a_mistake_of_ours(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            with pytest.raises(SteadyError) as caught:
                await here.fleet.ground.prepare("nobody")
            assert caught.value.code == "internal"

    run(body())
