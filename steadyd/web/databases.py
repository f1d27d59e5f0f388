"""API calls about an app's databases: which there are, what one holds, whether it is whole, and SQL on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, field
from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.moment import Point
from steadyd.records.statements import Statement
from steadyd.runner import query
from steadyd.runner.controller import Turn
from steadyd.runner.query import Rows, Task, checked, rows_of, several
from steadyd.runner.writing import How, Written
from steadyd.tree import check_path
from steadyd.web import schema, shown
from steadyd.web.answers import NO_STORE, json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.turns import Turns
from steadyd.web.values import Exact, answered, given

NOTE_CHARACTERS_MAX = 200
"""Of a statement, in the note of the restore point before it."""


class DatabaseAnswer(schema.Strict):
    """`path` is relative to the app's folder. null is what cannot be known: without WAL mode nobody's reading can be
    seen, and since when somebody reads is written nowhere. `behind_frames`: so many pages were written since the
    longest reader began, and cannot leave the log before it ends."""

    path: str
    size_bytes: int
    modified_at: datetime
    wal_bytes: int = 0
    tables: int | None = None
    readers: int | None = None
    behind_frames: int | None = None
    problem: str = ""


class DatabasesAnswer(schema.Strict):
    """Files that begin as a SQLite database does, whatever they are called. `more`: the folder holds too many files."""

    databases: list[DatabaseAnswer]
    more: bool


class ColumnAnswer(schema.Strict):
    """`primary_key` is its place in the key, from 1; 0 for none."""

    name: str
    type: str
    not_null: bool
    default: str | None
    primary_key: int
    generated: bool


class IndexAnswer(schema.Strict):
    """A column of null is an expression."""

    name: str
    unique: bool
    origin: Literal["index", "unique", "primary_key"]
    partial: bool
    columns: list[str | None]
    sql: str


class ForeignKeyAnswer(schema.Strict):
    """Without `to` it is the other table's primary key."""

    table: str
    from_: list[str] = field(name="from")
    to: list[str]
    on_update: str
    on_delete: str


class TriggerAnswer(schema.Strict):
    name: str
    sql: str


class TableAnswer(schema.Strict):
    """A table or a view. `key` tells its rows from one another: SQLite's row number, under a name that no column has,
    or the primary key; of a view nothing does. `platform`: it was made by what replicates the database, not by the app.
    `rows` are counted up to a bound, `rows_exact` says whether to the end. `problem`: why it cannot be looked at."""

    name: str
    kind: Literal["table", "view", "virtual", "shadow"]
    strict: bool
    without_rowid: bool
    platform: bool
    sql: str
    columns: list[ColumnAnswer]
    key: list[str]
    indexes: list[IndexAnswer]
    foreign_keys: list[ForeignKeyAnswer]
    triggers: list[TriggerAnswer]
    problem: str
    rows: int | UnsetType = UNSET
    rows_exact: bool | UnsetType = UNSET


class SchemaAnswer(schema.Strict):
    """What a database holds, in the order in which it was made. `more`: there is more than is told."""

    tables: list[TableAnswer]
    more: bool
    page_size: int
    page_count: int
    free_pages: int
    encoding: str
    journal_mode: str
    user_version: int
    application_id: int
    ms: float


class CheckQuery(schema.Strict):
    full: Annotated[
        bool, Meta(description="Compare each index with its table too, and find foreign keys' orphans.")
    ] = False


class Orphan(schema.Strict):
    """A row of `table` whose foreign key names no row of `parent`. Without a row number `rowid` is null."""

    table: str
    rowid: int | None
    parent: str


class CheckAnswer(schema.Strict):
    """`problems` are SQLite's own words, a hundred at most. Orphans are not damage."""

    ok: bool
    problems: list[str]
    orphans: list[Orphan]
    ms: float


