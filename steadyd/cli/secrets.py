"""The command `secrets`: the key that seals every app's variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from steadyd.cli.server import uses_server
from steadyd.cli.terminal import print_json
from steadyd.cli.verb import Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client

ROTATE_SECONDS_MAX = 600.0


@click.command(cls=Verb)
@click.argument("todo", type=click.Choice(["rotate"]))
@uses_server
@json_option
def secrets(client: Client, todo: str, as_json: bool) -> None:
    """Seal all stored variables with a new key (rotate); operator only.

    Apps run on meanwhile, and however it ends no value is lost. Keep a copy of secrets.key in the data folder, apart
    from the database's.
    """
    answer = client.call("POST", f"/host/secrets/{todo}", {}, seconds=ROTATE_SECONDS_MAX)
    if as_json:
        print_json(answer)
    else:
        click.echo(f"{(answer.get('secrets') or {}).get('sealed')} values are sealed with a new key")
