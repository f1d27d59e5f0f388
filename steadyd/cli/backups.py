"""`steadyd backups`: what is kept of an app's data, and restore points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from steadyd.cli.server import uses_server
from steadyd.cli.terminal import date, note, print_json, print_pairs, print_table
from steadyd.cli.verb import Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client

POINT_SECONDS_MAX = 60.0
DRILL_SECONDS_MAX = 1_800.0
TODO = ("list", "create", "drill")


@click.command(cls=Verb)
@click.argument("name")
@click.argument("todo", type=click.Choice(TODO), default="list", metavar="[list|create|drill]")
@click.option("--note", "said", default="", help="With create: what the restore point is for.")
@uses_server
@json_option
def backups(client: Client, name: str, todo: Literal["list", "create", "drill"], said: str, as_json: bool) -> None:
    """Show which moments of an app's data can be brought back, create a restore point of now, or drill: restore the
    newest backup to see whether it can be.

    `steadyd restore NAME --at TIME` brings one back.
    """
    from steadyd.cli.client import app_path

    if said and todo != "create":
        raise click.UsageError("--note goes with create")
    path = app_path(name, "/backups")
    if todo == "create":
        answer = client.call("POST", path, {"note": said}, app=name, seconds=POINT_SECONDS_MAX)
    elif todo == "drill":
        answer = client.call("POST", f"{path}/drill", app=name, seconds=DRILL_SECONDS_MAX)
    else:
        answer = client.call("GET", path, app=name, seconds=POINT_SECONDS_MAX)
    if as_json:
        print_json(answer)
    elif todo == "drill":
        _tell(answer["proof"])
    elif todo == "create":
        point = answer["point"]
        note(
            f"Restore point {point['id']} of {date(point['at'])}. Back to it: steadyd restore {name} --at {point['id']}"
        )
    else:
        _show(answer)


# Private


def _show(answer: dict[str, Any]) -> None:
    print_pairs(
        {
            "state": f"{answer['state']}: {answer['message']}",
            "kept": str(answer["summary"]),
            "in": str(answer["target"]),
            "durability": str(answer["durability"]),
        }
    )
    spans = [[db["path"], *_span(span)] for db in answer["databases"] for span in db["moments"]]
    if spans:
        click.echo()
        print_table(["database", "from", "to", "to within"], spans)
    points = [_point(point) for point in answer["points"]]
    if points:
        click.echo()
        print_table(["point", "moment", "made for", "version", "by", "note"], points)


def _tell(proof: dict[str, Any]) -> None:
    if not proof["ok"]:
        raise click.ClickException(f"The newest backup cannot be restored: {proof['problem']}")
    note(f"The newest backup was restored in {proof['ms']:,.0f} ms, and is whole.")


def _span(span: dict[str, Any]) -> list[str]:
    return [date(span["from"]), date(span["to"]), f"{span['precision_seconds']:.0f} s"]


def _point(point: dict[str, Any]) -> list[str]:
    told = str(point["note"])
    if point["state"] != "pinned":
        told = f"{point['state']} {point['problem'] or told}".strip()
    return [str(point["id"]), date(point["at"]), str(point["kind"]), str(point["version"]), str(point["by"]), told]
