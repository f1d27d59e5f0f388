"""The pages of an app's databases: which there are, what one holds, rows by the page, what came of a form."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.records.statements import Statement
from steadyd.runner import query
from steadyd.runner.query import ROWS_BYTES_MAX, Rows, Task
from steadyd.tree import check_path
from steadyd.web import cells, frame
from steadyd.web.cells import Cell, Field, cell
from steadyd.web.databases import CheckAnswer, SchemaAnswer, TableAnswer
from steadyd.web.page import Visit, page_route
from steadyd.web.rooms import Rooms
from steadyd.web.rows import RowAnswer, RowsAnswer
from steadyd.web.values import Exact, answered

ROWS_SHOWN = 50
CELL_BYTES = 8 << 10
STATEMENTS_SHOWN = 12
COLUMNS_MAX = 90
"""Of a row that is edited: two fields each, and a form has 300."""
AS_TEXT = frozenset({"contains", "like", "glob"})
OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "contains", "like", "glob", "null", "not null")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which page of which table; what the address says."""

    table: str = ""
    sort: str = ""
    descending: bool = False
    column: str = ""
    operator: str = "="
    value: str = ""
    after: str = ""
    edit: str = ""
    """The key of the row in the form, as JSON; “new” for one that is not there yet."""

    def closed(self) -> Wanted:
        """The same page without the form."""
        return replace(self, edit="")

    def link(self, **changes: str | bool) -> str:
        """The query of the same page, changed."""
        names = ("table", "sort", "descending", "column", "operator", "value", "after", "edit")
        said = {name: changes.get(name, getattr(self, name)) for name in names}
        told = {
            name: "1" if value is True else value
            for name, value in said.items()
            if value and (name, value) != ("operator", "=")
        }
        return "?" + urlencode(told, errors="replace")


