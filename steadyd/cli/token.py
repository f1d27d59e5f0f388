"""The command `token`: one's own bearer tokens, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import click

from steadyd.cli.server import uses_server
from steadyd.cli.terminal import date, note, print_json, print_table, safe_line
from steadyd.cli.verb import Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client

Todo = Literal["list", "create", "revoke"]


@click.command(cls=Verb)
@click.argument("todo", type=click.Choice(["list", "create", "revoke"]), default="list", metavar="[list|create|revoke]")
@click.argument("word", default="", metavar="[LABEL|ID]")
@click.option("--scope", type=click.Choice(["read", "deploy", "all"]), help="What it is for.  [default: all]")
@click.option("--app", metavar="NAME", help="For this app only.")
@click.option("--days", type=click.IntRange(min=1), help="It expires after so many days.  [default: never]")
@uses_server
@json_option
def token(
    client: Client, todo: Todo, word: str, scope: str | None, app: str | None, days: int | None, as_json: bool
) -> None:
    """List your tokens, create LABEL, or revoke ID.

    A new one is printed once. `read` looks, `deploy` also changes apps, `all` is everything that you may.
    """
    if (todo == "list") != (not word):
        raise click.UsageError("write: steadyd token list | create LABEL | revoke ID")
    if todo == "revoke":
        client.call("DELETE", f"/tokens/{quote(word, safe='')}")
        if not as_json:
            click.echo(safe_line(f"{word} is revoked"))
        return
    if todo == "list":
        answer = client.call("GET", "/tokens")
    else:
        wish = {"scope": scope, "app": app, "expires_in_days": days}
        answer = client.call("POST", "/tokens", {"label": word} | {key: v for key, v in wish.items() if v is not None})
    if as_json:
        print_json(answer)
    elif todo == "list":
        _show(answer)
    else:
        note("This is shown once:")
        click.echo(safe_line(str(answer.get("secret"))))


# Private


def _show(answer: dict[str, Any]) -> None:
    rows = [
        [
            str(one.get("id")),
            str(one.get("label")),
            str(one.get("scope")),
            str(one.get("app") or ""),
            date(one.get("expires_at")) or "never",
            date(one.get("last_used_at")) or "never",
        ]
        for one in answer.get("tokens") or []
    ]
    print_table(["id", "label", "scope", "app", "expires", "last used"], rows)
