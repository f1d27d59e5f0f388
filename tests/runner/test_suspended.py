"""What is suspended: nothing wakes it, whoever asks."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import AppState
from steadyd.records.apps import suspending
from steadyd.runner.app import Timing
from steadyd.runner.controller import SUSPEND
from steadyd.runner.engine import Engine
from steadyd.runner.operation import Operation
from tests.runner.conftest import HELLO, Visitor, ask, run, stage, world
from tests.runner.test_app import refusal, state, state_is


def test_what_is_suspended_refuses_everybody_until_it_is_resumed(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            runtime = ground.runtime(ground.plan(HELLO))
            slow, late, later = Visitor(), Visitor(), Visitor()
            await slow.arrive(runtime)
            suspending = asyncio.create_task(runtime.sleep(suspended=True))
            await state_is(runtime, AppState.STOPPING)
            runtime.claim(late)
            await suspending
            runtime.claim(later)
            assert (runtime.state, refusal(late), refusal(later)) == (AppState.SUSPENDED, "suspended", "suspended")
            with pytest.raises(SteadyError, match="suspended"):
                await runtime.wake()
            await runtime.sleep(hold=True)
            assert state(runtime) == "suspended"
            await runtime.sleep(hold=True, suspended=False)
            assert state(runtime) == "held"
            await runtime.sleep(suspended=True)
            await runtime.sleep(suspended=False)
            assert ground.starts == 1
            assert await ask(runtime) == (200, "hello")

    run(body())


def test_a_suspension_does_not_wait_for_a_deploy(root: Path, bun: Engine) -> None:
    """One whose candidate hangs would take until the start's deadline."""

    async def body() -> None:
        async with world(root, bun, sandboxed=False, timing=Timing(start_seconds=15.0)) as here:
            await here.create(HELLO)
            by, app = await here.operator(), await here.app()
            deploying = asyncio.create_task(here.deploy("await new Promise(() => setTimeout(() => {}, 1e6));"))
            operations: list[Operation] = []
            while not (operations and operations[0].steps):  # it is on its trial, or soon
                await asyncio.sleep(0.01)
                operations = list(here.controller.operations._open.values())
            began = time.monotonic()
            await here.controller.suspension(by, app, SUSPEND, suspending(app.id, "Spam."))
            assert time.monotonic() - began < 5.0
            with pytest.raises(SteadyError) as caught:
                await deploying
            assert caught.value.code in ("cancelled", "suspended")
            assert here.fleet.state(await here.app()) is AppState.SUSPENDED

    run(body())
