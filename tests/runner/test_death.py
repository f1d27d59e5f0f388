from __future__ import annotations

import time
from pathlib import Path

import pytest

from steadyd.model import Asked, Reached
from steadyd.runner.app import Timing
from steadyd.runner.death import death_of, killer, size
from steadyd.runner.engine import Engine
from steadyd.runner.evidence import Evidence
from steadyd.runner.process import Exit
from steadyd.runner.start import Failure
from tests.runner.conftest import BOTH, HELLO, ask, run, stage

KILLED, CRASHED, THREW, LEFT = Exit(None, "SIGKILL"), Exit(None, "SIGTRAP"), Exit(1, None), Exit(0, None)
FULL = Reached(disk_bytes=99, disk_limit_bytes=100)


def failure(ended: Exit | None, *lines: str) -> Failure:
    cause = "start_timeout" if ended is None else "exit" if ended.signal is None else "signal"
    return Failure(cause, "it did.", 1.0, ended, None, list(lines))


@pytest.mark.parametrize(
    ("failed", "evidence", "cause"),
    [
        (failure(KILLED), Evidence(), "signal"),
        (failure(THREW), Evidence(), "exit"),
        (failure(None), Evidence(), "start_timeout"),
        (failure(KILLED), Evidence(killed_for="memory"), "memory"),
        (failure(KILLED), Evidence(killed_for="disk"), "disk"),
        (failure(KILLED), Evidence(killed_for="processes"), "processes"),
        (failure(KILLED), Evidence(killed_for="stop_timeout", memory_kills=1), "stop_timeout"),
        (failure(KILLED), Evidence(memory_kills=1), "memory"),
        (failure(THREW), Evidence(memory_kills=1), "memory"),  # a program that it had started was killed
        (failure(LEFT), Evidence(memory_kills=1), "exit"),  # it lived on, and left by itself
        (failure(KILLED), Evidence(reached=Reached(memory_refusals=9)), "signal"),
        (failure(THREW, "error: EAGAIN: fork"), Evidence(reached=Reached(process_refusals=2)), "processes"),
        (failure(THREW, "TypeError: nope"), Evidence(reached=Reached(process_refusals=2)), "exit"),
        (failure(THREW, "error: EAGAIN: fork"), Evidence(), "exit"),
        (failure(THREW, "SQLiteError: database or disk is full"), Evidence(reached=FULL), "disk"),
        (failure(THREW, "SQLiteError: database or disk is full"), Evidence(), "exit"),
        (failure(THREW, "TypeError: nope"), Evidence(reached=FULL), "exit"),
        (failure(Exit(None, "SIGXFSZ")), Evidence(), "disk"),
    ],
)
def test_a_limit_is_blamed_only_for_what_looks_like_its_doing(failed: Failure, evidence: Evidence, cause: str) -> None:
    failed.evidence = evidence
    assert killer(failed) == cause
    assert death_of(failed, 1, "hello").cause == cause


@pytest.mark.parametrize(
    ("evidence", "message"),
    [
        (
            Evidence(killed_for="memory", reached=Reached(memory_limit_bytes=256 << 20)),
            "it needed more than its 256 MiB of memory. Raise it: steadyd settings hello memory=512MiB",
        ),
        (Evidence(killed_for="memory"), "it needed more than its memory."),
        (
            Evidence(killed_for="processes", reached=Reached(processes_limit=64)),
            "it wanted more than its 64 processes and threads at once. Raise it: steadyd settings hello processes=128",
        ),
        (
            Evidence(killed_for="disk", reached=Reached(disk_limit_bytes=1 << 30)),
            "it wrote more than its 1 GiB of disk space can hold. Delete what it can spare. "
            "Raise it: steadyd settings hello disk=2GiB",
        ),
        (
            Evidence(killed_for="stop_timeout"),
            "it was asked to end (SIGTERM), did not in time, and was killed. End it in process.on('SIGTERM').",
        ),
        (
            Evidence(),
            "it did. Something outside of its limits killed it: its own code, a person, or this machine out of memory.",
        ),
    ],
)
def test_one_sentence_says_what_happened_and_what_to_do(evidence: Evidence, message: str) -> None:
    failed = failure(KILLED)
    failed.evidence = evidence
    assert death_of(failed, 3, "hello").message == f"Version 3 died: {message}"


def test_a_crash_of_the_engine_is_not_the_owners_mistake() -> None:
    assert "inside of Bun" in death_of(failure(CRASHED), 1).message
    assert death_of(failure(THREW), 1).message == "Version 1 died: it did."


def test_the_card_says_how_it_ended_and_what_was_lost() -> None:
    failed = Failure("signal", "it ended with signal SIGKILL.", 1.23456, Exit(None, "SIGKILL"), None, ["last", "words"])
    reached = Reached(memory_peak_bytes=5, memory_limit_bytes=6, throttled_periods=7)
    asked = tuple(Asked("GET", f"/{number}") for number in range(20))
    failed.evidence = Evidence(reached=reached, in_flight=21, asked=asked)
    card = death_of(failed, 7)
    assert abs(card.at - time.time()) < 60
    assert (card.cause, card.exit_code, card.signal) == ("signal", None, "SIGKILL")
    assert (card.version, card.in_flight, card.uptime_seconds) == (7, 21, 1.235)
    assert (card.memory_peak_bytes, card.memory_limit_bytes, card.reached) == (5, 6, reached)
    assert card.log_tail == ("last", "words")
    assert card.message.startswith("Version 7 died: it ended with signal SIGKILL.")
    assert card.requests == asked


def test_a_start_that_ran_out_of_time_has_no_exit() -> None:
    card = death_of(Failure("start_timeout", "it did not listen within 30 s.", 30.0), 1)
    assert (card.cause, card.exit_code, card.signal) == ("start_timeout", None, None)


def test_sizes_are_for_people() -> None:
    assert [size(n) for n in (0, 2048, 1 << 20, 3 << 29)] == ["0 bytes", "2 KiB", "1 MiB", "1.5 GiB"]


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
