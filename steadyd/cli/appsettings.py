"""The command `settings`: what an app may use and reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from steadyd.cli.server import uses_server
from steadyd.cli.terminal import print_json, print_table
from steadyd.cli.verb import Verb, json_option
from steadyd.quantity import written_duration, written_size

if TYPE_CHECKING:
    from steadyd.cli.client import Client

CHANGE_SECONDS_MAX = 120.0
"""Longer than any deadline the server has for a drain and a start."""


@click.command(cls=Verb)
@click.argument("name")
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@uses_server
@json_option
def settings(client: Client, name: str, changes: tuple[str, ...], as_json: bool) -> None:
    """Show or change an app's settings: memory, cpus, processes, disk, idle, network, notify.

    KEY= without a value takes your choice back, so that the app's own file or the host decides.
    """
    from steadyd.cli.client import app_path

    wishes = dict(_wish(change) for change in changes)
    method, body = ("PATCH", wishes) if wishes else ("GET", None)
    answer = client.call(method, app_path(name, "/settings"), body, app=name, seconds=CHANGE_SECONDS_MAX)
    if as_json:
        print_json(answer)
        return
    said, most = answer.get("sources") or {}, answer.get("ceilings") or {}
    rows = [
        [key, _written(key, value), str(said.get(key, "")), _written(key, most[key]) if most.get(key) else ""]
        for key, value in (answer.get("settings") or {}).items()
    ]
    print_table(["setting", "value", "said by", "at most"], rows)


# Private


def _wish(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.UsageError(f"“{text}” is not KEY=VALUE; write memory=512MiB, or memory= to take it back")
    return key.strip(), value.strip() or None


def _written(key: str, value: Any) -> str:
    if key in ("memory", "disk") and isinstance(value, int):
        return written_size(value) if value else "no limit"
    if key == "idle" and isinstance(value, int | float):
        return written_duration(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
