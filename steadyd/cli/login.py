"""The commands `login`, `logout` and `whoami`: as whom this person's commands speak to a server."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import click

from steadyd.cli.server import uses_server
from steadyd.cli.terminal import print_json, safe_line
from steadyd.cli.verb import Failure, Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client

LABEL_CHARACTERS_MAX = 80


@click.command(cls=Verb)
@click.option("--username", metavar="NAME", help="Your user name.  [default: asked for]")
@uses_server
@json_option
def login(client: Client, username: str | None, as_json: bool) -> None:
    """Log in to a server; further commands speak to it as you.

    The password is asked for, or read from standard input. A token is kept for you alone in the config folder; what
    you deployed there as a guest becomes yours.
    """
    name, password = username or _asked("User name", hidden=False), _asked("Password", hidden=True)
    answer = client.log_in(name, password, f"steadyd login on {socket.gethostname()}"[:LABEL_CHARACTERS_MAX])
    if as_json:
        print_json(answer)
    else:
        click.echo(safe_line(f"logged in to {client.url} as {(answer.get('user') or {}).get('name')}"))


@click.command(cls=Verb)
@uses_server
@json_option
def logout(client: Client, as_json: bool) -> None:
    """Revoke the token that `login` made, and forget it."""
    if not client.log_out():
        raise Failure(f"nobody is logged in to {client.url}")
    if as_json:
        print_json({"server": client.url})
    else:
        click.echo(safe_line(f"logged out of {client.url}"))


@click.command(cls=Verb)
@uses_server
@json_option
def whoami(client: Client, as_json: bool) -> None:
    """Show as whom commands speak to the server."""
    answer = client.call("GET", "/me")
    if as_json:
        print_json(answer)
        return
    user = answer.get("user") or {}
    click.echo(safe_line(f"{user.get('name')} ({user.get('kind')}) at {client.url}"))


# Private


def _asked(what: str, hidden: bool) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=hidden, err=True))
    line = sys.stdin.readline().removesuffix("\n")
    if not line:
        raise click.UsageError(f"standard input has no {what.lower()}")
    return line