class QueryBody(schema.Strict):
    """One statement that reads; with `write` one or more that write, as one transaction, after a restore point
    (without `point`: where none can be made). `params` are for `?` in order, or for `:name` by name. `explain`: how it
    would be done, and nothing is. `remember`: into the list of statements."""

    sql: str
    params: list[Exact] | dict[str, Exact] = field(default_factory=list)
    write: bool = False
    point: bool = True
    explain: bool = False
    remember: bool = True


class QueryAnswer(schema.Strict):
    """A BLOB is `{"base64": …}`; an integer beyond 2^53 and an infinity are texts. `truncated`: there are more rows. Of
    what wrote: how many rows it changed, and the id of the restore point before it (null: nothing is kept)."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool
    ms: Annotated[float, Meta(description="How long the database took.")]
    changes: int | UnsetType = UNSET
    statements: int | UnsetType = UNSET
    point: int | UnsetType | None = UNSET


class StatementAnswer(schema.Strict):
    """`error` is the code of what refused it, or ""."""

    at: datetime
    file: str
    sql: str
    write: bool
    error: str
    ms: float


class StatementsAnswer(schema.Strict):
    """What you asked of this app's databases, the newest first."""

    statements: list[StatementAnswer]


async def list_databases(call: Call) -> Response:
    async with call.rooms.queries():
        found, more = await call.rooms.databases.of(call.app)
    databases = [
        DatabaseAnswer(
            path=each.path, size_bytes=each.size_bytes, modified_at=shown.moment(each.modified_at),
            wal_bytes=each.wal_bytes, tables=each.tables, readers=each.readers, behind_frames=each.behind_frames,
            problem=each.problem,
        )
        for each in found
    ]  # fmt: skip
    return json_answer(DatabasesAnswer(databases=databases, more=more))


async def describe(call: Call) -> Response:
    task = Task("describe", {"file": file_of(call)}, query.QUERY_SECONDS_MAX)
    return json_answer(answered(await ask(call, task), SchemaAnswer))


async def check(call: Call) -> Response:
    wanted = call.query(CheckQuery)
    task = Task("check", {"file": file_of(call), "full": wanted.full}, query.CHECK_SECONDS_MAX)
    return json_answer(answered(await ask(call, task, call.rooms.long_queries), CheckAnswer))


async def query_database(call: Call) -> Response:
    body, file = await call.body(QueryBody), file_of(call)
    error, took = "", 0.0
    try:
        rows, answer = await (_write if body.write and not body.explain else _read)(call, file, body)
        took = rows.milliseconds
    except SteadyError as refused:
        error = refused.code
        raise
    finally:
        if body.remember and error not in ("too_large", "overloaded"):
            said = Statement(call.rooms.now(), file, body.sql, body.write, error, took)
            await call.rooms.library.statements.add(call.app.id, call.principal.id, said)
    return json_answer(answer)


async def list_statements(call: Call) -> Response:
    found = await call.rooms.library.statements.of(call.app.id, call.principal.id)
    statements = [
        StatementAnswer(
            at=shown.moment(each.at), file=each.file, sql=each.sql, write=each.write, error=each.error,
            ms=each.milliseconds,
        )
        for each in found
    ]  # fmt: skip
    return json_answer(StatementsAnswer(statements=statements))


async def forget_statements(call: Call) -> Response:
    await call.rooms.library.statements.forget(call.app.id, call.principal.id)
    return Response(None, 204, NO_STORE)


def file_of(call: Call) -> str:
    """The database in the path.

    Raises:
        SteadyError: `invalid_path`.
    """
    return check_path(call.request.path_params["file"])


async def ask(call: Call, task: Task, turns: Turns | None = None) -> dict[str, Any]:
    """What a child answers, when it is its turn."""
    async with (turns or call.rooms.queries)():
        return await call.rooms.databases.ask(call.app, task)


