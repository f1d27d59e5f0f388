"""The commands that change an app's life, its name and its owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from steadyd.cli.deploy import url_of
from steadyd.cli.progress import Steps, following
from steadyd.cli.server import uses_server, uses_server_beside_data
from steadyd.cli.terminal import print_json, safe_line
from steadyd.cli.verb import Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client

START_SECONDS_MAX = 120.0
"""Longer than any deadline the server has for a start or a drain."""


@click.command(cls=Verb)
@click.argument("name")
@uses_server
@json_option
def start(client: Client, name: str, as_json: bool) -> None:
    """Start an app, also one that is held down."""
    _show_state(_post(client, name, "start"), as_json)


@click.command(cls=Verb)
@click.argument("name")
@click.option("--hold", is_flag=True, help="Keep it down: requests get 503 until `start`.")
@uses_server
@json_option
def stop(client: Client, name: str, hold: bool, as_json: bool) -> None:
    """Put an app to sleep; the next request wakes it unless it is held."""
    _show_state(_post(client, name, "stop", {"hold": True} if hold else {}), as_json)


@click.command(cls=Verb)
@click.argument("name")
@uses_server
@json_option
def restart(client: Client, name: str, as_json: bool) -> None:
    """Restart an app without losing a request."""
    _show_state(_post(client, name, "restart"), as_json)


@click.command(cls=Verb)
@click.argument("name")
@uses_server
@json_option
def delete(client: Client, name: str, as_json: bool) -> None:
    """Delete an app: it stops at once; code, data and name are kept for a while (`apps --deleted`)."""
    from steadyd.cli.client import app_path

    client.call("DELETE", app_path(name), app=name, seconds=START_SECONDS_MAX)
    if as_json:
        print_json({"deleted": name})
    else:
        click.echo(safe_line(f"{name} is deleted; `steadyd undelete {name}` brings it back while it is kept"))


@click.command(cls=Verb)
@click.argument("name")
@uses_server
@json_option
def undelete(client: Client, name: str, as_json: bool) -> None:
    """Bring a deleted app back, with its code, data and name."""
    _show_state(_post(client, name, "undelete"), as_json)


@click.command(cls=Verb)
@click.argument("name")
@click.argument("new")
@uses_server
@json_option
def rename(client: Client, name: str, new: str, as_json: bool) -> None:
    """Give an app another name; the old one leads on to it for a while."""
    answer = _post(client, name, "rename", {"name": new})
    client.tokens.rename(client.url, name, new)
    if as_json:
        print_json(answer)
    else:
        click.echo(url_of(answer))


@click.command(cls=Verb)
@click.argument("name")
@click.option("--guest-token", metavar="TOKEN", help="The token that edits the app.  [default: what was kept]")
@uses_server
@json_option
def claim(client: Client, name: str, guest_token: str | None, as_json: bool) -> None:
    """Keep a temporary app: it becomes yours and stays, at the same URL."""
    from steadyd.cli.client import app_path

    kept = guest_token or client.tokens.of_guest(client.url, name)
    # As oneself, and not as the guest whose token was kept for this app.
    answer = client.call("POST", app_path(name, "/claim"), {"token": kept} if kept else {}, seconds=START_SECONDS_MAX)
    client.tokens.drop(client.url, name)
    if as_json:
        print_json(answer)
    else:
        click.echo(url_of(answer))


@click.command(cls=Verb)
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--env", "with_env", is_flag=True, help="Go back to the variables it ran with, too.")
@click.option(
    "--data",
    default="keep",
    show_default=True,
    metavar="keep|version|TIME",
    envvar="STEADYD_ROLLBACK_DATA",
    help="What becomes of the app's data: kept, as when that version was live last, or as it was at a moment.",
)
@uses_server_beside_data
@json_option
def rollback(client: Client, name: str, version: int, with_env: bool, data: str, as_json: bool) -> None:
    """Make an earlier version live again; with --env and --data everything goes back to one moment."""
    from steadyd.cli.restore import meaning, spoken

    if data not in ("keep", "version"):
        meaning(client, name, data)
        data = spoken(data)
    steps = Steps()
    with following(client, name, steps):
        body = {"version": version, "data": data} | ({"env": True} if with_env else {})
        answer = _post(client, name, "rollback", body)
    steps.rest(answer)
    if as_json:
        print_json(answer)
    else:
        click.echo(url_of(answer))


# Private


def _post(client: Client, name: str, verb: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    from steadyd.cli.client import app_path

    return client.call("POST", app_path(name, f"/{verb}"), body or {}, app=name, seconds=START_SECONDS_MAX)


def _show_state(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    app = answer.get("app") or {}
    click.echo(safe_line(f"{app.get('name')} is {app.get('state')}"))
