"""How apps go: at once for everybody, for good only when it is said."""

from __future__ import annotations

from pathlib import Path

from steadyd.model import AppState
from steadyd.runner.engine import Engine
from tests.runner.conftest import COUNTER, run, world


def test_what_is_deleted_and_brought_back_is_in_the_journal(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(COUNTER)
            await here.ask(method="POST")
            by, app = await here.operator(), await here.app()
            await here.removal.delete(by, app)
            assert (here.fleet.state(await here.app()), here.routes) == (AppState.DELETED, {})
            await here.removal.undelete(by, await here.app())
            assert await here.ask() == "1 1"
            kinds = [found.kind for found in await here.journal.operations(app.id)]
            assert kinds == ["undelete", "delete", "create"]

    run(body())


def test_a_purge_is_told_after_everything_is_gone(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(COUNTER)
            app = await here.app()
            await here.removal.purge(await here.operator(), app)
            assert not here.fleet.ground.place(app).root.exists()
            assert await here.apps.by_id(app.id) is None
            newest = (await here.journal.operations(app.id))[0]
            assert (newest.kind, newest.outcome, [step["name"] for step in newest.steps]) == (
                "purge", "done", ["stop", "remove"],
            )  # fmt: skip

    run(body())
