"""The command `crons`: what an app is asked by the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from steadyd.cli.server import uses_server
from steadyd.cli.terminal import date, note, print_json, print_table, safe_line
from steadyd.cli.verb import Verb, json_option
from steadyd.errors import SteadyError

if TYPE_CHECKING:
    from steadyd.cli.client import Client

RUN_SECONDS_MAX = 3_600.0
"""The server has a deadline of its own, which its operator may have made longer."""

Todo = Literal["list", "run", "runs", "set", "on", "off", "delete"]
WORDS = {"list": (0, 0), "run": (1, 1), "runs": (1, 2), "set": (2, 2), "on": (1, 1), "off": (1, 1), "delete": (1, 1)}
"""What each takes after it: from, to."""
USAGE = "write: steadyd crons NAME list | run ID | runs ID [RUN] | set ID SCHEDULE | on ID | off ID | delete ID"


@click.command(cls=Verb)
@click.argument("name")
@click.argument("todo", type=click.Choice(list(WORDS)), default="list", metavar=f"[{'|'.join(WORDS)}]")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option("--path", help="For set: the path that is asked.")
@click.option("--export", help="For set: the exported function that is called.  [default: scheduled]")
@click.option("--timezone", help="For set: the schedule's time zone.  [default: UTC]")
@click.option("--method", type=click.Choice(["POST", "GET"]), help="For set, with --path.  [default: POST]")
@uses_server
@json_option
def crons(
    client: Client,
    name: str,
    todo: Todo,
    words: tuple[str, ...],
    path: str | None,
    export: str | None,
    timezone: str | None,
    method: str | None,
    as_json: bool,
) -> None:
    """List an app's crons, run one now, or change them: list, run ID, runs ID [RUN], set ID SCHEDULE, on, off, delete.

    SCHEDULE is five fields in quotes, or @hourly: steadyd crons shop set report "0 9 * * MON-FRI" --path /report. Those
    of the app's own file are changed there; they can be run, turned off and on.
    """
    least, most = WORDS[todo]
    if not least <= len(words) <= most:
        raise click.UsageError(USAGE)
    said = {"path": path, "export": export, "timezone": timezone, "method": method}
    wishes = {key: value for key, value in said.items() if value is not None}
    if wishes and todo != "set":
        raise click.UsageError(f"--{next(iter(wishes))} goes with set")
    answer = _ask(client, name, todo, words, wishes)
    if as_json:
        if answer:
            print_json(answer)
    elif todo == "list":
        _show(answer.get("crons") or [], name)
    elif todo in ("run", "runs"):
        _show_runs(answer)
    if todo == "run" and (answer["run"]["outcome"] != "ok"):
        raise SteadyError("app_failed", f"“{words[0]}” {answer['run']['outcome']}: {answer['run']['error']}")


# Private


def _ask(client: Client, name: str, todo: Todo, words: tuple[str, ...], wishes: dict[str, Any]) -> dict[str, Any]:
    from urllib.parse import quote

    from steadyd.cli.client import app_path

    parts = "".join(f"/{quote(word, safe='')}" for word in words[:1])
    path = app_path(name, f"/crons{parts}")
    if todo == "list":
        return client.call("GET", path, app=name)
    if todo == "run":
        return client.call("POST", f"{path}/run", {}, app=name, seconds=RUN_SECONDS_MAX)
    if todo == "runs":
        return client.call("GET", f"{path}/runs" + "".join(f"/{quote(word, safe='')}" for word in words[1:]), app=name)
    if todo == "delete":
        return client.call("DELETE", path, app=name)
    body = {"schedule": words[1], **wishes} if todo == "set" else {"enabled": todo == "on"}
    return client.call("PUT", path, body, app=name)


def _show(found: list[dict[str, Any]], name: str) -> None:
    if not found:
        note(f"{name} has no crons. Its package.json says them, or: steadyd crons {name} set ID SCHEDULE --path PATH")
        return
    print_table(["id", "schedule", "asks", "of", "next", "last"], [_row(item) for item in found])


def _row(item: dict[str, Any]) -> list[str]:
    zone = item.get("timezone") or "UTC"
    schedule = str(item.get("schedule")) + (f" {zone}" if zone != "UTC" else "")
    asks = f"{item['export']}()" if item.get("export") else f"{item.get('method')} {item.get('path')}"
    coming = date((item.get("next") or [""])[0]) if item.get("enabled") else "off"
    last = next(iter(item.get("runs") or []), None)
    went = f"{last['outcome']} {date(last.get('scheduled_at'))}" if last else ""
    return [str(item.get("id")), schedule, asks, str(item.get("source")), coming, went]


def _show_runs(answer: dict[str, Any]) -> None:
    found = answer.get("runs") or ([answer["run"]] if answer.get("run") else [])
    rows = [
        [
            str(item.get("id")),
            date(item.get("scheduled_at")),
            str(item.get("outcome")) + (f" ×{item['count']}" if item.get("count", 1) > 1 else ""),
            "by hand" if item.get("by_hand") else str(item.get("attempt")),
            f"v{item['version']}" if item.get("version") else "",
            f"{float(item.get('ms') or 0):.0f} ms" if item.get("version") else "",
            str(item.get("error") or ""),
        ]
        for item in found
    ]
    print_table(["run", "scheduled", "outcome", "attempt", "version", "took", "error"], rows)
    for line in answer.get("logs") or []:
        click.echo(safe_line(f"{line['at']} {line['text']}"))
