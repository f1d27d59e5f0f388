"""An app's archive on a laptop: known, unpacked into a folder that runs, sent to a server."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from steadyd.cli.terminal import note, print_json, safe_line, size
from steadyd.errors import SteadyError

if TYPE_CHECKING:
    from steadyd.appfile import Manifest
    from steadyd.cli.client import Client

SUFFIX = ".steady"


def is_archive(path: Path) -> bool:
    """Whether a file is one, whatever it is called; a source file is read no further than its first bytes."""
    if not path.is_file():
        return False
    from steadyd.appfile import is_appfile

    with path.open("rb") as file:
        return is_appfile(file)


def beside(path: Path, name: str | None) -> tuple[Path, str]:
    """An archive unpacked into a folder beside it, and the app's name.

    Raises:
        SteadyError: `conflict` if there is something already: it may hold data.
    """
    folder = path.with_suffix("") if path.suffix else path.with_name(f"{path.name}-app")
    if folder.exists():
        said = f"{folder} is there already, perhaps with data. Run it: steadyd run {folder} (or move it away)"
        raise SteadyError("conflict", said)
    with path.open("rb") as file:
        manifest = unpack(file, folder)
    say_what_came(manifest, folder)
    return folder, name or manifest.name


def unpack(file: BinaryIO, folder: Path) -> Manifest:
    """The code of the version that was live, with the data in place, in a new folder: whole, or not at all.

    Raises:
        SteadyError: `conflict` if the folder is there and not empty; `invalid_archive` and its kin.
    """
    from steadyd.appfile import AppFile
    from steadyd.tree import NO_LIMITS

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SteadyError("conflict", f"{folder} is not empty; choose another folder")
    app = AppFile(file, NO_LIMITS)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _fill(app, part)
        part.chmod(0o755)
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return app.manifest


def say_what_came(manifest: Manifest, folder: Path) -> None:
    """Where the app is now, and what it lacks there."""
    note(f"Unpacked version {manifest.live} of {manifest.name} into {folder}")
    if manifest.data is not None:
        total = size(sum(file.bytes for file in manifest.data.files))
        note(f"  with {len(manifest.data.files)} files of its data ({total}), as of {manifest.data.at.isoformat()}")
        say_left_out(manifest)
    if manifest.variables:
        note(f"  variables without a value here: {', '.join(sorted(manifest.variables))}")


def say_left_out(manifest: Manifest) -> None:
    for path, reason in (manifest.data.left_out if manifest.data else {}).items():
        note(f"  left out  {safe_line(path)} ({safe_line(reason)})")


def send_archive(client: Client, path: Path, name: str | None, query: str, as_json: bool) -> None:
    """Make the app on a server."""
    from steadyd.appfile import AppFile
    from steadyd.cli.client import DEPLOY_SECONDS_MAX, app_path
    from steadyd.cli.deploy import say_what_happened, url_of
    from steadyd.cli.progress import Steps, following
    from steadyd.model import check_name
    from steadyd.tree import NO_LIMITS

    with path.open("rb") as file:
        manifest = AppFile(file, NO_LIMITS).manifest
    name = check_name(name or manifest.name)
    count = len(manifest.versions)
    note(f"Deploying {name}: {count} version{'' if count == 1 else 's'}, {size(path.stat().st_size)}")
    steps = Steps()
    with following(client, name, steps):
        where = app_path(name) + (f"?{query}" if query else "")
        answer: dict[str, Any] = client.call("PUT", where, path, app=name, seconds=DEPLOY_SECONDS_MAX)
    if answer.get("token"):
        client.tokens.keep(client.url, name, str(answer["token"]))
    say_what_happened(answer, steps)
    if as_json:
        print_json(answer)
    else:
        click.echo(url_of(answer))


# Private


def _fill(app: Any, folder: Path) -> None:
    """Shipped files first; a database that was shipped as a seed gives way to what became of it."""
    from steadyd.runner.handover import put

    places: dict[str, list[str]] = {}
    for path, address in app.manifest.running.files.items():
        places.setdefault(address, []).append(path)
    for entry, content in app.contents():
        if entry.kept is not None:
            (folder / entry.kept.path).unlink(missing_ok=True)
            put(folder, entry.kept.path, content, entry.kept.mode)
        elif first := places.get(entry.sha256):
            put(folder, first[0], content, 0o644)
            for other in first[1:]:
                (folder / other).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / first[0], folder / other)
