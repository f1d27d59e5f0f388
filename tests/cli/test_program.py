"""The command as a whole."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from steadyd import __version__
from steadyd.cli.program import SECTIONS, program
from steadyd.cli.verb import Verb, configurable
from tests.cli.conftest import Steadyd

COMMANDS = sorted(program.commands)
HEAVY = ("asyncio", "httpx", "rich", "uvloop", "watchfiles", "pathspec", "starlette", "hypercorn", "apsw", "ssl")
PRINT_DATA = [name for name in COMMANDS if name != "serve"]


def test_help_lists_every_command(steadyd: Steadyd) -> None:
    text = steadyd("--help").stdout
    assert [name for name in COMMANDS if f"  {name} " not in text] == []
    assert sorted(c.name or "" for section in SECTIONS.values() for c in section) == COMMANDS, "each stands once"


def test_version(steadyd: Steadyd) -> None:
    assert steadyd("--version", env={"STEADYD_VERSION": "x"}).stdout == f"steadyd {__version__}\n"


@pytest.mark.parametrize("words", [[], ["nope"], ["show"], ["show", "a", "b"], ["apps", "--nope"], ["run", "/nope"]])
def test_usage_errors_exit_with_2(steadyd: Steadyd, words: list[str]) -> None:
    assert steadyd(*words).exit_code == 2


UNLIKE = {
    ("rollback", "--data"): "STEADYD_ROLLBACK_DATA",
    ("rollback", "--daemon-data"): "STEADYD_DATA",
    ("pull", "--data"): "STEADYD_PULL_DATA",
    ("pull", "--daemon-data"): "STEADYD_DATA",
}
"""Whose `--data` is the app's data: the daemon's folder is found as by every other command."""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_its_options_an_environment_variable(steadyd: Steadyd, name: str) -> None:
    command = program.commands[name]
    assert isinstance(command, Verb)
    assert command.help
    assert steadyd(name, "--help").exit_code == 0
    for option in command.params:
        if isinstance(option, click.Option) and option.name in configurable(command).values():
            long = next(opt for opt in option.opts if opt.startswith("--"))
            assert option.envvar == UNLIKE.get((name, long), "STEADYD_" + long[2:].replace("-", "_").upper())


@pytest.mark.parametrize("name", PRINT_DATA)
def test_every_command_that_prints_data_knows_json(name: str) -> None:
    assert any("--json" in option.opts for option in program.commands[name].params)


def test_help_loads_nothing_heavy() -> None:
    code = f"import sys, steadyd.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    done = subprocess.run([sys.executable, "-m", "steadyd", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"steadyd {__version__}\n"


@pytest.mark.parametrize("name", ["env", "token", "users", "crons"])
def test_what_can_be_done_stands_in_the_usage_line(steadyd: Steadyd, name: str) -> None:
    usage = " ".join(steadyd(name, "--help").stdout.partition("\n\n")[0].split())
    assert "[list|" in usage, usage
