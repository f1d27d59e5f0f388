"""What is suspended: nothing wakes it, whoever asks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import AppState
from steadyd.runner.engine import Engine
from tests.runner.conftest import HELLO, Visitor, ask, run, stage
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
