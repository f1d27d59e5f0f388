"""`steadyd run`: laptop mode."""

from __future__ import annotations

from pathlib import Path

import click

from steadyd.cli.verb import Verb


@click.command(cls=Verb)
@click.argument("path", type=click.Path(exists=True, path_type=Path), default=".")
def run(path: Path) -> None:
    """Serve a folder (or one .ts/.js file) from here, reloading on change."""
    raise NotImplementedError
