"""`steadyd run`: laptop mode. What it prints is decided here; what it does, in `steadyd.laptop`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from steadyd.cli.follow import log_line, request_line
from steadyd.cli.terminal import note, print_json
from steadyd.cli.verb import Verb, json_option
from steadyd.model import check_name

if TYPE_CHECKING:
    from steadyd.laptop import Laptop, LogLine, RequestRecord


@click.command(cls=Verb)
@click.argument("path", type=click.Path(exists=True, path_type=Path), default=".")
@click.option("--name", metavar="NAME", help="The app's name.  [default: the folder's name made to fit]")
@click.option("--port", type=click.IntRange(0, 65_535), help="[default: 8080, else the next free one]")
@click.option("--open", "open_browser", is_flag=True, help="Open it in the browser.")
@click.option("--raw", is_flag=True, help="Let control characters and colours of the app through.")
@click.option("--crons", is_flag=True, help="Fire the app's crons at their moments, as a server does.")
@click.option(
    "--trial", is_flag=True, help="Only try the next deploy, on a copy of the data, and say what comes of it."
)
@json_option
def run(
    path: Path,
    name: str | None,
    port: int | None,
    open_browser: bool,
    raw: bool,
    crons: bool,
    trial: bool,
    as_json: bool,
) -> None:
    """Serve a folder (or one .ts/.js file) from here, reloading on change.

    Needs no server and no root. Data stays in the folder. Ctrl-C stops. What `steadyd pull` wrote is unpacked into a
    folder beside it first, and runs there.
    """
    path, name = _unpacked(path, name)
    if trial:
        from steadyd.cli.trial import try_folder

        try_folder(path, name, as_json)
        return
    from steadyd import laptop

    show = laptop.Show(
        ready=lambda url, plain: _ready(url, plain, open_browser, as_json),
        line=lambda line: _print_line(line, raw, as_json),
        request=lambda record: _print_request(record, as_json),
    )
    laptop.run(replace(_laptop(path, name, port), crons=crons), show)
    _let_go_of_output()


# Private


def _unpacked(path: Path, name: str | None) -> tuple[Path, str | None]:
    """The folder to run, and the app's name: those of an archive, if `path` is one."""
    from steadyd.cli.archive import beside, is_archive

    return beside(path, name) if is_archive(path) else (path, name)


def _let_go_of_output() -> None:
    """Python flushes once more at its end; if whoever read us has gone, that would turn a good end into a failure."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _laptop(path: Path, name: str | None, port: int | None) -> Laptop:
    """What to run. The app gets this shell's environment, as it would from `bun index.ts`, but nothing of ours.

    Raises:
        SteadyError: `invalid_name` or `no_entry`.
    """
    from steadyd.cli.folder import ignored_in, is_database, name_for
    from steadyd.errors import SteadyError
    from steadyd.laptop import Laptop, Source
    from steadyd.tree import ENTRY_SUFFIXES

    real = Path(os.path.realpath(path))
    if not real.is_dir() and real.suffix not in ENTRY_SUFFIXES:
        raise SteadyError("no_entry", f"{path} is not a folder, nor a source file ({', '.join(ENTRY_SUFFIXES)})")
    folder, file = (real, "") if real.is_dir() else (real.parent, real.name)
    if not file:
        _check_entry(folder)
    return Laptop(
        source=Source(check_name(name or name_for(path)), folder, file),
        port=port,
        environ={key: value for key, value in os.environ.items() if not key.startswith(("STEADYD_", "STEADY_"))},
        is_ignored=ignored_in(str(folder)),
        is_database=is_database,
    )


def _check_entry(folder: Path) -> None:
    """A folder in which nothing can be run is the wrong folder; what is only broken is waited for.

    Raises:
        SteadyError: `no_entry`.
    """
    from steadyd.errors import SteadyError
    from steadyd.runner.local import entry_of

    try:
        entry_of(folder)
    except SteadyError as error:
        if error.code == "no_entry":
            raise SteadyError("no_entry", f"{folder}: {error.message}") from None


def _ready(url: str, plain: str, open_browser: bool, as_json: bool) -> None:
    if as_json:
        print_json({"event": "ready", "url": url, "localhost_url": plain}, compact=True)
    else:
        click.echo(f"{url}\n{plain}  (the same; Ctrl-C stops)")
    if open_browser:
        import webbrowser

        if not webbrowser.open(url):
            note("No browser could be started here; open the URL yourself.")


def _print_line(line: LogLine, raw: bool, as_json: bool) -> None:
    if as_json:
        item = {"event": "log", "at": line.at, "source": line.source, "text": line.text}
        print_json(item, compact=True)
    elif raw and line.source == "app":
        click.echo(line.text, color=True)
    else:
        click.echo(log_line({"at": line.at, "source": line.source, "text": line.text}))


def _print_request(record: RequestRecord, as_json: bool) -> None:
    item: dict[str, Any] = {
        "at": record.started_at / 1_000_000,
        "method": record.method,
        "path": record.path,
        "status": record.status,
        "total_us": record.total_us,
        "error": record.error,
    }
    if as_json:
        print_json({"event": "request", **item}, compact=True)
    else:
        click.echo(request_line(item))
