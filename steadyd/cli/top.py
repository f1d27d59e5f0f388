"""`steadyd top`: what the apps do now, renewed until Ctrl-C. Rates are what was counted between two looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from steadyd.cli.server import uses_server
from steadyd.cli.terminal import print_json, print_table, size
from steadyd.cli.verb import Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client

EVERY_SECONDS = 2.0
FIRST_SECONDS = 0.5
"""Until the first table, which needs two looks."""
HOME_AND_CLEAR = "\x1b[H\x1b[J"
COLUMNS = ("name", "owner", "state", "version", "memory", "cpu", "requests/s")
Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Look:
    """The API's apps by name, and when it was (monotonic seconds)."""

    at: float
    apps: Mapping[str, Item]


@click.command(cls=Verb)
@click.option("--once", is_flag=True, help="Print one table and end.")
@click.option("--all", "everybody", is_flag=True, help="Everybody's apps, for the operator.")
@click.option("--every", type=click.FloatRange(min=0.5), default=EVERY_SECONDS, show_default=True, metavar="SECONDS")
@uses_server
@json_option
def top(client: Client, once: bool, everybody: bool, every: float, as_json: bool) -> None:
    """Show what your apps use now, the busiest first. With --json once, else until Ctrl-C."""
    before, pause = _look(client, everybody), FIRST_SECONDS
    try:
        while True:
            time.sleep(pause)
            now = _look(client, everybody)
            rates = busiest(before, now)
            if as_json:
                print_json({"apps": rates})
            else:
                _draw(rates, once)
            if once or as_json:
                return
            before, pause = now, every
    except KeyboardInterrupt:
        return


def busiest(before: Look, now: Look) -> list[Item]:
    """The apps as they are now with `cpus` (processors in use) and `requests_per_second` since `before`, by these and
    then by memory. What started in between counts from nothing."""
    seconds = max(now.at - before.at, 1e-3)
    apps = [_rates(before.apps.get(name, {}), app, seconds) for name, app in now.apps.items()]
    return sorted(apps, key=lambda app: (-app["cpus"], -app["requests_per_second"], -app["memory_bytes"], app["name"]))


def row(app: Item) -> list[str]:
    """One line of the table, for COLUMNS."""
    rate = app["requests_per_second"]
    return [
        str(app["name"]),
        str(app["owner"] or ""),
        str(app["state"]),
        str(app["version"]),
        f"{size(app['memory_bytes'])}{_of(app['memory_limit_bytes'])}" if app["memory_bytes"] else "",
        f"{app['cpus']:.0%}" if app["cpus"] else "",
        f"{rate:.1f}" if rate else "",
    ]


# Private


def _look(client: Client, everybody: bool) -> Look:
    answer = client.call("GET", "/apps?all=1" if everybody else "/apps")
    listed = [app for app in answer.get("apps") or [] if isinstance(app, dict)]
    return Look(time.monotonic(), {str(app.get("name")): app for app in listed})


def _rates(before: Item, app: Item, seconds: float) -> Item:
    then, usage = before.get("usage") or {}, app.get("usage") or {}
    return {
        "name": str(app.get("name")),
        "owner": app.get("owner"),
        "state": app.get("state"),
        "version": app.get("version"),
        "memory_bytes": usage.get("memory_bytes") or 0,
        "memory_limit_bytes": (app.get("limits") or {}).get("memory_bytes") or 0,
        "cpus": round(_more(then, usage, "cpu_seconds") / seconds, 3),
        "requests_per_second": round(_more(then, usage, "requests") / seconds, 1),
    }


def _more(then: Item, now: Item, key: str) -> float:
    """What was added; a count that went back began anew."""
    before, after = then.get(key) or 0, now.get(key) or 0
    return float(after - before if after >= before else after)


def _of(limit: int) -> str:
    return f" of {size(limit)}" if limit else ""


def _draw(apps: list[Item], once: bool) -> None:
    if not once and sys.stdout.isatty():
        click.echo(HOME_AND_CLEAR, nl=False)
    print_table(COLUMNS, [row(app) for app in apps])
