"""The API call for the types of a version's installed packages, which an editor's compiler reads."""

from __future__ import annotations

import asyncio
import gzip

import msgspec
from starlette.responses import Response

from steadyd import model
from steadyd.errors import SteadyError
from steadyd.records.versions import LOCK
from steadyd.runner.declarations import Declarations, declarations
from steadyd.runner.lockfile import asked
from steadyd.runner.modules import modules_path
from steadyd.web import schema
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.static import takes_gzip
from steadyd.web.versions import APP, ERRORS, wanted

LEFT_OUT_NAMED_MAX = 50
COMPRESSED_BYTES_MIN = 4_096
FORM = "1"
"""Changes with what is read of a package, so that nobody keeps an answer of before."""


class Types(schema.Strict):
    """Path below the app → text, of declaration files and of what each package.json says about them. `left_out` names
    packages that did not fit, `more` counts others."""

    files: dict[str, str]
    left_out: list[str]
    more: int


async def show_types(call: Call) -> Response:
    version = await wanted(call)
    tag = f'"{version.modules or "none"}-{FORM}"'
    headers = {"etag": tag, "cache-control": "private, no-cache", "vary": "accept-encoding"}
    if call.request.headers.get("if-none-match") == tag:
        return Response(None, 304, headers)
    async with call.rooms.types():
        content = await _content(call, version)
        if len(content) >= COMPRESSED_BYTES_MIN and takes_gzip(call.request.headers.get("accept-encoding", "")):
            content = await asyncio.to_thread(gzip.compress, content, 6)
            headers["content-encoding"] = "gzip"
    return Response(content, 200, headers, "application/json")


ENDPOINTS = (
    Endpoint(
        method="GET", path=f"{APP}/versions/{{n}}/types", handler=show_types, access=Access.READER,
        summary="The types of a version's installed packages, for an editor.",
        answers=json_of(Types), errors=(*ERRORS, "overloaded"),
    ),
)  # fmt: skip


# Private


async def _content(call: Call, version: model.Version) -> bytes:
    """The answer's JSON.

    Raises:
        SteadyError: `not_found` where what was installed is gone from the disk.
    """
    if not version.modules:
        return _encode(Declarations())
    folder = modules_path(call.rooms.fleet.ground.place(call.app), version.modules)
    if not await asyncio.to_thread(folder.is_dir):
        reason = f"The packages of version {version.number} are not on this host now. Its next start installs them."
        raise SteadyError("not_found", reason, {"version": version.number})
    lock = next((file for file in version.files if file.path == LOCK), None)
    first = asked(await call.rooms.deployer.content(lock)) if lock is not None else []
    return await asyncio.to_thread(lambda: _encode(declarations(folder, first)))


def _encode(found: Declarations) -> bytes:
    named = found.left_out[:LEFT_OUT_NAMED_MAX]
    types = Types(files=found.files, left_out=named, more=len(found.left_out) - len(named))
    return msgspec.json.encode(types) + b"\n"
