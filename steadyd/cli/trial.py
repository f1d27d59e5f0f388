"""`steadyd run --trial`: what the next deploy of a folder would come to, told as `steadyd deploy` tells it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from steadyd.cli.deploy import say_what_goes, say_why_not
from steadyd.cli.terminal import milliseconds, note, print_json
from steadyd.errors import SteadyError
from steadyd.model import check_name

if TYPE_CHECKING:
    from steadyd.cli.folder import Collected


def try_folder(path: Path, name: str | None, as_json: bool) -> None:
    """Try it, and print what would happen.

    Raises:
        SteadyError: why a deploy would be refused.
    """
    from steadyd.cli.folder import collect
    from steadyd.trial import Candidate, run_trial

    collected = collect(path)
    name = check_name(name or collected.name)
    say_what_goes("Trying", name, collected)
    real = Path(os.path.realpath(path))
    folder = real if real.is_dir() else real.parent
    candidate = Candidate(name, collected.tree, folder, list(_not_data(folder, collected)), _variables(folder))
    try:
        tried = run_trial(candidate)
    except SteadyError as error:
        say_why_not(error)
        raise
    for step, ms in tried.steps:
        note(f"  {step:<7}  {milliseconds(ms):>8}")
    for sentence in tried.notes:
        note(f"  note: {sentence}")
    if tried.unconfined:
        note(f"  note: It was tried without a sandbox, which a server has: {tried.unconfined}")
    if as_json:
        steps = [{"name": step, "ms": round(ms, 1)} for step, ms in tried.steps]
        print_json({"name": name, "steps": steps, "notes": tried.notes, "sandboxed": not tried.unconfined})
    else:
        click.echo(f"{name} would go live.")


# Private


def _not_data(folder: Path, collected: Collected) -> Iterator[str]:
    """Files that a deploy leaves out and that are not the app's data either."""
    from steadyd.cli.folder import NEVER_SHIPPED

    for out in collected.left_out:
        name = out.path.rstrip("/").rpartition("/")[2]
        if name.startswith(".env") or name in NEVER_SHIPPED:
            yield out.path
            for here, _, files in os.walk(folder / out.path):
                yield from (os.path.relpath(os.path.join(here, file), folder) for file in files)


def _variables(folder: Path) -> dict[str, str]:
    """Those of the folder's .env that an app may have: as if they had been imported."""
    from steadyd.envfile import parse
    from steadyd.variables import why_reserved

    try:
        text = (folder / ".env").read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    return {name: value for name, value in parse(text).items() if not why_reserved(name)}
