"""API calls that take files out of an app's databases, and put them in."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from steadyd.errors import SteadyError
from steadyd.model import App, Principal
from steadyd.runner.controller import Turn
from steadyd.runner.query import Task, checked
from steadyd.runner.transfer import (
    IMPORT_BESIDE_BYTES_MAX,
    IMPORT_BYTES_MAX,
    IMPORT_SECONDS_MAX,
    Made,
    keep,
    made,
)
from steadyd.runner.writing import How
from steadyd.web import schema
from steadyd.web.answers import NO_STORE, json_answer
from steadyd.web.body import JSON_BYTES_MAX, decode, pieces, whole
from steadyd.web.databases import ONE, READ_ERRORS, WRITE_ERRORS, file_of, point_id
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.rooms import Rooms
from steadyd.web.upload import JSON_TYPES, content_type
from steadyd.web.values import answered

MEDIA = {
    "csv": "text/csv",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "sql": "application/sql",
    "sqlite": "application/vnd.sqlite3",
}
SENT = (*MEDIA.values(), "application/x-sqlite3", "application/octet-stream", "text/plain", "", "text/x-sql",
        "application/x-www-form-urlencoded")  # fmt: skip
"""Types of a body that is the file itself; curl's own default is one."""


class ExportQuery(schema.Strict):
    format: Literal["csv", "json", "ndjson", "sql", "sqlite"]
    table: Annotated[str, Meta(description="Which; without it, and without `sql`, all there is (sql, sqlite).")] = ""
    sql: Annotated[str, Meta(description="One statement that reads, in place of a table.")] = ""


class ImportQuery(schema.Strict):
    format: Literal["csv", "sql", "sqlite"]
    table: Annotated[str, Meta(description="Where the rows of a CSV file go.")] = ""
    create: Annotated[bool, Meta(description="Make the table, if there is none, with types that fit every row.")] = True
    header: Annotated[bool, Meta(description="The first line of a CSV file names the columns.")] = True
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    point: Annotated[bool, Meta(description="Make a restore point first; without it, where none can be made.")] = True
    replace: Annotated[bool, Meta(description="A database takes the place of everything in the one that is there.")] = (
        False
    )


class ImportBody(schema.Strict):
    """The file in JSON, as text or in Base64; or send the file itself as the body."""

    content: str | schema.Base64


class ImportedColumn(schema.Strict):
    name: str
    type: str


class ImportAnswer(schema.Strict):
    """What came of it: rows, or statements; the table's columns, with the types that were guessed if it was made."""

    point: int | None
    ms: float
    rows: int | UnsetType = UNSET
    statements: int | UnsetType = UNSET
    table: str | UnsetType = UNSET
    created: bool | UnsetType = UNSET
    columns: list[ImportedColumn] | UnsetType = UNSET


async def take_out(call: Call) -> Response:
    wanted, file = call.query(ExportQuery), file_of(call)
    if wanted.format in ("csv", "json", "ndjson") and not (wanted.table or wanted.sql):
        raise SteadyError("invalid", f"Say which table goes into {wanted.format}, or by what SQL.", {"field": "table"})
    if wanted.table and wanted.sql:
        raise SteadyError("invalid", "A table or SQL, not both.", {"field": "sql"})
    sql = checked(wanted.sql) if wanted.sql else ""
    request = {"file": file, "format": wanted.format, "table": wanted.table, "sql": sql}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(call.rooms.transfers())
        async with call.rooms.long_queries():
            found = await stack.enter_async_context(made(call.rooms.databases, call.app, request))
        return Download(found, stack.pop_all(), MEDIA[wanted.format], _name(call.app.name, file, wanted))


async def put_in(call: Call) -> Response:
    wanted, file = call.query(ImportQuery), file_of(call)
    answer = await take_in(call.rooms, call.principal, call.app, (file, wanted), lambda folder: _receive(call, folder))
    return json_answer(answer, 201)


