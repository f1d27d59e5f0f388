"""`steadyd diff`: what differs between two versions, for people in colour, for `git apply` as it is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from steadyd.cli.server import uses_server
from steadyd.cli.terminal import note, print_json, safe_line
from steadyd.cli.verb import Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client

PATCH_TYPE = "text/x-diff"
STYLES = {"+": "green", "-": "red", "@": "cyan"}
HEADS = ("diff ", "index ", "--- ", "+++ ", "new file", "deleted file")


@click.command(cls=Verb)
@click.argument("name")
@click.argument("a", type=click.IntRange(min=1))
@click.argument("b", type=click.IntRange(min=1))
@uses_server
@json_option
def diff(client: Client, name: str, a: int, b: int, as_json: bool) -> None:
    """Show what differs between two versions: `steadyd diff NAME 3 4 | git apply` repeats the step elsewhere."""
    from steadyd.cli.client import app_path

    path = app_path(name, f"/versions/{a}/diff/{b}")
    if as_json:
        print_json(client.call("GET", path, app=name))
        return
    patch = client.text(path, PATCH_TYPE, app=name)
    if not sys.stdout.isatty():
        click.echo(patch, nl=False)
    else:
        for line in patch.removesuffix("\n").split("\n") if patch else ():
            click.echo(coloured(line))
    if not patch:
        note(f"Versions {a} and {b} have the same files.")


def coloured(line: str) -> str:
    """One line of a patch as a terminal shows it."""
    if line.startswith(HEADS):
        return click.style(safe_line(line), bold=True)
    return click.style(safe_line(line), fg=STYLES.get(line[:1]))
