"""The front page: an editor with files in it, and the form that makes them an app. Nothing runs before somebody says
so, wherever the files come from: the opening example, a template, another app, or a link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.model import File
from steadyd.records.versions import LOCK
from steadyd.web import auth
from steadyd.web.appview import EDITOR_BYTES_MAX, EDITOR_FILES_MAX, excerpt, place_of
from steadyd.web.body import Allowance
from steadyd.web.gallery import OPENING, TEMPLATES, files_of
from steadyd.web.launch import create
from steadyd.web.page import Visit, form_route, page_route
from steadyd.web.remix import named, original_of
from steadyd.web.rooms import Rooms
from steadyd.web.safetext import text_of
from steadyd.web.upload import SOURCE_PATH, Upload

FILE_FIELD = "file:"


@dataclass(frozen=True, slots=True)
class Opened:
    """What is open in the editor: texts by path. Of a remix also the files that no editor takes, and the names of the
    original's variables."""

    files: Mapping[str, str]
    template: str = ""
    remix_of: str = ""
    version: int = 0
    others: tuple[File, ...] = ()
    variables: tuple[str, ...] = ()
    name: str = field(default="", kw_only=True)

    @property
    def draft(self) -> str:
        """What a browser keeps a draft of it under: no app's name, and another one for each beginning."""
        return f"new:{self.template or self.remix_of}" if self.template or self.remix_of else ""


def routes(rooms: Rooms, allowance: Allowance) -> list[Route]:
    return [
        page_route("/", home, rooms),
        page_route("/new", new, rooms),
        form_route("/apps", run, rooms, allowance),
    ]


async def home(visit: Visit) -> Response:
    return _show(visit, Opened(files_of(OPENING)))


async def new(visit: Visit) -> Response:
    """A template, or an app to remix, open and not run. A script opens what a link carries (static/src/new.ts)."""
    said = visit.request.query_params
    if "from" in said:
        return _show(visit, await _remix(visit, said["from"]))
    if "template" in said:
        return _show(visit, Opened(files_of(said["template"]), said["template"]))
    return await home(visit)


async def run(visit: Visit) -> Response:
    """The form: make the files an app."""
    rooms, caller = visit.rooms, visit.caller
    opened = _typed(visit)
    try:
        upload = Upload(await _tree(visit, opened), "paste", name=opened.name or None, based_on=opened.remix_of)
        launch = partial(create, rooms, caller, auth.client_address(visit.request), upload)
        launched = await named(rooms, await original_of(rooms, caller, upload), upload, launch)
    except SteadyError as error:
        return _show(visit, opened, error)
    done = launched.deployed
    response = visit.go(f"/apps/{done.app.name}?deployed={done.deploy.id}")
    if launched.guest is not None:
        await auth.begin_session(rooms, visit.request, response, launched.guest)
    return response


# Private


def _show(visit: Visit, opened: Opened, error: SteadyError | None = None) -> Response:
    return visit.html(
        "home.html", error.status if error else 200, opened=opened, templates=TEMPLATES, error=error,
        excerpt=excerpt(opened.files, place_of(error)),
    )  # fmt: skip


async def _remix(visit: Visit, name: str) -> Opened:
    """The live version of an app whose source this person may read.

    Raises:
        SteadyError: `not_found`.
    """
    rooms = visit.rooms
    original = await original_of(rooms, visit.caller, Upload({}, "paste", remix_of=name))
    assert original is not None
    version = await rooms.versions.one(original.app.id, original.app.version)
    assert version is not None
    texts: dict[str, str] = {}
    others, left = [], EDITOR_BYTES_MAX
    for file in sorted(version.files, key=lambda file: (file.path != version.entry, file.path)):
        fits = file.path != LOCK and file.size <= left and len(texts) < EDITOR_FILES_MAX
        text = text_of(await rooms.deployer.content(file)) if fits else None
        if text is None or "\r" in text:  # a text area knows line feeds only
            others.append(file)
        else:
            texts[file.path] = text
            left -= file.size
    return Opened(texts, "", original.app.name, version.number, tuple(others), tuple(original.variables))


def _typed(visit: Visit) -> Opened:
    """What came with the form."""
    form, entry = visit.form, visit.form.get("source")
    files = {name.removeprefix(FILE_FIELD): text for name, text in form.items() if name.startswith(FILE_FIELD)}
    if entry is not None:
        files = {SOURCE_PATH: entry} | files
    version = form.get("remix_version", "")
    return Opened(
        files, form.get("template", ""), form.get("remix_of", ""),
        int(version) if version.isascii() and version.isdecimal() and len(version) < 10 else 0,
        name=form.get("name", "").strip(),
    )  # fmt: skip


async def _tree(visit: Visit, opened: Opened) -> dict[str, bytes | None]:
    """The typed texts, and of a remix the files that the form had no place for.

    Raises:
        SteadyError: `not_found` where the original may be read no more.
    """
    tree: dict[str, bytes | None] = {path: text.encode() for path, text in opened.files.items()}
    if not opened.remix_of:
        return tree
    rooms = visit.rooms
    original = await original_of(rooms, visit.caller, Upload({}, "paste", remix_of=opened.remix_of))
    version = await rooms.versions.one(original.app.id, opened.version) if original is not None else None
    for file in version.files if version is not None else ():
        if file.path not in tree:
            tree[file.path] = await rooms.deployer.content(file)
    return tree
