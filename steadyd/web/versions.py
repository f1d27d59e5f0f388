"""API calls about an app's versions: what each is, where it came from, and its files as they were shipped."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from urllib.parse import quote

from msgspec import UNSET, UnsetType
from starlette.responses import Response, StreamingResponse

from steadyd import model
from steadyd.errors import SteadyError
from steadyd.web import schema, shown
from steadyd.web.answers import NO_STORE, json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of

FILE_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"


class File(schema.Strict):
    path: str
    size: int
    sha256: str


class Position(schema.Strict):
    """Where a database stood. `changes` is SQLite's own counter; `wal_bytes` were not in the file yet."""

    path: str
    size_bytes: int
    pages: int
    changes: int
    wal_bytes: int


class Ran(schema.Strict):
    """With which variables: their revision's number, and a hash that is equal for equal ones and tells no value."""

    revision: int
    hash: str


class Version(schema.Strict):
    """An immutable snapshot. `entry` is the file Bun runs, or "" for a static site. `lock` is the SHA-256 of what pins
    its dependencies, or "". Who made it, from which commit, when it went live last, where the databases stood at that
    moment, and the variables it ran with (null: none, or no longer kept) are shown to its owner only."""

    version: int
    live: bool
    entry: str
    source: str
    message: str
    remix_of: str
    bun: str
    lock: str
    pinned: bool
    created_at: datetime
    author: str | UnsetType = UNSET
    git: schema.Git | UnsetType | None = UNSET
    env: Ran | UnsetType | None = UNSET
    live_at: datetime | UnsetType | None = UNSET
    databases: list[Position] | UnsetType = UNSET


class PinBody(schema.Strict):
    """A pinned version is kept, whatever comes after it."""

    pinned: bool | UnsetType = UNSET


class VersionsAnswer(schema.Strict):
    versions: list[Version]


class VersionAnswer(schema.Strict):
    version: Version
    files: list[File]


class FilesAnswer(schema.Strict):
    files: list[File]


async def list_versions(call: Call) -> Response:
    found = await call.rooms.versions.all(call.app.id)
    return json_answer(VersionsAnswer(versions=await _shown(call, found)))


async def show_version(call: Call) -> Response:
    version = await wanted(call)
    return json_answer(VersionAnswer(version=(await _shown(call, [version]))[0], files=_files(version)))


async def change_version(call: Call) -> Response:
    body = await call.body(PinBody)
    version = await wanted(call)
    if body.pinned is not UNSET:
        await call.rooms.versions.pin(call.app.id, version.number, body.pinned)
    return await show_version(call)


async def list_files(call: Call) -> Response:
    return json_answer(FilesAnswer(files=_files(await wanted(call))))


async def show_file(call: Call) -> Response:
    path = call.request.path_params["path"]
    version = await wanted(call)
    file = next((file for file in version.files if file.path == path), None)
    if file is None:
        shown_path = path[:200].encode("utf-8", "replace").decode()
        raise SteadyError("not_found", f"Version {version.number} has no file “{shown_path}”.", {"path": shown_path})
    content = await call.rooms.deployer.content(file)
    # Somebody else's HTML on our own origin: never rendered, never run, always a download.
    headers = {
        "content-security-policy": FILE_POLICY,
        "content-disposition": f"attachment; filename*=UTF-8''{quote(path.rpartition('/')[2], safe='')}",
        "cache-control": "private, no-cache",
        "etag": f'"{file.sha256}"',
    }
    return Response(content, 200, headers, _media_type(content))


async def show_archive(call: Call) -> Response:
    version = await wanted(call)
    name = f"{call.app.name}-v{version.number}.tar.gz"
    headers = {**NO_STORE, "content-disposition": f'attachment; filename="{name}"'}
    if call.request.method == "HEAD":
        return Response(None, 200, headers, "application/gzip")
    return StreamingResponse(call.rooms.deployer.archive(version), 200, headers, "application/gzip")


async def wanted(call: Call, parameter: str = "n") -> model.Version:
    """The version that a part of the path names.

    Raises:
        SteadyError: `not_found`.
    """
    number, said = call.number(parameter)
    version = await call.rooms.versions.one(call.app.id, number) if number else None
    if version is None:
        raise SteadyError("not_found", f"There is no version {said}.", {"version": said})
    return version


APP = "/api/apps/{name}"
ERRORS = ("unauthorized", "not_found", "conflict")
ENDPOINTS = (
    Endpoint(
        method="GET", path=f"{APP}/versions", handler=list_versions, access=Access.READER,
        summary="All versions, newest first.", answers=json_of(VersionsAnswer), errors=ERRORS,
    ),
    Endpoint(
        method="GET", path=f"{APP}/versions/{{n}}", handler=show_version, access=Access.READER,
        summary="One version with its files.", answers=json_of(VersionAnswer), errors=ERRORS,
    ),
    Endpoint(
        method="PATCH", path=f"{APP}/versions/{{n}}", handler=change_version, access=Access.OWNER, body=PinBody,
        summary="Pin a version, so that it is kept whatever comes after it, or let go of it.",
        answers=json_of(VersionAnswer),
        errors=(*ERRORS, "bad_request", "invalid", "too_large", "unsupported_media_type"),
    ),
    Endpoint(
        method="GET", path=f"{APP}/versions/{{n}}/files", handler=list_files, access=Access.READER,
        summary="One version's files.", answers=json_of(FilesAnswer), errors=ERRORS,
    ),
    Endpoint(
        method="GET", path=f"{APP}/versions/{{n}}/files/{{path:path}}", handler=show_file, access=Access.READER,
        summary="One file as it was shipped: as plain text or bytes, never as a page.",
        answers={"text/plain": (str,), "application/octet-stream": (bytes,)}, errors=ERRORS,
    ),
    Endpoint(
        method="GET", path=f"{APP}/versions/{{n}}/archive", handler=show_archive, access=Access.READER,
        summary="All files as a tar.gz, which can be deployed again as it is.",
        answers={"application/gzip": (bytes,)}, errors=ERRORS,
    ),
)  # fmt: skip


# Private


async def _shown(call: Call, versions: list[model.Version]) -> list[Version]:
    owned = call.caller.owns(call.app)
    ran = await call.rooms.library.environment.of_versions(call.app.id) if owned else {}
    made = [_public(call, version) for version in versions]
    for version, found in zip(made, versions if owned else (), strict=False):
        commit, env = found.origin.commit, ran.get(found.number)
        version.author = found.author
        version.git = schema.Git(commit=commit.id, remote=commit.remote, dirty=commit.dirty) if commit else None
        version.env = Ran(revision=env.number, hash=env.hash) if env else None
        version.live_at = None if found.live_at is None else shown.moment(found.live_at)
        version.databases = [_stood(position) for position in found.positions]
    return made


def _public(call: Call, version: model.Version) -> Version:
    return Version(
        version=version.number,
        live=version.number == call.app.version,
        entry=version.entry,
        source=version.origin.source,
        message=version.origin.message,
        remix_of=version.origin.of,
        bun=version.bun,
        lock=version.lock,
        pinned=version.pinned,
        created_at=shown.moment(version.created_at),
    )


def _stood(position: model.Position) -> Position:
    """The app chose the path, and it may be no text."""
    return Position(**asdict(position) | {"path": shown.clean(position.path)})


def _files(version: model.Version) -> list[File]:
    return [File(path=file.path, size=file.size, sha256=file.sha256) for file in version.files]


def _media_type(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "application/octet-stream" if "\0" in text else "text/plain; charset=utf-8"