@dataclass(frozen=True, slots=True)
class Asked:
    """SQL that was typed, and what came of it."""

    sql: str = ""
    write: bool = False
    rows: Rows | None = None
    point: int | None = None
    error: SteadyError | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a form did: a sentence, and the edits that would undo it, as JSON; or why it did nothing."""

    said: str = ""
    undo: str = ""
    error: SteadyError | None = None
    typed: dict[str, str] = field(default_factory=dict)
    asked: Asked = Asked()
    check: CheckAnswer | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """One row on the page; `key` as JSON, "" where it has none."""

    key: str
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class Form:
    """One row to be typed. `was` is the row as it was seen, as JSON; "" for a new one."""

    key: str
    fields: list[tuple[str, str, Field]]
    """Column, its type, its value."""
    was: str

    @property
    def names(self) -> str:
        return json.dumps([name for name, _, _ in self.fields])


def routes(rooms: Rooms) -> list[Route]:
    pages = {"/apps/{name}/databases": show_list, "/apps/{name}/databases/{file:path}": show_one}
    return [page_route(path, handler, rooms) for path, handler in pages.items()]


async def show_list(visit: Visit) -> Response:
    app = await owned(visit)
    async with visit.rooms.queries():
        found, more = await visit.rooms.databases.of(app)
    return await frame.show(visit, app, "databases", "databases.html", databases=found, more=more)


async def show_one(visit: Visit) -> Response:
    app, asked = await owned(visit), visit.request.query_params
    file = check_path(visit.request.path_params["file"])
    outcome = Outcome(asked=Asked(asked.get("sql", "")[: query.SQL_BYTES_MAX]))
    if "check" in asked:
        task = Task("check", {"file": file, "full": True}, query.CHECK_SECONDS_MAX)
        async with visit.rooms.long_queries():
            outcome = Outcome(check=answered(await visit.rooms.databases.ask(app, task), CheckAnswer))
    return await show(visit, app, file, wanted_of(dict(asked)), outcome)


async def show(visit: Visit, app: App, file: str, wanted: Wanted, outcome: Outcome) -> Response:
    """The page of one database, with what came of a form."""
    rooms = visit.rooms
    async with rooms.queries():
        schema = answered(
            await rooms.databases.ask(app, Task("describe", {"file": file}, query.QUERY_SECONDS_MAX)), SchemaAnswer
        )
    table = next((each for each in schema.tables if each.name == wanted.table), None)
    if wanted.table and table is None:
        raise SteadyError("not_found", f"There is no table “{wanted.table}” in “{file}”.")
    page, error = await _page(rooms, app, file, table, wanted) if table else (None, None)
    error = outcome.error or error
    form = _form(table, page, wanted, outcome.typed) if table and page and wanted.edit else None
    statements = await rooms.library.statements.of(app.id, visit.principal.id)
    failed = error or outcome.asked.error
    response = await frame.show(
        visit, app, "databases", "database.html", error, file=file, schema=schema, table=table, page=page,
        rows=_shown(page), form=form, wanted=wanted, outcome=outcome, operators=OPERATORS,
        statements=_lately(statements, file), found=_found(outcome.asked.rows),
    )  # fmt: skip
    response.status_code = failed.status if failed else 200
    return response


async def owned(visit: Visit) -> App:
    """The app in the path, if it is this person's and is not deleted.

    Raises:
        SteadyError: `not_found` or `conflict`.
    """
    app = await visit.app()
    if app.deleted_at is not None:
        raise SteadyError("conflict", f"“{app.name}” is deleted. Bring it back first, on its page.")
    return app


def wanted_of(said: dict[str, str]) -> Wanted:
    """What an address, or a form made of it, wants to see."""
    operator = said.get("operator", "=")
    return Wanted(
        table=said.get("table", ""), sort=said.get("sort", ""), descending=bool(said.get("descending")),
        column=said.get("column", ""), operator=operator if operator in OPERATORS else "=",
        value=said.get("value", ""), after=said.get("after", ""), edit=said.get("edit", ""),
    )  # fmt: skip


# Private


async def _page(
    rooms: Rooms, app: App, file: str, table: TableAnswer, wanted: Wanted
) -> tuple[RowsAnswer | None, SteadyError | None]:
    """The rows; or why a filter, a sort or a table of this kind shows none."""
    request = {
        "file": file, "table": table.name, "columns": None, "filters": _filters(table, wanted), "sort": wanted.sort,
        "descending": wanted.descending, "after": wanted.after, "rows": ROWS_SHOWN, "bytes": ROWS_BYTES_MAX,
        "cell_bytes": CELL_BYTES,
    }  # fmt: skip
    try:
        async with rooms.queries():
            return answered(
                await rooms.databases.ask(app, Task("rows", request, query.QUERY_SECONDS_MAX)), RowsAnswer
            ), None
    except SteadyError as error:
        return None, error


def _filters(table: TableAnswer, wanted: Wanted) -> list[dict[str, Any]]:
    """The filter as a child takes it. What looks like a number is one, unless the column holds texts."""
    if not wanted.column:
        return []
    if wanted.operator in ("null", "not null"):
        return [{"column": wanted.column, "is": wanted.operator}]
    kind = next((column.type for column in table.columns if column.name == wanted.column), "")
    value: Any = wanted.value
    if wanted.operator not in AS_TEXT and not any(word in kind.upper() for word in ("CHAR", "TEXT", "CLOB")):
        with contextlib.suppress(ValueError):
            value = msgspec.to_builtins(cells.number(wanted.value))
    return [{"column": wanted.column, "is": wanted.operator, "value": value}]


def _shown(page: RowsAnswer | None) -> list[Shown]:
    return [Shown(key_text(row), [cell(value) for value in row.values]) for row in page.rows] if page else []


def _found(rows: Rows | None) -> list[list[Cell]]:
    """What SQL found: values as a query shows them, where a large integer is a text."""
    return [[cell(msgspec.convert(value, Exact)) for value in row] for row in rows.rows] if rows else []


def key_text(row: RowAnswer) -> str:
    return json.dumps(msgspec.to_builtins(row.key)) if row.key is not None else ""


def _form(table: TableAnswer, page: RowsAnswer, wanted: Wanted, typed: dict[str, str]) -> Form | None:
    """The row that is edited, if it is on this page; a new one."""
    columns = {column.name: column for column in table.columns}
    if wanted.edit == "new":
        fields = [
            (column.name, column.type, Field("default", "", "It is computed." if column.generated else ""))
            for column in table.columns[:COLUMNS_MAX]
        ]
        return Form("", _typed(fields, typed), "")
    row = next((row for row in page.rows if key_text(row) == wanted.edit), None)
    if row is None:
        return None
    fields = []
    for name, value in list(zip(page.columns, row.values, strict=False))[:COLUMNS_MAX]:
        shown = cells.field(value)
        fixed = "It is computed." if columns[name].generated else shown.fixed
        fields.append((name, columns[name].type, Field(shown.kind, shown.text, fixed)))
    was = dict(zip(page.columns, msgspec.to_builtins(row.values), strict=False))
    return Form(wanted.edit, _typed(fields, typed), json.dumps(was))


def _typed(fields: list[tuple[str, str, Field]], typed: dict[str, str]) -> list[tuple[str, str, Field]]:
    """What the person typed stays, where it was refused."""
    found = []
    for index, (name, kind, shown) in enumerate(fields):
        said = typed.get(f"value:{index}")
        if said is not None and not shown.fixed:
            shown = Field(typed.get(f"kind:{index}", "text"), said)  # type: ignore[arg-type]
        found.append((name, kind, shown))
    return found


def _lately(statements: list[Statement], file: str) -> list[Statement]:
    return [each for each in statements if each.file == file][:STATEMENTS_SHOWN]
