"""The command `fork`: another app that begins as one is, or was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from steadyd.cli.deploy import url_of
from steadyd.cli.server import uses_server
from steadyd.cli.terminal import note, print_json
from steadyd.cli.verb import Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client

FORK_SECONDS_MAX = 600.0
"""An earlier moment may have to be fetched from far away."""


@click.command(cls=Verb)
@click.argument("name")
@click.argument("new")
@click.option("--at", default="", metavar="TIME", help="As the app was then: 2h ago, yesterday 14:00, a restore point.")
@uses_server
@json_option
def fork(client: Client, name: str, new: str, at: str, as_json: bool) -> None:
    """Make another app with an app's code, settings, variables and data, to try things on.

    The new app is asleep until somebody asks for it, and its crons are off.
    """
    from steadyd.cli.client import app_path

    body = {"name": new} | ({"at": at} if at else {})
    answer = client.call("POST", app_path(name, "/fork"), body, app=name, seconds=FORK_SECONDS_MAX)
    client.tokens.share(client.url, name, new)
    note(f"Forked {name} as of {answer.get('at')}")
    for sentence in answer.get("notes") or []:
        note(f"  note: {sentence}")
    if as_json:
        print_json(answer)
    else:
        click.echo(url_of(answer))
