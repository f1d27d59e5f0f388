"""A folder for a draft, and what is started in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from steadyd.model import Choices, Network
from steadyd.records.apps import choosing
from steadyd.runner.engine import Engine
from steadyd.runner.previews import Wish
from tests.runner.conftest import WRITES, run, world


def test_it_holds_a_copy_and_tells_whether_the_original_has_changed(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            live = (await here.create(WRITES)).version
            app, lodging = await here.app(), here.workshop.previews._lodging
            data = await lodging.make(app, replace(live, number=0))
            assert (data.staged.scratch.app / "files" / "a.txt").read_text() == "written"
            assert not await lodging.differs(app, data)
            await here.ask(method="POST")
            assert await lodging.differs(app, data)
            await here.trials.throw(data.staged)

    run(body())


def test_what_is_started_is_the_app_but_for_its_context_and_crons(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(WRITES)
            app = await here.app()
            await here.apps.write(choosing(app.id, lambda _: Choices(network=Network.NONE)))
            app = await here.app()
            shown = await here.workshop.previews.start(app, Wish({}, merge=True))
            (plan,) = [plan for plan in here.fleet.ground.starter.running.values() if plan.version == 0]
            assert (plan.environ["STEADY_ENV"], plan.calls, plan.bundle) == ("preview", False, None)
            assert (plan.reach.network, plan.limits) == (Network.NONE, app.limits)
            assert plan.sink is shown.scroll
            assert plan.folder != here.fleet.ground.place(app).app

    run(body())
