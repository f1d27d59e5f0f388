"""What every command has in common: where option values come from, and how a failure ends.

An option's value is the first of: flag, `STEADYD_<OPTION>`, config file, default.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import click
from click.core import ParameterSource

from steadyd.cli.settings import HOST_CONFIG, config_file, defaults_for, read_config
from steadyd.cli.terminal import safe_line
from steadyd.errors import SteadyError

EXIT_INTERRUPTED = 130
UNCONFIGURED = frozenset({"help", "version", "config"})
"""Options that no environment variable or file may set: they would change what every command does."""

CONFIG, CHOSEN = "steadyd.config", "steadyd.config.chosen"
"""Where a context keeps the file that somebody named, and the one that is read."""

Function = Callable[..., None]


class Failure(click.ClickException):
    """The command could not do it: one plain line on stderr, exit code 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"steadyd: {safe_line(self.message)}", file=file or sys.stderr)


class Verb(click.Command):
    """A command whose options also read the environment and the config file."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(config_option())
        for param in self.params:
            name = long_name(param)
            if isinstance(param, click.Option) and name not in UNCONFIGURED and not param.envvar:
                param.envvar = f"STEADYD_{name.replace('-', '_').upper()}"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.BadParameter as error:
            name = error.param.name if error.param else None
            if name is None or ctx.get_parameter_source(name) is not ParameterSource.DEFAULT_MAP:
                raise
            raise click.BadParameter(f"{error.message} (in {ctx.meta[CHOSEN]})", ctx, error.param) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SteadyError as error:
            raise Failure(error.message) from None
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)
        except (BrokenPipeError, click.exceptions.Exit, click.Abort, click.ClickException):
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise Failure(f"{where}{error.strerror or error}") from None
        except Exception as error:
            if os.environ.get("STEADYD_TRACEBACK"):
                raise
            said = f"{type(error).__name__}: {error}"
            raise Failure(f"internal error: {said} (STEADYD_TRACEBACK=1 shows where)") from error


def config_option() -> click.Option:
    """`--config FILE`, read before the other options so that the file can be their default."""
    return click.Option(
        ["--config"],
        type=click.Path(dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        envvar="STEADYD_CONFIG",
        callback=_use_config,
        help="Read options from this TOML file.  "
        f"[default: {HOST_CONFIG} as root, $XDG_CONFIG_HOME/steadyd/config.toml]",
    )


def long_name(param: click.Parameter) -> str:
    """The option as one types it, without the dashes; "" for an argument."""
    return next((opt[2:] for opt in param.opts if opt.startswith("--")), "")


def json_option(function: Function) -> Function:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def configurable(command: click.Command) -> dict[str, str]:
    """Key → parameter name, for what the environment and the config file may set: both call an option the same."""
    options = [param for param in command.params if isinstance(param, click.Option) and param.envvar]
    return {_key(option): option.name or "" for option in options if long_name(option) not in UNCONFIGURED}


# Private


def _key(option: click.Option) -> str:
    """The option's name in the config file: that of its environment variable, which most options share."""
    return str(option.envvar).removeprefix("STEADYD_").replace("_", "-").lower()


def _use_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Keep the file's path for the commands below, or, at a command, make its values the defaults."""
    root = ctx.find_root()
    path = value or root.meta.get(CONFIG)
    root.meta[CONFIG] = path
    if not isinstance(root.command, click.Group) or ctx is root or ctx.resilient_parsing:
        return value
    chosen = path or config_file(os.environ, os.geteuid() == 0)
    known = {name: configurable(command) for name, command in _commands(root.command)}
    try:
        values = defaults_for(read_config(chosen, required=path is not None), _spoken(ctx), known)
    except SteadyError as error:
        told = error.message if str(chosen) in error.message else f"{error.message} (in {chosen})"
        raise click.UsageError(told) from None
    parameters = configurable(ctx.command)
    ctx.default_map = {parameters[name]: setting for name, setting in values.items()}
    ctx.meta[CHOSEN] = chosen
    return value


def _commands(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command below `group`, as one types it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{above}{name} ")
        yield above + name, command


def _spoken(ctx: click.Context) -> str:
    """The command as one types it, without the program."""
    words: list[str] = []
    while ctx.parent is not None:
        words.insert(0, ctx.info_name or "")
        ctx = ctx.parent
    return " ".join(words)
