"""`steadyd deploy`: a folder becomes the live version. Progress goes to stderr; stdout is the URL alone."""

from __future__ import annotations

import base64
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import click

from steadyd.cli.live import Live, find_live, say_what_changes
from steadyd.cli.progress import Steps, following, tell_what_failed
from steadyd.cli.server import uses_server
from steadyd.cli.terminal import milliseconds, note, print_json, size
from steadyd.cli.verb import Verb, json_option
from steadyd.errors import SteadyError
from steadyd.excerpt import excerpt

if TYPE_CHECKING:
    from steadyd.cli.client import Client
    from steadyd.cli.folder import Collected
    from steadyd.tree import Tree

LOG_LINES_SHOWN = 20
LEFT_OUT_SHOWN = 20
JSON_BYTES_MAX = 8 << 20
"""A larger tree goes as an archive: the server parses JSON while everybody waits."""


@click.command(cls=Verb)
@click.argument("path", type=click.Path(exists=True, path_type=Path), default=".")
@click.option("--name", metavar="NAME", help="The app's name.  [default: the folder's name made to fit]")
@click.option("--temporary", is_flag=True, help="An app that goes away by itself some days after its last edit.")
@click.option("-m", "--message", default="", metavar="TEXT", help="What this version changes, for its list.")
@click.option("--env-file", metavar="FILE", help="Variables that go live with it; -: from standard input.")
@click.option("--with-data", is_flag=True, help="Ship SQLite databases too: seeds for an app that has none yet.")
@click.option("--no-trial", is_flag=True, help="Go live without trying the version first.")
@click.option("--test", is_flag=True, help="Run the app's own tests on the copy of its data first.")
@click.option(
    "--replace-data", is_flag=True, help="Of an archive: put its data in place of the app's own, a restore point first."
)
@click.option("--force", is_flag=True, help="Deploy it even if no file has changed.")
@click.option(
    "--rehearse",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Ask the version what the app was asked lately, and tell what it answers otherwise.",
)
@click.option("--strict", is_flag=True, help="Go live only if the rehearsal finds no difference.")
@uses_server
@json_option
def deploy(
    client: Client,
    path: Path,
    name: str | None,
    temporary: bool,
    message: str,
    env_file: str | None,
    with_data: bool,
    no_trial: bool,
    test: bool,
    replace_data: bool,
    force: bool,
    rehearse: int,
    strict: bool,
    as_json: bool,
) -> None:
    """Deploy a folder (or one .ts/.js file) and print its URL. Of what `steadyd pull` wrote, make the whole app.

    .git, node_modules, .env*, SQLite databases and what .gitignore and .steadyignore name stay here. If nothing has
    changed since the live version, nothing is deployed.
    """
    from steadyd.cli.archive import is_archive, send_archive
    from steadyd.cli.client import DEPLOY_SECONDS_MAX, Refused, app_path
    from steadyd.cli.folder import collect
    from steadyd.model import check_name

    if is_archive(path):
        if env_file or with_data or force or test or rehearse or strict:
            said = "--name, --message, --temporary, --no-trial and --replace-data"
            raise click.UsageError(f"of an app's archive only {said} can be said")
        flags = _flags(temporary, no_trial, message) | ({"replace_data": True} if replace_data else {})
        send_archive(client, path, name, query_of(flags), as_json)
        return
    if replace_data:
        raise click.UsageError("--replace-data is about an app's archive (steadyd pull --data)")
    if test and no_trial:
        raise click.UsageError("--test is a part of the trial, which --no-trial leaves out")
    if strict and not rehearse:
        raise click.UsageError("--strict is about a rehearsal: say --rehearse N too")
    wanted = check_name(name) if name else ""
    collected = collect(path, with_data)
    name = wanted or check_name(collected.name)
    say_what_goes("Deploying", name, collected)
    live = find_live(client, name)
    say_what_changes(live, collected.tree)
    env = _variables(name, path, env_file)
    if live is not None and live.is_settled and not (force or env or live.changes(collected.tree)):
        _say_unchanged(live, collected, as_json)
        return
    wished = {"temporary": temporary, "test": test, "rehearse": rehearse, "strict": strict}
    flags = {name: value for name, value in wished.items() if value} | ({"trial": False} if no_trial else {})
    about = flags | describe(path, message)
    body: Any = {"files": encode(collected.tree), **about, **({"env": env} if env else {})}
    path_and_query = app_path(name)
    if sum(map(len, collected.tree.values())) > JSON_BYTES_MAX:
        if env:
            raise SteadyError("too_large", f"--env-file goes with at most {JSON_BYTES_MAX >> 20} MiB of files")
        body = pack(collected.tree)
        path_and_query += "?" + query_of(about | ({"with_data": True} if with_data else {}))
    steps = Steps()
    try:
        with following(client, name, steps):
            answer = client.call("PUT", path_and_query, body, app=name, seconds=DEPLOY_SECONDS_MAX)
    except Refused as refusal:
        if live is None and refusal.code == "deploy_failed":
            tell_what_failed(client, name, steps)
        say_why_not(refusal)
        raise
    if answer.get("token"):
        client.tokens.keep(client.url, name, str(answer["token"]))
    say_what_happened(answer, steps)
    if as_json:
        print_json(answer | {"left_out": _left_out(collected)})
    else:
        click.echo(url_of(answer))


