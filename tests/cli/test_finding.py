"""One line of the doctor, and what a program says to it."""

from __future__ import annotations

import pytest

from steadyd.cli import finding
from steadyd.cli.finding import Finding, first_line
from steadyd.errors import SteadyError


def test_only_what_is_required_is_fatal() -> None:
    assert Finding("x", "problem", "", required=True).is_fatal
    assert not Finding("x", "problem", "").is_fatal
    assert not Finding("x", "ok", "", required=True).is_fatal


def test_a_program_that_works_says_its_first_line() -> None:
    assert first_line(["/bin/sh", "-c", "echo one; echo two"]) == "one"
    assert first_line(["/bin/sh", "-c", ":"]) == ""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/bin/sh", "-c", "echo early >&2; echo No permissions >&2; exit 1"], "No permissions"),
        (["/bin/sh", "-c", "exit 3"], "exit status 3"),
        (["/nonexistent"], "No such file"),
    ],
)
def test_a_program_that_fails_says_why(command: list[str], said: str) -> None:
    with pytest.raises(SteadyError, match=said):
        first_line(command)


def test_a_program_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "PROBE_SECONDS_MAX", 0.05)
    with pytest.raises(SteadyError, match="timed out"):
        first_line(["/bin/sleep", "60"])
