"""API calls about the rows of one table: pages of them, and edits that can be undone."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, field
from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.runner import query
from steadyd.runner.query import ROWS_BYTES_MAX, ROWS_MAX, Task
from steadyd.runner.writing import How, Written
from steadyd.web import schema
from steadyd.web.answers import json_answer
from steadyd.web.body import decode
from steadyd.web.databases import ONE, READ_ERRORS, WRITE_ERRORS, ask, file_of, point_id, write
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.values import Exact, answered, given

EDITS_MAX = 1_000
"""In one call."""
FILTERS_MAX = 32
CELL_BYTES_MAX = 1 << 20
"""That can be asked for of one value."""


class Filter(schema.Strict):
    """`is`: = != < <= > >= like glob contains, or null and not null, which have no value."""

    column: str
    is_: str = field(name="is")
    value: Exact = None


class RowsQuery(schema.Strict):
    table: str
    columns: Annotated[str, Meta(description="Which, as a JSON list; without it the first 1,900.")] = ""
    filters: Annotated[
        str, Meta(description='All of them hold: a JSON list of {"column", "is", "value"}. “is” is = != < <= > >= like '
        "glob contains, or null and not null, which have no value.")
    ] = ""  # fmt: skip
    sort: Annotated[str, Meta(description="A column; without it, by key.")] = ""
    descending: bool = False
    after: Annotated[str, Meta(description="The `next` of the page before.")] = ""
    limit: Annotated[int, Meta(ge=1, le=ROWS_MAX)] = 100
    cell_bytes: Annotated[int, Meta(ge=16, le=CELL_BYTES_MAX, description="Longer values are cut.")] = 4096


class RowAnswer(schema.Strict):
    """`key` is what edits name it by; null of a view's."""

    key: list[Exact] | None
    values: list[Exact]


class RowsAnswer(schema.Strict):
    """A page. `next` begins the one after it, whatever is inserted or deleted meanwhile (of a view: by counting, so not
    whatever); "" with `more` if its key is too long for that."""

    table: str
    key: list[str]
    columns: list[str]
    rows: list[RowAnswer]
    more: bool
    next: str
    ms: float


class Edit(schema.Strict):
    """One change of one row. `was` is what was seen there: an update names every column that it sets, a deletion one at
    least. An insertion may name its row number with `key`."""

    op: Literal["update", "insert", "delete"]
    key: list[Exact] | UnsetType = UNSET
    set: dict[str, Exact] | UnsetType = UNSET
    was: dict[str, Exact] | UnsetType = UNSET


class EditsBody(schema.Strict):
    """Changes of a table's rows: all of them, or none. `point`: after a restore point; without it, where none can be
    made."""

    table: str
    edits: Annotated[list[Edit], Meta(min_length=1, max_length=EDITS_MAX)]
    point: bool = True


class EditsAnswer(schema.Strict):
    """`keys` of the rows, in the order of the edits. `undo` is the body of the same call that takes them back (null: it
    would be too long). `further`: so many rows were changed besides, by triggers and foreign keys, which it does not
    take back; the restore point before (`point`; null: nothing is kept) does."""

    table: str
    keys: list[list[Exact]]
    undo: EditsBody | None
    further: int
    point: int | None
    ms: float


async def rows(call: Call) -> Response:
    wanted = call.query(RowsQuery)
    filters = [
        {"column": each.column, "is": each.is_, "value": given(each.value, "filters")}
        for each in _list(wanted.filters, list[Filter], "filters")
    ]
    request = {
        "file": file_of(call), "table": wanted.table, "filters": filters, "sort": wanted.sort,
        "columns": _list(wanted.columns, list[str], "columns") or None, "descending": wanted.descending,
        "after": wanted.after, "rows": wanted.limit, "bytes": ROWS_BYTES_MAX, "cell_bytes": wanted.cell_bytes,
    }  # fmt: skip
    return json_answer(answered(await ask(call, Task("rows", request, query.QUERY_SECONDS_MAX)), RowsAnswer))


async def edit(call: Call) -> Response:
    body = await call.body(EditsBody)
    return json_answer(edited(await write(call, *editing(file_of(call), body))))


def editing(file: str, body: EditsBody) -> tuple[Task, How]:
    """What a child is asked to do, and what the restore point before it says.

    Raises:
        SteadyError: `invalid`.
    """
    request = {"file": file, "table": body.table, "edits": [_edit(each) for each in body.edits]}
    count = len(body.edits)
    note = f"{count} edit{'' if count == 1 else 's'} of {body.table}"[:200]
    return Task("edit", request, query.QUERY_SECONDS_MAX), How(note, point=body.point)


def edited(written: Written) -> EditsAnswer:
    """What came of it."""
    answer = dict(written.answer)
    if answer.get("undo") is not None:
        answer["undo"] = {"table": answer.get("table"), "edits": answer["undo"]}
    return answered({**answer, "point": point_id(written.point)}, EditsAnswer)


ENDPOINTS = (
    Endpoint(
        method="GET", path=f"{ONE}/rows", handler=rows, access=Access.OWNER, query=RowsQuery,
        answers=json_of(RowsAnswer), summary="A page of a table's rows: sorted, filtered, exact.", errors=READ_ERRORS,
    ),
    Endpoint(
        method="POST", path=f"{ONE}/edits", handler=edit, access=Access.OWNER, body=EditsBody,
        answers=json_of(EditsAnswer), errors=(*WRITE_ERRORS, "row_changed"),
        summary="Change, insert and delete rows by key, as one transaction, where they are still as they were seen.",
    ),
)  # fmt: skip


# Private


def _list(text: str, kind: Any, name: str) -> Any:
    if not text:
        return []
    try:
        found = decode(text.encode(), kind)
    except SteadyError as error:
        raise SteadyError("invalid", f"“{name}” does not fit. {error.message}", {"field": name}) from None
    if name == "filters" and len(found) > FILTERS_MAX:
        raise SteadyError("invalid", f"There are more than {FILTERS_MAX} filters.", {"field": name})
    return found


def _edit(edit: Edit) -> dict[str, Any]:
    needed = {"update": ("key", "set", "was"), "insert": ("set",), "delete": ("key", "was")}[edit.op]
    for name in needed:
        if getattr(edit, name) is UNSET:
            raise SteadyError("invalid", f"An edit that is “{edit.op}” lacks “{name}”.", {"field": f"edits.{name}"})
    made: dict[str, Any] = {"op": edit.op}
    if edit.key is not UNSET:
        made["key"] = [given(value, "edits.key") for value in edit.key]
    if edit.set is not UNSET:
        made["set"] = {name: given(value, "edits.set") for name, value in edit.set.items()}
    if edit.was is not UNSET:
        made["was"] = {name: given(value, "edits.was") for name, value in edit.was.items()}
    return made
