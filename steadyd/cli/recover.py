"""`steadyd recover`: a lost host's records, from its backup target into an empty data folder. `serve` does the rest."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from steadyd.cli.serve import replica_credentials
from steadyd.cli.terminal import print_json
from steadyd.cli.verb import Failure, Verb, json_option
from steadyd.config import Config, default_data
from steadyd.errors import SteadyError

if TYPE_CHECKING:
    from steadyd.backup.recovery import Recovered


@click.command(cls=Verb)
@click.option("--replica", required=True, metavar="URL", help="Where the lost host's backups are.")
@click.option(
    "--replica-credentials",
    "credentials",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Its keys, as for serve.",
)
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="The new data folder.")
@json_option
def recover(replica: str, credentials: Path | None, data: Path | None, as_json: bool) -> None:
    """Take over a lost host: bring its records back from its backups.

    From now on the host that was there before is superseded: it stops its apps within seconds. `steadyd serve` with the
    same --replica and --data then brings each app back before its first answer, and does all this by itself where the
    data folder is empty. Copy secrets.key into the data folder: without it, apps with stored variables do not start.
    """
    import asyncio

    try:
        said = replica_credentials(replica, credentials)
    except SteadyError as error:
        raise click.UsageError(error.message) from None
    folder = (data or default_data(os.environ)).absolute()
    config = Config(data=folder, replica=replica, replica_credentials=said)
    recovered = asyncio.run(_recover(config))
    if recovered is None:
        raise Failure(
            f"Nothing to do: {replica} is empty, or {folder} has a host's data already. Choose an empty --data."
        )
    if as_json:
        print_json({"recovered": dataclasses.asdict(recovered)})
        return
    click.echo(str(recovered))
    click.echo(f"next: steadyd serve --replica {replica} --data {folder}")
    if not (folder / "secrets.key").exists():
        click.echo(f"secrets.key is in no backup: copy yours to {folder / 'secrets.key'}")


async def _recover(config: Config) -> Recovered | None:
    from steadyd.backup.arrival import arrive
    from steadyd.backup.recovery import recover as bring_back
    from steadyd.backup.target import parse_target
    from steadyd.premises import data_folder, sandbox_problem
    from steadyd.runner import engine
    from steadyd.runner.tool import Tools

    with data_folder(config):
        arrival = await arrive(parse_target(config.replica_url, config.replica_credentials), config.data)
        built = engine.prepare(config.data / "engine")
        problem = await sandbox_problem(config, Tools(built, True))
        return await bring_back(arrival, config.database, Tools(built, not problem))
