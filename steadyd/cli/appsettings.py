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

SWITCHES = ("auto_rollback",)
BOOLEANS = {"true": True, "false": False}
CHANGE_SECONDS_MAX = 120.0
"""Longer than any deadline the server has for a drain and a start."""


@click.command(cls=Verb)
@click.argument("name")
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@uses_server
@json_option
def settings(client: Client, name: str, changes: tuple[str, ...], as_json: bool) -> None:
    """Show or change an app's settings: memory, cpus, processes, disk, idle, network, notify, visibility (of its
    source: public, unlisted or private-source), auto_rollback, and of its trials trial.network, trial.health,
    trial.mode, trial.test.

    KEY= without a value takes your choice back, so that the app's own file or the host decides.
    """
    from steadyd.cli.client import app_path

    wishes = _wishes(changes)
    method, body = ("PATCH", wishes) if wishes else ("GET", None)
    answer = client.call(method, app_path(name, "/settings"), body, app=name, seconds=CHANGE_SECONDS_MAX)
    if as_json:
        print_json(answer)
        return
    said, most = answer.get("sources") or {}, answer.get("ceilings") or {}
    rows = [
        [
            key,
            _written(key, value),
            str(said.get(key.partition(".")[0], "")),
            _written(key, most[key]) if most.get(key) else "",
        ]
        for key, value in _flat(answer.get("settings") or {}).items()
    ]
    print_table(["setting", "value", "said by", "at most"], rows)


# Private


def _wishes(changes: tuple[str, ...]) -> dict[str, Any]:
    """The body of a change: `trial.health=false` is a field of `trial`."""
    wishes: dict[str, Any] = {}
    for key, value in map(_wish, changes):
        outer, dot, inner = key.partition(".")
        if not dot:
            wishes[key] = BOOLEANS.get(value or "", value) if key in SWITCHES else value
        else:
            fields = wishes.setdefault(outer, {})
            if not isinstance(fields, dict):
                raise click.UsageError(f"“{outer}=” takes all of it back, so “{key}” cannot be said with it")
            fields[inner] = BOOLEANS.get(value or "", value)
    return wishes


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """`trial`'s fields under names of their own."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= {f"{key}.{inner}": of for inner, of in value.items()} if isinstance(value, dict) else {key: value}
    return found


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
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
