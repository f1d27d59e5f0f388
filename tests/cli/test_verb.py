"""Where an option's value comes from, and how a command fails."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from steadyd.cli.verb import Failure, Verb, config_option
from steadyd.errors import SteadyError


@click.command(cls=Verb)
@click.option("--colour", "shade", default="default")
@click.option("--loud", is_flag=True)
@click.option("--coats", type=int, default=0)
def paint(shade: str, loud: bool, coats: int) -> None:
    """Say the colour, or fail as told."""
    failures = {
        "steady": SteadyError("invalid", "No such\ncolour."),
        "os": FileNotFoundError(2, "No such file", "/x"),
        "bug": ValueError("oops"),
        "stop": KeyboardInterrupt(),
    }
    if shade in failures:
        raise failures[shade]
    click.echo(f"{shade}{'!' if loud else ''}{coats or ''}")


def program() -> click.Group:
    group = click.Group("p", params=[config_option()])
    group.add_command(paint)
    wall = click.Group("wall")
    wall.add_command(paint)
    group.add_command(wall)
    return group


@pytest.fixture
def config(home: Path) -> Path:
    path = home / "config" / "steadyd" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text('colour = "file"')
    return path


def run(*words: str, **env: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(program(), words, env=env)
    return result.exit_code, result.stdout.strip(), result.stderr.strip()


def test_flag_before_environment_before_file_before_default(config: Path) -> None:
    assert run("paint", "--colour", "flag", STEADYD_COLOUR="environment") == (0, "flag", "")
    assert run("paint", STEADYD_COLOUR="environment") == (0, "environment", "")
    assert run("paint") == (0, "file", "")
    config.unlink()
    assert run("paint") == (0, "default", "")


def test_a_config_file_may_be_named_before_or_after_the_command(config: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('colour = "own"\n[paint]\nloud = true')
    assert run("--config", str(other), "paint") == (0, "own!", "")
    assert run("paint", "--config", str(other)) == (0, "own!", "")
    assert run("paint", STEADYD_CONFIG=str(other)) == (0, "own!", "")


def test_a_named_file_that_is_missing_or_wrong_is_a_usage_error(home: Path, config: Path) -> None:
    code, _, said = run("paint", "--config", str(home / "none.toml"))
    assert code == 2
    assert "cannot read the config file" in said
    config.write_text("colr = 1")
    code, _, said = run("paint")
    assert code == 2
    assert "did you mean colour?" in said


def test_a_file_is_named_with_what_is_wrong_in_it(config: Path) -> None:
    config.write_text('[paint]\ncoats = "many"')
    code, _, said = run("paint")
    assert (code, said.splitlines()[-1].split(": ", 2)[1]) == (2, "Invalid value for '--coats'")
    assert said.endswith(f"(in {config})")
    assert run("paint", "--coats", "2") == (0, "default2", "")
    assert str(config) not in run("paint", "--coats", "many")[2]
    config.write_text("[paint]\ncots = 1")
    assert run("paint")[2].endswith(f"nothing reads cots in [paint]; did you mean coats? (in {config})")


def test_a_command_below_another_has_its_table_there(config: Path) -> None:
    config.write_text('colour = "all"\n[wall.paint]\ncolour = "wall"')
    assert run("wall", "paint") == (0, "wall", "")
    assert run("paint") == (0, "all", "")


def test_a_failure_is_one_line_and_code_1(home: Path) -> None:
    assert run("paint", "--colour", "steady") == (1, "", "steadyd: No such\\x0acolour.")
    assert run("paint", "--colour", "os") == (1, "", "steadyd: /x: No such file")
    code, _, said = run("paint", "--colour", "bug")
    assert code == 1
    assert said.startswith("steadyd: internal error: ValueError: oops")
    assert run("paint", "--colour", "stop")[0] == 130


def test_a_failure_cannot_drive_the_terminal() -> None:
    assert "\x1b" not in CliRunner().invoke(click.Command("x", callback=_fail), []).stderr


def _fail() -> None:
    raise Failure("a\x1b[2Jb")
