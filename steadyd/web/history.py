"""The pages of an app's versions: the list, one with its files, two compared; and the form that goes back to one.

Whoever may read the app's source sees them; who made a version, and what one can do with it, is its owner's.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from steadyd.backup.aims import Aim
from steadyd.errors import SteadyError
from steadyd.model import App, Deploy, File, Version
from steadyd.moment import Point, PointKind
from steadyd.patch import compare
from steadyd.web.answers import NO_STORE
from steadyd.web.body import Allowance
from steadyd.web.deploys import data_for
from steadyd.web.diffs import FileDiff, compared, joined
from steadyd.web.hunks import Row, rows
from steadyd.web.page import Visit, form_route, page_route
from steadyd.web.readers import readable, show
from steadyd.web.rooms import Rooms
from steadyd.web.safetext import text_of

VERSIONS_PER_PAGE_MAX = 20
TEXT_BYTES_MAX = 256 << 10
"""Of a file whose text is on the page."""
ROWS_MAX = 2_000
"""Of all files on one page that compares."""
NEWEST = 1 << 53
ORIGINS = {
    "paste": "pasted", "json": "sent as JSON", "folder": "from a folder", "archive": "from an archive",
    "multipart": "sent as files", "merge": "edited", "remix": "a remix",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compared:
    """One file that differs. `rows` is None where they are too many to be shown."""

    file: FileDiff
    rows: list[Row] | None


@dataclass(frozen=True, slots=True)
class Way:
    """How one can go back to a version: with which data, or why only to its code; and whether it ran with other
    variables."""

    aim: Aim | None
    problem: str
    other_variables: bool


@dataclass(frozen=True, slots=True)
class Done:
    """What was gone back to, and what undoes it."""

    deploy: Deploy
    version: int
    data: str
    env: bool


def routes(rooms: Rooms, allowance: Allowance) -> list[Route]:
    here = "/apps/{name}/versions"
    return [
        page_route(here, list_versions, rooms),
        page_route(f"{here}/diff", show_diff, rooms),
        page_route(f"{here}/{{n}}", show_version, rooms),
        form_route(f"{here}/{{n}}/pin", pin, rooms, allowance),
        form_route("/apps/{name}/rollback", rollback, rooms, allowance),
    ]


async def list_versions(visit: Visit) -> Response:
    return await _list(visit, await readable(visit))


async def show_version(visit: Visit) -> Response:
    app = await readable(visit)
    return await source(visit, app, await _version(visit.rooms, app, visit.request.path_params["n"]))


async def show_diff(visit: Visit) -> Response:
    """Two versions; without `from` a version and the one before it. With `as=patch` what `git apply` takes."""
    app, said = await readable(visit), visit.request.query_params
    after = await _version(visit.rooms, app, said.get("to") or str(app.version))
    begin = said.get("from") or str(await visit.rooms.versions.before(app.id, after.number) or after.number)
    before = await _version(visit.rooms, app, begin)
    files = await compared(visit.rooms, compare(before.files, after.files))
    if said.get("as") == "patch":
        name = f"{app.name}-{before.number}-{after.number}.patch"
        headers = {**NO_STORE, "content-disposition": f'attachment; filename="{name}"'}
        return Response(joined(files), 200, headers, "text/x-diff; charset=utf-8")
    return await show(visit, app, "diff.html", before=before, after=after, files=_bounded(files))


async def source(visit: Visit, app: App, version: Version, error: SteadyError | None = None) -> Response:
    """One version: what it is, its files, the text of one of them, and for its owner how to go back to it."""
    asked = visit.request.query_params.get("file") or version.entry or "index.html"
    files = sorted(version.files, key=lambda file: (file.path != version.entry, file.path))
    file = next((file for file in files if file.path == asked), None)
    if file is None and visit.request.query_params.get("file"):
        shown_path = asked[:200].encode("utf-8", "replace").decode()
        raise SteadyError("not_found", f"Version {version.number} has no file “{shown_path}”.", {"path": shown_path})
    return await show(
        visit, app, "version.html", error, version=version, files=files, file=file,
        text=await _text(visit.rooms, file), before=await visit.rooms.versions.before(app.id, version.number),
        origins=ORIGINS, way=await _way(visit, app, version),
    )  # fmt: skip


async def pin(visit: Visit) -> Response:
    """Keep a version whatever comes after it, or let go of it."""
    app = await visit.app()
    version = await _version(visit.rooms, app, visit.request.path_params["n"])
    try:
        await visit.rooms.versions.pin(app.id, version.number, visit.form.get("pinned") == "1")
    except SteadyError as error:
        return await source(visit, app, version, error)
    return visit.go(f"/apps/{app.name}/versions/{version.number}")


async def rollback(visit: Visit) -> Response:
    """Make another version live again: its code, and as the form says its data and variables. What this replaces can
    be had back: a restore point has the data, and the version is there."""
    app, form, rooms = await visit.app(), visit.form, visit.rooms
    data, env = form.get("data", "keep"), form.get("env") == "1"
    number = _number(form.get("version", ""))
    try:
        if not number:
            raise SteadyError("invalid", "That is no version.")
        deployed = await rooms.deployer.rollback(visit.principal, app, number, env, data_for(rooms, data, number))
    except SteadyError as error:
        version = await rooms.versions.one(app.id, number)
        return await (source(visit, app, version, error) if version else _list(visit, app, error))
    said: dict[str, object] = {"deployed": deployed.deploy.id, "from": app.version, "env": int(env)}
    if data != "keep" and (undo := await _undo(rooms, app)) is not None:
        said["undo"] = undo.id
    return visit.go(f"/apps/{app.name}/versions?{urlencode(said)}")


# Private


async def _list(visit: Visit, app: App, error: SteadyError | None = None) -> Response:
    rooms, said = visit.rooms, visit.request.query_params
    below = _number(said.get("below", "")) or NEWEST
    found = await rooms.versions.page(app.id, below, VERSIONS_PER_PAGE_MAX + 1)
    listed, mine = found[:VERSIONS_PER_PAGE_MAX], visit.caller.owns(app)
    span = (listed[-1].version.number, listed[0].version.number) if listed else (0, 0)
    deploys = await rooms.journal.live_deploys(app.id, *span) if mine else {}
    return await show(
        visit, app, "versions.html", error, listed=listed, deploys=deploys, origins=ORIGINS,
        more=listed[-1].version.number if len(found) > VERSIONS_PER_PAGE_MAX else 0, newest=below == NEWEST,
        done=await _done(visit, app) if mine and visit.request.method == "GET" else None,
    )  # fmt: skip


async def _version(rooms: Rooms, app: App, said: str) -> Version:
    """The version that an address names.

    Raises:
        SteadyError: `not_found`.
    """
    version = await rooms.versions.one(app.id, _number(said))
    if version is None:
        raise SteadyError("not_found", f"There is no version “{said[:20]}” of “{app.name}”.", {"version": said[:20]})
    return version


def _number(said: str) -> int:
    """0 for what is no number of a version."""
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 10 else 0


async def _text(rooms: Rooms, file: File | None) -> str | None:
    if file is None or file.size > TEXT_BYTES_MAX:
        return None
    return text_of(await rooms.deployer.content(file))


def _bounded(files: list[FileDiff]) -> list[Compared]:
    """With rows for so many lines; what does not fit has none."""
    left, found = ROWS_MAX, []
    for file in files:
        made = list(rows(file.patch)) if file.added + file.deleted <= left else []
        fits = bool(made) and len(made) <= left
        left -= len(made) if fits else 0
        found.append(Compared(file, made if fits or not file.added + file.deleted else None))
    return found


async def _way(visit: Visit, app: App, version: Version) -> Way | None:
    """None where one cannot go back to it: it is live, or not one's own."""
    if not visit.caller.owns(app) or version.number == app.version or app.deleted_at is not None:
        return None
    environment, rooms = visit.rooms.library.environment, visit.rooms
    ran, now = (await environment.of_versions(app.id)).get(version.number), await environment.revisions(app.id)
    other = bool(ran and now and ran.hash != now[0].hash)
    try:
        return Way(await rooms.backups.aims.last_of(app, version.number), "", other)
    except SteadyError as error:
        return Way(None, error.message, other)


async def _undo(rooms: Rooms, app: App) -> Point | None:
    """The restore point of what was live until now."""
    points = await rooms.library.points.of(app.id)
    return points[0] if points and points[0].kind is PointKind.ROLLBACK else None


async def _done(visit: Visit, app: App) -> Done | None:
    """What the redirect after a rollback says, as far as the records say it too."""
    said, rooms = visit.request.query_params, visit.rooms
    deploy = await rooms.journal.deploy(_number(said.get("deployed", "")))
    if deploy is None or deploy.app_id != app.id or deploy.status != "live":
        return None
    before = await rooms.versions.one(app.id, _number(said.get("from", "")))
    points = await rooms.library.points.of(app.id) if "undo" in said else []
    point = next((each for each in points if str(each.id) == said["undo"] and each.kind is PointKind.ROLLBACK), None)
    data = f"point:{point.id}" if point else "keep"
    return Done(deploy, before.number if before else 0, data, said.get("env") == "1")