async def take_in(
    rooms: Rooms, by: Principal, app: App, asked: tuple[str, ImportQuery], receive: Callable[[Path], Awaitable[int]]
) -> ImportAnswer:
    """Put a file into a database. `receive` puts it into a child's folder, and says how large it is.

    Raises:
        SteadyError: what is wrong with it; then nothing was changed.
    """
    file, wanted = asked
    request = {
        "file": file, "format": wanted.format, "table": wanted.table, "create": wanted.create, "header": wanted.header,
        "delimiter": wanted.delimiter, "replace": wanted.replace,
    }  # fmt: skip
    if wanted.format == "csv" and not wanted.table:
        raise SteadyError("invalid", "Say into which table the rows go.", {"field": "table"})
    rooms.fleet.ground.check_room()
    async with rooms.transfers(), rooms.databases.folder(app) as folder:
        size = await receive(folder)

        async def work(turn: Turn) -> dict[str, Any]:
            async with rooms.long_queries():
                return await rooms.databases.run(turn.app, Task("import", request, IMPORT_SECONDS_MAX), folder)

        into = f" into {wanted.table}" if wanted.table else ""
        note = f"import of {wanted.format}{into}"[:200]
        hold = size > IMPORT_BESIDE_BYTES_MAX
        how = How(note, hold, wanted.point)
        written = await rooms.writing.write(by, app, work, how)
    return answered({**written.answer, "point": point_id(written.point)}, ImportAnswer)


class Download(Response):
    """A file that was made for this answer, and that goes with it."""

    def __init__(self, found: Made, stack: AsyncExitStack, media_type: str, name: str) -> None:
        headers = {**NO_STORE, "content-disposition": f'attachment; filename="{name}"'}
        super().__init__(None, 200, headers, media_type)
        self.headers["content-length"] = str(found.size)
        self._found = found
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                async for piece in self._found.pieces():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


ENDPOINTS = (
    Endpoint(
        method="GET", path=f"{ONE}/export", handler=take_out, access=Access.OWNER, query=ExportQuery,

        answers=dict.fromkeys(MEDIA.values(), (bytes,)) | {MEDIA["json"]: (list[dict[str, Any]],)},
        errors=(*READ_ERRORS, "disk_full"),
        summary="A table or a query as CSV, JSON, lines of JSON or SQL; all of it as SQL, or as a database.",
    ),
    Endpoint(
        method="POST", path=f"{ONE}/import", handler=put_in, access=Access.OWNER, query=ImportQuery, body=ImportBody,
        answers=json_of(ImportAnswer), status=201, errors=WRITE_ERRORS,
        summary="Rows of a CSV file, statements of an SQL file, or a whole database: all of it or nothing, after a "
        "restore point. A database comes as a new file, or with `replace` in the place of what is there.",
    ),
)  # fmt: skip


# Private


async def _receive(call: Call, folder: Path) -> int:
    """What was sent, in the child's folder; its size."""
    allowance = call.holding.allowance
    if content_type(call.request) in JSON_TYPES:
        body = decode(await whole(call.request, JSON_BYTES_MAX, allowance), ImportBody)
        return await keep(folder, once(_content(body)))
    if content_type(call.request) not in SENT:
        said = "Send the file itself (text/csv, application/sql, application/vnd.sqlite3), or application/json."
        raise SteadyError("unsupported_media_type", said)
    async with pieces(call.request, IMPORT_BYTES_MAX, allowance) as read:
        return await keep(folder, read)


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _content(body: ImportBody) -> bytes:
    if isinstance(body.content, str):
        return body.content.encode()
    try:
        return base64.b64decode(body.content.base64, validate=True)
    except ValueError:
        raise SteadyError("invalid", "“content” is not Base64.", {"field": "content"}) from None


def _name(app: str, file: str, wanted: ExportQuery) -> str:
    """What the file is called where it is kept: plain letters only, whatever the table's name is."""
    stem = file.rpartition("/")[2].rpartition(".")[0] or file.rpartition("/")[2]
    parts = [app, stem, wanted.table or ("query" if wanted.sql else "")]
    plain = "-".join(filter(None, (re.sub(r"[^A-Za-z0-9_.]+", "-", part).strip("-.") for part in parts)))
    return f"{plain[:100]}.{wanted.format}"
