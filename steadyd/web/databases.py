"""API calls about an app's databases: which there are, and reading one with SQL."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, field
from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.runner.query import Params, Value
from steadyd.tree import check_path
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of

Given = None | bool | int | float | str | schema.Base64


class QueryBody(schema.Strict):
    """One statement that reads. `params` are for `?` in order, or for `:name` by name."""

    sql: str
    params: list[Given] | dict[str, Given] = field(default_factory=list)
    write: bool = False


class DatabaseAnswer(schema.Strict):
    """`path` is relative to the app's folder."""

    path: str
    size_bytes: int
    modified_at: datetime


class DatabasesAnswer(schema.Strict):
    """Files that begin as a SQLite database does, whatever they are called. `more`: the folder holds too many files."""

    databases: list[DatabaseAnswer]
    more: bool


class QueryAnswer(schema.Strict):
    """A BLOB is `{"base64": …}`; an integer beyond 2^53 and an infinity are texts. `truncated`: there are more rows."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool
    ms: Annotated[float, Meta(description="How long the database took.")]


async def list_databases(call: Call) -> Response:
    async with call.rooms.queries():
        found, more = await call.rooms.databases.of(call.app)
    databases = [
        DatabaseAnswer(path=each.path, size_bytes=each.size_bytes, modified_at=shown.moment(each.modified_at))
        for each in found
    ]
    return json_answer(DatabasesAnswer(databases=databases, more=more))


async def query_database(call: Call) -> Response:
    body = await call.body(QueryBody)
    file = check_path(call.request.path_params["file"])
    if body.write:
        message = "Writing is not built yet: it comes with restore points, so that it can be undone."
        raise SteadyError("not_implemented", message, {"field": "write"})
    async with call.rooms.queries():
        rows = await call.rooms.databases.read(call.app, file, body.sql, _params(body))
    return json_answer(
        QueryAnswer(columns=rows.columns, rows=rows.rows, truncated=rows.truncated, ms=rows.milliseconds)
    )


ALL = "/api/apps/{name}/databases"
ERRORS = ("unauthorized", "not_found", "conflict", "query_timeout", "sql_error", "overloaded")
ENDPOINTS = (
    Endpoint(
        method="GET", path=ALL, handler=list_databases, access=Access.OWNER, answers=json_of(DatabasesAnswer),
        summary="The app's SQLite databases, found by their content.", errors=ERRORS,
    ),
    Endpoint(
        method="POST", path=f"{ALL}/{{file:path}}/query", handler=query_database, access=Access.OWNER, body=QueryBody,
        answers=json_of(QueryAnswer),
        summary="Read a database with one SQL statement, while the app runs or sleeps. The file's slashes stay.",
        errors=(
            *ERRORS, "bad_request", "cross_site", "database_damaged", "invalid", "invalid_path", "not_implemented",
            "too_large", "unsupported_media_type",
        ),
    ),
)  # fmt: skip


# Private


def _params(body: QueryBody) -> Params:
    if isinstance(body.params, dict):
        return {name: _value(value) for name, value in body.params.items()}
    return [_value(value) for value in body.params]


def _value(given: Given) -> Value:
    if not isinstance(given, schema.Base64):
        return given
    try:
        return base64.b64decode(given.base64, validate=True)
    except ValueError:
        raise SteadyError("invalid", "A parameter's “base64” is not Base64.", {"field": "params"}) from None
