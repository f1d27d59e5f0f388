"""`steadyd restore`: an app's data as it was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from steadyd.cli.progress import Steps, following
from steadyd.cli.server import uses_server
from steadyd.cli.terminal import date, note, print_json
from steadyd.cli.verb import Verb, json_option
from steadyd.errors import SteadyError

if TYPE_CHECKING:
    from steadyd.cli.client import Client

RESTORE_SECONDS_MAX = 3_600.0
"""A large database from a far object store."""


@click.command(cls=Verb)
@click.argument("name")
@click.option(
    "--at",
    required=True,
    metavar="TIME|POINT",
    help="2h ago, yesterday 14:00 (your time), an ISO time, a restore point, or before:deploy:12.",
)
@click.option("--dry-run", is_flag=True, help="Only say which moment that is.")
@uses_server
@json_option
def restore(client: Client, name: str, at: str, dry_run: bool, as_json: bool) -> None:
    """Bring an app's data back as it was at a moment; code and variables stay.

    What is live becomes a restore point first, so that a restore can be undone.
    """
    from steadyd.cli.client import app_path

    meant = meaning(client, name, at)
    if dry_run:
        if as_json:
            print_json(meant)
        return
    steps = Steps()
    with following(client, name, steps):
        body = {"point": meant["moment"]["point"]} if meant["moment"]["point"] else {"at": spoken(at)}
        answer = client.call("POST", app_path(name, "/restore"), body, app=name, seconds=RESTORE_SECONDS_MAX)
    if as_json:
        print_json(answer)
    elif answer.get("undo"):
        note(f"Done. Undo: steadyd restore {name} --at {answer['undo']}")


def meaning(client: Client, name: str, at: str) -> dict[str, Any]:
    """Which moment `at` really is, told to the user before anything happens."""
    from urllib.parse import quote

    from steadyd.cli.client import app_path

    path = app_path(name, f"/backups/moment?at={quote(spoken(at), safe='')}")
    answer = client.call("GET", path, app=name, seconds=RESTORE_SECONDS_MAX)
    moment = answer["moment"]
    parts = [f"{db['path']} as of {date(db['at'])}" for db in moment["databases"]]
    parts += [f"other files as of {date(moment['files_at'])}"] if moment["files_at"] else []
    within = moment["precision_seconds"]
    exact = "exactly" if not within else f"nothing up to then is missing; of the {within:.0f} s after it, all is"
    note(f"{name} at {date(moment['at'])} ({exact}): {', '.join(parts) or 'no data'}")
    return answer


def spoken(at: str, now: datetime | None = None) -> str:
    """What the API is sent: a time in the user's own zone becomes one in UTC, the rest stays.

    Raises:
        click.UsageError: it is no moment.
    """
    from steadyd.backup.when import At, AtPoint, read_when

    try:
        found = read_when(at, (now or datetime.now(UTC)).astimezone())
    except SteadyError as error:
        raise click.UsageError(error.message) from None
    if isinstance(found, At):
        return datetime.fromtimestamp(found.time, UTC).isoformat()
    return f"point:{found.point}" if isinstance(found, AtPoint) else f"before:deploy:{found.version}"
