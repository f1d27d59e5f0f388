"""What an end is blamed on, and what is said of it."""

from __future__ import annotations

import pytest

from steadyd.model import Reached
from steadyd.runner.evidence import Evidence
from steadyd.runner.failure import Failure, killer, sentence, size
from steadyd.runner.process import Exit
from steadyd.runner.status import StatusEvent

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
    assert sentence(failed, "hello") == message


def test_a_crash_of_the_engine_is_not_the_owners_mistake() -> None:
    assert "inside of Bun" in sentence(failure(CRASHED), "hello")
    assert sentence(failure(THREW), "hello") == "it did."


def test_an_app_that_there_is_not_yet_asks_in_its_own_file() -> None:
    failed = failure(KILLED)
    failed.evidence = Evidence(memory_kills=1, reached=Reached(memory_limit_bytes=128 << 20))
    error = failed.as_error("trial")
    assert error.message == (
        "The app did not start: it needed more than its 128 MiB of memory. "
        "Ask for more in package.json: “steady”: { “memory”: “256MiB” }."
    )
    assert error.details["reason"] in error.message


def test_the_place_of_a_failure_is_told_with_its_line() -> None:
    failed = failure(THREW)
    failed.where = StatusEvent("error", "no", file="index.ts", line=3, column=7, source='throw new Error("no");')
    place = {"file": "index.ts", "line": 3, "column": 7, "source_line": 'throw new Error("no");'}
    assert failed.as_error("trial").details.items() >= place.items()


def test_sizes_are_for_people() -> None:
    assert [size(n) for n in (0, 2048, 1 << 20, 3 << 29)] == ["0 bytes", "2 KiB", "1 MiB", "1.5 GiB"]
