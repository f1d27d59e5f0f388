from __future__ import annotations

import time
from pathlib import Path

from steadyd.model import Asked, Reached
from steadyd.runner.app import Timing
from steadyd.runner.death import death_of
from steadyd.runner.engine import Engine
from steadyd.runner.evidence import Evidence
from steadyd.runner.failure import Failure
from steadyd.runner.process import Exit
from tests.runner.conftest import BOTH, HELLO, ask, run, stage


def test_the_card_says_how_it_ended_and_what_was_lost() -> None:
    failed = Failure("signal", "it ended with signal SIGKILL.", 1.23456, Exit(None, "SIGKILL"), None, ["last", "words"])
    reached = Reached(memory_peak_bytes=5, memory_limit_bytes=6, throttled_periods=7)
    asked = tuple(Asked("GET", f"/{number}") for number in range(20))
    failed.evidence = Evidence(reached=reached, in_flight=21, asked=asked)
    card = death_of(failed, 7, "hello")
    assert abs(card.at - time.time()) < 60
    assert (card.cause, card.exit_code, card.signal) == ("signal", None, "SIGKILL")
    assert (card.version, card.in_flight, card.uptime_seconds) == (7, 21, 1.235)
    assert (card.memory_peak_bytes, card.memory_limit_bytes, card.reached) == (5, 6, reached)
    assert card.log_tail == ("last", "words")
    assert card.message.startswith("Version 7 died: it ended with signal SIGKILL.")
    assert card.requests == asked


def test_a_start_that_ran_out_of_time_has_no_exit() -> None:
    card = death_of(Failure("start_timeout", "it did not listen within 30 s.", 30.0), 1, "hello")
    assert (card.cause, card.exit_code, card.signal) == ("start_timeout", None, None)


@BOTH
def test_an_app_that_does_not_end_when_asked_gets_a_card_for_that(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed) as ground:
            stubborn = 'process.on("SIGTERM", () => console.log("not yet"));\n' + HELLO
            runtime = ground.runtime(ground.plan(stubborn), Timing(grace_seconds=0.2))
            await ask(runtime)
            await runtime.sleep()
            [death] = ground.deaths
            assert (death.cause, death.signal, death.log_tail[-1]) == ("stop_timeout", "SIGKILL", "not yet")
            gentle = ground.runtime(ground.plan(HELLO))
            await ask(gentle)
            await gentle.sleep()
            assert len(ground.deaths) == 1

    run(body())