def describe(path: Path, message: str) -> dict[str, Any]:
    """Where the files come from and what is said of them, as the API's JSON takes it."""
    from steadyd.cli.git import commit_at

    commit = commit_at(path if path.is_dir() else path.parent)
    said: dict[str, Any] = {"source": "folder"} | ({"message": message} if message else {})
    if commit is not None:
        said["git"] = {"commit": commit.id, "remote": commit.remote, "dirty": commit.dirty}
    return said


def query_of(about: dict[str, Any]) -> str:
    """The same for a query, beside a body that is no JSON: an object's fields get its name in front."""
    flat: dict[str, Any] = {}
    for name, value in about.items():
        flat |= {f"{name}_{key}": inner for key, inner in value.items()} if isinstance(value, dict) else {name: value}
    return urlencode({name: str(value).lower() if isinstance(value, bool) else value for name, value in flat.items()})


def encode(tree: Tree) -> dict[str, Any]:
    """The tree as the API takes it: text where the bytes are UTF-8, else base64."""
    files: dict[str, Any] = {}
    for path, content in tree.items():
        try:
            files[path] = content.decode()
        except UnicodeDecodeError:
            files[path] = {"base64": base64.b64encode(content).decode()}
    return files


def pack(tree: Tree) -> bytes:
    """The tree as a tar.gz, for what is too large to be parsed as JSON."""
    import io
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for path, content in tree.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def url_of(answer: dict[str, Any]) -> str:
    """The app's URL in an API answer.

    Raises:
        SteadyError: if the answer has none.
    """
    app = answer.get("app")
    url = app.get("url") if isinstance(app, dict) else None
    if not isinstance(url, str):
        raise SteadyError("internal", "the server's answer names no URL")
    return url


# Private


def _flags(temporary: bool, no_trial: bool, message: str) -> dict[str, Any]:
    """What goes along with an archive."""
    said: dict[str, Any] = {"temporary": True} if temporary else {}
    return said | ({"trial": False} if no_trial else {}) | ({"message": message} if message else {})


def _variables(name: str, path: Path, env_file: str | None) -> dict[str, str]:
    """Those that go along; a .env that stays here is offered."""
    from steadyd.cli.env import imported

    if env_file:
        return imported(env_file)
    if (path / ".env").is_file():
        file = shlex.quote(str(path / ".env"))
        note(f"  .env stays here; for its variables: --env-file {file}, or later: steadyd env {name} import {file}")
    return {}


def say_what_goes(doing: str, name: str, collected: Collected) -> None:
    tree = collected.tree
    total = size(sum(len(content) for content in tree.values()))
    note(f"{doing} {name}: {len(tree)} file{'' if len(tree) == 1 else 's'}, {total}")
    for path in collected.seeds:
        note(f"  with data {path} (only where the app has no such database)")
    for out in collected.left_out[:LEFT_OUT_SHOWN]:
        note(f"  left out  {out.path} ({out.reason})")
    if len(collected.left_out) > LEFT_OUT_SHOWN:
        note(f"  left out  {len(collected.left_out) - LEFT_OUT_SHOWN} more (--json lists them all)")


def _left_out(collected: Collected) -> list[dict[str, str]]:
    return [{"path": out.path, "reason": out.reason} for out in collected.left_out]


def _say_unchanged(live: Live, collected: Collected, as_json: bool) -> None:
    note(f"Nothing has changed since version {live.number}, which is live (--force deploys it again)")
    if as_json:
        print_json({"app": live.app, "unchanged": True, "left_out": _left_out(collected)})
    else:
        click.echo(url_of({"app": live.app}))


def say_what_happened(answer: dict[str, Any], told: Steps) -> None:
    deployed = answer.get("deploy")
    deployed = deployed if isinstance(deployed, dict) else {}
    steps = [step for step in deployed.get("steps") or [] if isinstance(step, dict)]
    told.rest(answer)
    for step in steps:
        if step.get("hosts"):
            note(f"  asked for, and not reached by the trial: {', '.join(map(str, step['hosts']))}")
    for sentence in answer.get("notes") or []:
        note(f"  note: {sentence}")
    total = sum(step["ms"] for step in steps if isinstance(step.get("ms"), int | float))
    version = deployed.get("version") or answer.get("app", {}).get("version")
    note(f"Version {version} is live{f' after {milliseconds(total)}' if steps else ''}")


def say_why_not(refusal: Any) -> None:
    """What the server knows about a failed deploy, above the reason."""
    details = refusal.details
    for line in list(details.get("logs") or [])[-LOG_LINES_SHOWN:]:
        note(f"  | {line.get('text', line) if isinstance(line, dict) else line}")
    if refusal.code == "too_large" and details.get("option"):
        note("  .steadyignore names what to leave out; the operator of the server may raise the limit")
    if details.get("file"):
        place = ":".join(str(details[key]) for key in ("file", "line", "column") if details.get(key))
        note(f"  at {place}")
    for line in excerpt(str(details.get("source_line") or ""), int(details.get("column") or 1)):
        note(f"    {line}")
