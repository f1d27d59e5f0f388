"""The commands that look: `apps`, `show`, `versions`, `open`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from steadyd.cli.deploy import url_of
from steadyd.cli.server import uses_server
from steadyd.cli.terminal import date, note, print_json, print_pairs, print_table, size
from steadyd.cli.verb import Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client


@click.command(cls=Verb)
@click.option("--deleted", is_flag=True, help="List deleted apps, which `undelete` brings back.")
@uses_server
@json_option
def apps(client: Client, deleted: bool, as_json: bool) -> None:
    """List your apps."""
    answer = client.call("GET", "/apps?deleted=1" if deleted else "/apps")
    if as_json:
        print_json(answer)
        return
    listed = _list(answer, "apps")
    if not listed:
        note("No deleted apps." if deleted else "No apps yet. `steadyd deploy FOLDER` makes one.")
        return
    if deleted:
        rows = [
            [_text(app, "name"), _text(app, "state"), date(app.get("deleted_at")), date(app.get("kept_until"))]
            for app in listed
        ]
        print_table(["name", "state", "since", "kept until"], rows)
        return
    rows = [
        [_text(app, "name"), _text(app, "state"), _text(app, "version"), _memory(app), _text(app, "url")]
        for app in listed
    ]
    print_table(["name", "state", "version", "memory", "url"], rows)


@click.command(cls=Verb)
@click.argument("name")
@uses_server
@json_option
def show(client: Client, name: str, as_json: bool) -> None:
    """Show one app: state, version, limits, usage, last death."""
    from steadyd.cli.client import app_path

    answer = client.call("GET", app_path(name), app=name)
    if as_json:
        print_json(answer)
        return
    app = answer.get("app") or {}
    death = app.get("last_death") or {}
    print_pairs(
        {
            "name": _text(app, "name"),
            "url": _text(app, "url"),
            "state": _text(app, "state"),
            "version": _text(app, "version"),
            "owner": _text(app, "owner"),
            "created": date(app.get("created_at")),
            "updated": date(app.get("updated_at")),
            "expires": date(app.get("expires_at")),
            "memory": _memory(app),
            "requests": _text(app.get("usage") or {}, "requests"),
            "last death": f"{date(death.get('at'))}  {_text(death, 'message')}".strip(),
        }
    )


@click.command(cls=Verb)
@click.argument("name")
@click.option("--pin", type=click.IntRange(min=1), metavar="VERSION", help="Keep this one, whatever comes after it.")
@click.option("--unpin", type=click.IntRange(min=1), metavar="VERSION", help="No longer keep it for ever.")
@uses_server
@json_option
def versions(client: Client, name: str, pin: int | None, unpin: int | None, as_json: bool) -> None:
    """List an app's versions, the live one marked."""
    from steadyd.cli.client import app_path

    for number, pinned in ((pin, True), (unpin, False)):
        if number is not None:
            client.call("PATCH", app_path(name, f"/versions/{number}"), {"pinned": pinned}, app=name)
    answer = client.call("GET", app_path(name, "/versions"), app=name)
    if as_json:
        print_json(answer)
        return
    rows = []
    for version in _list(answer, "versions"):
        mark = " ".join(word for word in ("live", "pinned") if version.get(word))
        when, who = date(version.get("created_at")), _text(version, "author")
        said = _text(version, "message")
        rows.append([_text(version, "version"), mark, when, who, source_of(version), said])
    print_table(["version", "", "created", "by", "from", "message"], rows)


@click.command("open", cls=Verb)
@click.argument("name")
@uses_server
@json_option
def open_app(client: Client, name: str, as_json: bool) -> None:
    """Open an app in the browser; prints its URL."""
    import webbrowser

    from steadyd.cli.client import app_path

    url = url_of(client.call("GET", app_path(name), app=name))
    if as_json:
        print_json({"url": url})
    else:
        click.echo(url)
    if not webbrowser.open(url):
        note("No browser could be started here; open the URL yourself.")


def source_of(version: dict[str, Any]) -> str:
    """Where a version came from, in a few words: `folder at 1a2b3c4+` (with a plus where files differ from the commit),
    `remix of other`."""
    source, git = _text(version, "source"), version.get("git")
    if isinstance(git, dict):
        source += f" at {_text(git, 'commit')[:7]}{'+' if git.get('dirty') else ''}"
    return f"remix of {_text(version, 'remix_of')}" if version.get("remix_of") else source


# Private


def _list(answer: dict[str, Any], key: str) -> list[dict[str, Any]]:
    return [item for item in answer.get(key) or [] if isinstance(item, dict)]


def _text(item: dict[str, Any], key: str) -> str:
    value = item.get(key)
    return "" if value is None else str(value)


def _memory(app: dict[str, Any]) -> str:
    """Used of allowed, or "" while nothing runs."""
    used = (app.get("usage") or {}).get("memory_bytes")
    limit = (app.get("limits") or {}).get("memory_bytes")
    if not used:
        return ""
    return f"{size(used)} of {size(limit)}" if limit else size(used)
