"""`steadyd preview`: a folder as a draft beside what is live. Stdout is its URL alone, stderr the rest."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from steadyd.cli.deploy import encode, say_what_goes, say_why_not
from steadyd.cli.follow import log_line
from steadyd.cli.server import uses_server
from steadyd.cli.terminal import milliseconds, note, print_json
from steadyd.cli.verb import Failure, Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client


@click.command(cls=Verb)
@click.argument("path", type=click.Path(exists=True, path_type=Path), default=".")
@click.option("--name", metavar="NAME", help="The app's name.  [default: the folder's name made to fit]")
@click.option("--fresh", is_flag=True, help="On a new copy of the data, not on what the last preview left.")
@uses_server
@json_option
def preview(client: Client, path: Path, name: str | None, fresh: bool, as_json: bool) -> None:
    """Run a folder beside what is live, on a copy of the app's data, and print its URL. Ctrl-C ends it.

    Nothing goes live. The app must be there: this is about its next version.
    """
    from steadyd.cli.client import DEPLOY_SECONDS_MAX, Refused, app_path
    from steadyd.cli.folder import collect
    from steadyd.model import check_name

    collected = collect(path, with_data=False)
    name = check_name(name or collected.name)
    say_what_goes("Previewing", name, collected)
    body: dict[str, Any] = {"files": encode(collected.tree)} | ({"fresh": True} if fresh else {})
    where = app_path(name, "/preview")
    try:
        answer = client.call("POST", where, body, app=name, seconds=DEPLOY_SECONDS_MAX)["preview"]
    except Refused as refusal:
        say_why_not(refusal)
        raise
    for told in answer["notes"]:
        note(told)
    note(f"Started in {milliseconds(answer['started_ms'])}. Nothing is live. Ctrl-C ends it.")
    if as_json:
        print_json(answer)
    else:
        click.echo(answer["url"])
    with contextlib.suppress(KeyboardInterrupt):
        for line in client.stream(f"{where}/logs", {"follow": 1}, app=name):
            note(log_line(line))
        raise Failure(f"{client.url} ended the stream")
    client.call("DELETE", where, app=name)
