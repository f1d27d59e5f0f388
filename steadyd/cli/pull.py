"""The command `pull`: an app from a server, as one file or as a folder that runs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import click

from steadyd.cli.archive import SUFFIX, say_left_out, say_what_came, unpack
from steadyd.cli.server import uses_server_beside_data
from steadyd.cli.terminal import note, print_json, size
from steadyd.cli.verb import Verb, json_option

if TYPE_CHECKING:
    from steadyd.appfile import Manifest
    from steadyd.cli.client import Client


@click.command(cls=Verb)
@click.argument("name")
@click.option("--data", "with_data", is_flag=True, envvar="STEADYD_PULL_DATA", help="Its databases and files too.")
@click.option("--at", default="", metavar="TIME", help="As it was then, with data: 2h ago, a restore point.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="[default: NAME.steady]"
)
@click.option(
    "--into", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER", help="A folder for `run` instead."
)
@uses_server_beside_data
@json_option
def pull(
    client: Client, name: str, with_data: bool, at: str, output: Path | None, into: Path | None, as_json: bool
) -> None:
    """Fetch an app: every version that is kept, what is set of it and, with --data, what it wrote, as of one moment.

    The file can be run (steadyd run NAME.steady) and deployed elsewhere (steadyd deploy NAME.steady). --into writes the
    code of the live version, with its data in place, into a new folder.
    """
    if output and into:
        raise click.UsageError("-o writes a file and --into a folder: choose one")
    query = ({"data": "1"} if with_data else {}) | ({"at": at} if at else {})
    target = into or output or Path(f"{name}{SUFFIX}")
    if into:
        with cast("BinaryIO", tempfile.TemporaryFile()) as file:
            _fetch(client, name, query, file)
            manifest = unpack(file, into)
        say_what_came(manifest, into)
    else:
        manifest = _keep(client, name, query, target)
        count = len(manifest.versions)
        note(f"{count} version{'' if count == 1 else 's'}, {size(target.stat().st_size)}")
        note(f"Data as of {manifest.data.at.isoformat()}" if manifest.data else "Without its data (--data)")
        say_left_out(manifest)
    if as_json:
        print_json(_told(manifest, target))
    else:
        click.echo(str(target))


# Private


def _fetch(client: Client, name: str, query: dict[str, str], file: BinaryIO) -> None:
    from steadyd.cli.client import app_path

    client.fetch(app_path(name, "/archive"), query, name, file)


def _keep(client: Client, name: str, query: dict[str, str], target: Path) -> Manifest:
    """The file is there when all of it is, and is what it says."""
    from steadyd.appfile import AppFile
    from steadyd.tree import NO_LIMITS

    handle, part = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    try:
        with os.fdopen(handle, "w+b") as file:
            _fetch(client, name, query, file)
            app = AppFile(file, NO_LIMITS)
            for _ in app.contents():
                pass
            os.fsync(file.fileno())
        Path(part).replace(target)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    return app.manifest


def _told(manifest: Manifest, target: Path) -> dict[str, object]:
    data = manifest.data
    return {
        "path": str(target),
        "name": manifest.name,
        "version": manifest.live,
        "versions": [version.version for version in manifest.versions],
        "data": {"at": data.at.isoformat(), "files": len(data.files), "left_out": data.left_out} if data else None,
    }
