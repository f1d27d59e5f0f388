"""The command `env`: an app's variables. Values go in; none comes out again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

import click

from steadyd.cli.server import uses_server
from steadyd.cli.terminal import date, note, print_json, print_table, safe_line
from steadyd.cli.verb import Verb, json_option
from steadyd.errors import SteadyError
from steadyd.variables import CONTEXTS, PRODUCTION

if TYPE_CHECKING:
    from steadyd.cli.client import Client

CHANGE_SECONDS_MAX = 120.0
"""Longer than any deadline the server has for a drain and a start."""
FILE_BYTES_MAX = 1 << 20

Todo = Literal["list", "set", "unset", "import"]


@click.command(cls=Verb)
@click.argument("name")
@click.argument(
    "todo", type=click.Choice(["list", "set", "unset", "import"]), default="list", metavar="[list|set|unset|import]"
)
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option("--context", type=click.Choice(CONTEXTS), help="Whose values.  [default: production]")
@click.option("--secret/--plain", default=None, help="What they are.  [default: secret by names such as …_KEY]")
@uses_server
@json_option
def env(
    client: Client,
    name: str,
    todo: Todo,
    words: tuple[str, ...],
    context: str | None,
    secret: bool | None,
    as_json: bool,
) -> None:
    """List or change an app's variables: list, set KEY=VALUE..., unset KEY..., import FILE.

    A change is live when this returns, and no request is lost. `set KEY` alone asks for the value, or reads it from
    standard input; `import -` reads a .env file from there. A value cannot be read back.
    """
    if (todo == "list") != (not words):
        raise click.UsageError("write: steadyd env NAME list | set KEY=VALUE... | unset KEY... | import FILE")
    wishes = _wishes(todo, words, secret)
    answer = _ask(client, name, wishes, context)
    if as_json:
        print_json(answer)
    elif todo == "list":
        _show(answer.get("env") or {}, name)
    else:
        for key, value in wishes.items():
            click.echo(safe_line(f"{key} is {'removed' if value is None else 'set'}"))


def imported(file: str) -> dict[str, str]:
    """The variables of a .env file (`-` is standard input); says which of them no app can set.

    Raises:
        SteadyError: it cannot be read, or sets none.
    """
    from steadyd.envfile import parse
    from steadyd.variables import why_reserved

    with click.open_file(file, "rb") as opened:
        text = _input(opened.read(FILE_BYTES_MAX + 1), file)
    values = {}
    for key, value in parse(text).items():
        if reason := why_reserved(key):
            note(f"  left out  {key} ({reason})")
        else:
            values[key] = value
    if not values:
        raise SteadyError("invalid", f"{file} sets no variable")
    return values


# Private


def _wishes(todo: Todo, words: tuple[str, ...], secret: bool | None) -> dict[str, Any]:
    """What the API is asked to change."""
    if todo == "unset":
        return dict.fromkeys(words)
    if todo == "import" and len(words) != 1:
        raise click.UsageError("import takes one file, or - for standard input")
    values = imported(words[0]) if todo == "import" else dict(_pair(word, len(words) == 1) for word in words)
    return {key: text if secret is None else {"value": text, "secret": secret} for key, text in values.items()}


def _pair(word: str, alone: bool) -> tuple[str, str]:
    key, equals, text = word.partition("=")
    if equals:
        return key, text
    if not alone:
        raise click.UsageError(f"“{key}” has no value; without one it must be the only one")
    if sys.stdin.isatty():
        return key, click.prompt(f"Value of {key}", hide_input=True, default="", show_default=False, err=True)
    return key, _input(sys.stdin.buffer.read(FILE_BYTES_MAX + 1), "standard input").removesuffix("\n")


def _input(content: bytes, source: str) -> str:
    if len(content) > FILE_BYTES_MAX:
        raise SteadyError("too_large", f"{source} is larger than {FILE_BYTES_MAX >> 20} MiB")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise SteadyError("invalid", f"{source} is not UTF-8 text") from None


def _ask(client: Client, name: str, wishes: dict[str, Any], context: str | None) -> dict[str, Any]:
    from steadyd.cli.client import app_path

    path = app_path(name, f"/env?context={context}" if context else "/env")
    if not wishes:
        return client.call("GET", path, app=name)
    return client.call("PATCH", path, wishes, app=name, seconds=CHANGE_SECONDS_MAX)


def _show(variables: dict[str, dict[str, Any]], name: str) -> None:
    if not variables:
        note(f"{name} has no variables. Set one: steadyd env {name} set KEY=VALUE")
        return
    rows = [
        [key, "secret" if told.get("secret") else "plain", date(told.get("updated_at")), _where(told.get("contexts"))]
        for key, told in variables.items()
    ]
    print_table(["name", "", "set", "for"], rows)


def _where(contexts: object) -> str:
    """Nothing for what production alone has: everybody else gets it too."""
    named = [str(context) for context in contexts] if isinstance(contexts, list) else []
    return "" if named == [PRODUCTION] else ", ".join(named)