async def write(call: Call, task: Task, how: How) -> Written:
    """What a child answers that wrote. It waits for the app's turn first, and does not keep others from theirs."""

    async def work(turn: Turn) -> dict[str, Any]:
        async with call.rooms.queries():
            return await call.rooms.databases.ask(turn.app, task)

    return await call.rooms.writing.write(call.principal, call.app, work, how)


def point_id(point: Point | None) -> int | None:
    return None if point is None else point.id


ALL = "/api/apps/{name}/databases"
ONE = f"{ALL}/{{file:path}}"
ERRORS = ("unauthorized", "not_found", "conflict", "query_timeout", "sql_error", "overloaded")
READ_ERRORS = (*ERRORS, "database_damaged", "invalid", "invalid_path", "too_large")
WRITE_ERRORS = (*READ_ERRORS, "bad_request", "cross_site", "disk_full", "unsupported_media_type")
ENDPOINTS = (
    Endpoint(
        method="GET", path=ALL, handler=list_databases, access=Access.OWNER, answers=json_of(DatabasesAnswer),
        summary="The app's SQLite databases, found by their content.", errors=ERRORS,
    ),
    Endpoint(
        method="GET", path=f"{ONE}/schema", handler=describe, access=Access.OWNER, answers=json_of(SchemaAnswer),
        summary="A database's tables, views, columns, indexes, keys and triggers, with their SQL.", errors=READ_ERRORS,
    ),
    Endpoint(
        method="GET", path=f"{ONE}/check", handler=check, access=Access.OWNER, query=CheckQuery,
        answers=json_of(CheckAnswer), summary="Whether a database is whole, by SQLite's own check.", errors=READ_ERRORS,
    ),
    Endpoint(
        method="POST", path=f"{ONE}/query", handler=query_database, access=Access.OWNER, body=QueryBody,
        answers=json_of(QueryAnswer), errors=WRITE_ERRORS,
        summary="SQL on a database, while the app runs or sleeps: it reads, or with `write` writes after a restore "
        "point. The file's slashes stay.",
    ),
    Endpoint(
        method="GET", path="/api/apps/{name}/statements", handler=list_statements, access=Access.OWNER,
        answers=json_of(StatementsAnswer), summary="The SQL that you asked of this app's databases.",
        errors=("unauthorized", "not_found", "conflict"),
    ),
    Endpoint(
        method="DELETE", path="/api/apps/{name}/statements", handler=forget_statements, access=Access.OWNER, status=204,
        answers={}, summary="Forget them.", errors=("unauthorized", "not_found", "conflict"),
    ),
)  # fmt: skip


# Private


async def _read(call: Call, file: str, body: QueryBody) -> tuple[Rows, QueryAnswer]:
    sql = checked(body.sql)
    if body.explain:
        sql = f"EXPLAIN QUERY PLAN {sql}"
    task = Task("read", query.query(file, sql, _params(body)), query.QUERY_SECONDS_MAX)
    rows = rows_of(await ask(call, task))
    return rows, _answer(rows)


async def _write(call: Call, file: str, body: QueryBody) -> tuple[Rows, QueryAnswer]:
    task = Task("write", query.query(file, several(body.sql), _params(body)), query.QUERY_SECONDS_MAX)
    written = await write(call, task, How(_note(body.sql), point=body.point))
    rows = rows_of(written.answer)
    answer = _answer(rows)
    answer.changes, answer.statements, answer.point = rows.changes, rows.statements, point_id(written.point)
    return rows, answer


def _answer(rows: Rows) -> QueryAnswer:
    answer = {
        "columns": rows.columns,
        "rows": rows.rows,
        "truncated": rows.truncated,
        "ms": rows.milliseconds,
    }
    return answered(answer, QueryAnswer)


def _note(sql: str) -> str:
    """What a restore point is of, in one line."""
    return " ".join(sql.split())[:NOTE_CHARACTERS_MAX]


def _params(body: QueryBody) -> Any:
    if isinstance(body.params, Mapping):
        return {name: given(value, "params") for name, value in body.params.items()}
    return [given(value, "params") for value in body.params]
