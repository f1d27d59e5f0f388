"""`steadyd logs` and `steadyd requests`: the past, and with `-f` what comes. Ctrl-C ends either with exit code 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from steadyd.cli.server import uses_server
from steadyd.cli.terminal import clock, milliseconds, print_json, safe_line
from steadyd.cli.verb import Failure, Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client

TAIL_LINES = 100
Item = dict[str, Any]


@click.command(cls=Verb)
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on printing lines as they come; Ctrl-C ends.")
@click.option("--tail", type=click.IntRange(min=0), default=TAIL_LINES, show_default=True, help="Lines of the past.")
@click.option("--raw", is_flag=True, help="Only the app's own text, control characters and colours included.")
@uses_server
@json_option
def logs(client: Client, name: str, follow: bool, tail: int, raw: bool, as_json: bool) -> None:
    """Print an app's log: what it wrote to stdout and stderr, and what steadyd says about it."""
    show = _raw_line if raw else log_line
    _print(client, name, "logs", {"tail": tail, "follow": follow}, None if as_json else show)


@click.command(cls=Verb)
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on printing requests as they come; Ctrl-C ends.")
@click.option("--tail", type=click.IntRange(min=0), default=TAIL_LINES, show_default=True, help="Requests of the past.")
@uses_server
@json_option
def requests(client: Client, name: str, follow: bool, tail: int, as_json: bool) -> None:
    """Print an app's requests: time, method, path, status, duration."""
    _print(client, name, "requests", {"tail": tail, "follow": follow}, None if as_json else request_line)


def log_line(item: Item) -> str:
    """One line of a log. Lines that steadyd wrote say so in a column that no app can write to."""
    who = "steadyd" if item.get("source") == "steadyd" else "app"
    return f"{clock(item.get('at'))} {who:<7} {safe_line(str(item.get('text', '')))}"


def request_line(item: Item) -> str:
    """One request: `12:03:01.250 GET  200    1.3 ms  /path`."""
    total = item.get("total_us")
    took = milliseconds(total / 1000) if isinstance(total, int | float) else milliseconds(item.get("ms"))
    parts = (str(item.get("method", "")), str(item.get("status", "")), str(item.get("path", "")))
    method, status, path = (safe_line(part) for part in parts)
    error = f"  {safe_line(str(item['error']))}" if item.get("error") else ""
    return f"{clock(item.get('at'))} {method:<6} {status:<3} {took:>8}  {path}{error}"


# Private


def _raw_line(item: Item) -> str:
    return str(item.get("text", ""))


def _print(client: Client, name: str, what: str, options: dict[str, Any], show: Callable[[Item], str] | None) -> None:
    """Print each item with `show`, or as a line of JSON where that is None."""
    from steadyd.cli.client import app_path

    params = {"tail": options["tail"]} | ({"follow": 1} if options["follow"] else {})
    try:
        for item in client.stream(app_path(name, f"/{what}"), params, app=name):
            if show is None:
                print_json(item, compact=True)
            else:
                click.echo(show(item), color=True)
    except KeyboardInterrupt:
        return
    if options["follow"]:
        raise Failure(f"{client.url} ended the stream")
