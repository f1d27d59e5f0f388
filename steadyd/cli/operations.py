"""`steadyd operations`: what was done, in which steps, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from steadyd.cli.server import uses_server
from steadyd.cli.terminal import date, note, print_json, print_table
from steadyd.cli.verb import Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client


@click.command(cls=Verb)
@click.argument("name", required=False)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 500), help="How many of the newest.")
@click.option("--cancel", type=click.IntRange(1), metavar="ID", help="Stop this one, if nothing is held for it yet.")
@uses_server
@json_option
def operations(client: Client, name: str | None, limit: int, cancel: int | None, as_json: bool) -> None:
    """List what was done to an app (without NAME: what you asked for), newest first, with steps and times."""
    from steadyd.cli.client import app_path

    if cancel is not None:
        answer = client.call("POST", f"/operations/{cancel}/cancel", {})
        print_json(answer) if as_json else note(f"Operation {cancel} was cancelled; nothing was changed.")
        return
    path = app_path(name, "/operations") if name else "/operations"
    answer = client.call("GET", f"{path}?limit={limit}", app=name or "")
    if as_json:
        print_json(answer)
        return
    rows = [row(item) for item in answer.get("operations") or []]
    if rows:
        print_table(["id", "app", "operation", "by", "began", "outcome", "ms", "steps"], rows)
    else:
        note("Nothing was done yet.")


def row(item: dict[str, Any]) -> list[str]:
    """One operation as a line of the table; of a failed one the reason stands where its steps would."""
    ms = item.get("ms")
    error = item.get("error") or {}
    told = str(error.get("message", "")) or " · ".join(_step(step) for step in item.get("steps") or [])
    if item.get("status") == "running":
        told = f"{item.get('step', '')} …"
    shown = "" if ms is None else f"{ms:.0f}"
    words = [str(item.get(key, "")) for key in ("id", "app", "kind", "by")]
    return [*words, date(item.get("started_at")), str(item.get("status", "")), shown, told]


# Private


def _step(step: dict[str, Any]) -> str:
    return f"{step.get('name', '')} {float(step.get('ms') or 0):.0f}"
