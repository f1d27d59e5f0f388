"""The rooms that change apps share one set of operations."""

from __future__ import annotations

import asyncio
from pathlib import Path

from steadyd.runner.engine import Engine
from tests.runner.conftest import HELLO, run, until, world


def test_closing_waits_for_every_room_s_work(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            by, app = await here.operator(), await here.app()
            runtime = here.fleet.runtime(app.id)
            assert runtime is not None
            working = asyncio.create_task(here.controller.restart(by, app))
            await until(runtime.operation.locked, "the restart")
            working.cancel()
            await here.workshop.close()
            assert await here.journal.unfinished() == []
            assert (await here.journal.operations(app.id))[0].outcome == "done"

    run(body())
