"""The commands `allow` and `refuse`: what the operator opens to an app beyond the public internet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from steadyd.cli.server import uses_server
from steadyd.cli.terminal import note, print_json, safe_line
from steadyd.cli.verb import Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client


@click.command(cls=Verb)
@click.argument("name")
@click.argument("target", required=False, metavar="[ADDRESS:PORT|host:PORT]")
@uses_server
@json_option
def allow(client: Client, name: str, target: str | None, as_json: bool) -> None:
    """Open a private address to an app, or list what is open.

    host:PORT is a port of this machine's own loopback; the app reaches it under the name `host`. Operator only, and
    true at once.
    """
    from steadyd.cli.client import app_path

    path = app_path(name, "/targets")
    answer = client.call("POST", path, {"target": target}, app=name) if target else client.call("GET", path, app=name)
    _show(answer, name, as_json)


@click.command(cls=Verb)
@click.argument("name")
@click.argument("target", metavar="ADDRESS:PORT|host:PORT")
@uses_server
@json_option
def refuse(client: Client, name: str, target: str, as_json: bool) -> None:
    """Close again what `allow` opened; what is connected is cut."""
    from urllib.parse import quote

    from steadyd.cli.client import app_path

    _show(client.call("DELETE", app_path(name, f"/targets/{quote(target, safe=':')}"), app=name), name, as_json)


# Private


def _show(answer: dict[str, Any], name: str, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    if not answer.get("targets"):
        note(f"No private address is open to {name}.")
    for target in answer.get("targets") or []:
        click.echo(safe_line(str(target)))
