"""The command `notify`: where notices about trouble go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from steadyd.cli.server import uses_server
from steadyd.cli.terminal import print_json, safe_line
from steadyd.cli.verb import Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client

OFF = "off"


@click.command(cls=Verb)
@click.argument("name", required=False, default="")
@click.argument("url", required=False, default="", metavar="[URL|off]")
@click.option("--test", is_flag=True, help="Send a test notice there, and say what became of it.")
@uses_server
@json_option
def notify(client: Client, name: str, url: str, test: bool, as_json: bool) -> None:
    """Show or set where notices go: yours, or those about the app NAME alone.

    An https URL gets JSON; ntfy servers, and URLs with ?format=text, get plain text.
    """
    if not url and (name == OFF or "://" in name):
        name, url = "", name
    answer = _set(client, name, url) if url else _show(client, name)
    if test:
        answer |= client.call("POST", f"{_place(name)}/notify/test", {}, app=name)
    if as_json:
        print_json(answer)
        return
    click.echo(safe_line(_where(answer, name)))
    if test:
        sent = answer.get("sent") or {}
        click.echo(safe_line(f"{sent.get('host')} took a test notice ({sent.get('status')})"))


# Private


def _place(name: str) -> str:
    from steadyd.cli.client import app_path

    return app_path(name) if name else "/me"


def _show(client: Client, name: str) -> dict[str, Any]:
    return client.call("GET", f"{_place(name)}/settings" if name else "/me", app=name)


def _set(client: Client, name: str, url: str) -> dict[str, Any]:
    """An app that is off stays silent, whatever its owner's own address is."""
    body = {"notify": "" if url == OFF else url}
    return client.call("PATCH", f"{_place(name)}/settings" if name else "/me", body, app=name)


def _where(answer: dict[str, Any], name: str) -> str:
    if not name:
        url = (answer.get("user") or {}).get("notify")
        return f"your notices go to {url}" if url else "your notices go nowhere; set: steadyd notify https://…"
    url = (answer.get("settings") or {}).get("notify")
    if url:
        return f"notices about {name} go to {url}"
    if (answer.get("sources") or {}).get("notify") == "owner":
        return f"notices about {name} go nowhere"
    return f"notices about {name} go where yours do"
