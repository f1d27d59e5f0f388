"""The commands `users`, `suspend` and `resume`: what the operator does about people, and about apps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import click

from steadyd.cli.server import uses_server
from steadyd.cli.terminal import date, note, print_json, print_table, safe_line
from steadyd.cli.verb import Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client

SUSPEND_SECONDS_MAX = 120.0
"""Longer than any drain."""

Todo = Literal["list", "invite", "suspend", "resume", "reset"]


@click.command(cls=Verb)
@click.argument(
    "todo",
    type=click.Choice(["list", "invite", "suspend", "resume", "reset"]),
    default="list",
    metavar="[list|invite|suspend|resume|reset]",
)
@click.argument("name", default="", metavar="[NAME]")
@click.option("--reason", metavar="TEXT", help="Why, for whom it concerns.")
@uses_server
@json_option
def users(client: Client, todo: Todo, name: str, reason: str | None, as_json: bool) -> None:
    """List users, invite one, suspend NAME, resume NAME, or reset NAME's password (operator).

    `invite` and `reset` print a link that works once. Who is suspended is logged out, and their apps answer 451.
    """
    if (todo in ("list", "invite")) != (not name):
        raise click.UsageError("write: steadyd users list | invite | suspend NAME | resume NAME | reset NAME")
    answer = _ask(client, todo, name, reason)
    if as_json:
        print_json(answer)
    elif todo == "list":
        _show(answer)
    elif todo in ("invite", "reset"):
        note(f"Works once, until {date(answer.get('expires_at'))}:")
        click.echo(safe_line(str(answer.get("url"))))
    else:
        click.echo(safe_line(f"{name} is {_state(answer.get('user') or {})}"))


@click.command(cls=Verb)
@click.argument("name")
@click.option("--reason", metavar="TEXT", help="Why; its owner reads it.")
@uses_server
@json_option
def suspend(client: Client, name: str, reason: str | None, as_json: bool) -> None:
    """Take an app out of service: it stops, and answers 451 (operator)."""
    _change(client, name, "suspend", {"reason": reason} if reason else {}, as_json)


@click.command(cls=Verb)
@click.argument("name")
@uses_server
@json_option
def resume(client: Client, name: str, as_json: bool) -> None:
    """Put a suspended app back into service (operator)."""
    _change(client, name, "resume", {}, as_json)


# Private


def _ask(client: Client, todo: Todo, name: str, reason: str | None) -> dict[str, Any]:
    if todo == "list":
        return client.call("GET", "/users")
    if todo == "invite":
        return client.call("POST", "/users/invitations", {})
    body = {"reason": reason} if todo == "suspend" and reason else {}
    return client.call("POST", f"/users/{quote(name, safe='')}/{todo}", body, seconds=SUSPEND_SECONDS_MAX)


def _change(client: Client, name: str, call: str, body: dict[str, str], as_json: bool) -> None:
    from steadyd.cli.client import app_path

    answer = client.call("POST", app_path(name, f"/{call}"), body, app=name, seconds=SUSPEND_SECONDS_MAX)
    if as_json:
        print_json(answer)
    else:
        click.echo(safe_line(f"{name} is {(answer.get('app') or {}).get('state')}"))


def _state(user: dict[str, Any]) -> str:
    return f"suspended: {user['suspended']}" if user.get("suspended") else "in good standing"


def _show(answer: dict[str, Any]) -> None:
    rows = [
        [
            str(user.get("name")),
            str(user.get("email")),
            str(user.get("apps")),
            date(user.get("created_at")),
            _state(user),
        ]
        for user in answer.get("users") or []
    ]
    print_table(["name", "e-mail", "apps", "since", "state"], rows)
