"""The options of every command that talks to a server, and the client they make."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click

from steadyd.cli.verb import Function


def uses_server(function: Function) -> Function:
    """Give `function` a connected `Client` as its first argument."""
    return _with_client(function, "--data")


def uses_server_beside_data(function: Function) -> Function:
    """The same for a command whose `--data` is about the app's data: there the daemon's folder has another flag."""
    return _with_client(function, "--daemon-data")


# Private


def _with_client(function: Function, data_flag: str) -> Function:
    @click.option("--server", metavar="URL", help="The server to talk to.  [default: the local daemon]")
    @click.option("--token", metavar="TOKEN", help="Whom the server takes you for.  [default: what was kept]")
    @click.option(
        data_flag,
        "data_folder",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        envvar="STEADYD_DATA",
        help="The local daemon's data folder, where its URL and the operator's token are.",
    )
    @functools.wraps(function)
    def with_client(*, server: str | None, token: str | None, data_folder: Path | None, **rest: Any) -> None:
        from steadyd.cli.client import Client, find_server

        with Client(find_server(server, data_folder, token)) as client:
            function(client, **rest)

    return with_client
