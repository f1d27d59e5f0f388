"""Forms of the database pages: change, make and delete a row, take that back, and run SQL."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET
from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.records.statements import Statement
from steadyd.runner import query
from steadyd.runner.controller import Turn
from steadyd.runner.query import Task, checked, rows_of, several
from steadyd.runner.transfer import keep
from steadyd.runner.writing import How, Written
from steadyd.tree import check_path
from steadyd.web import cells
from steadyd.web.body import Allowance, convert, decode
from steadyd.web.databases import NOTE_CHARACTERS_MAX, point_id
from steadyd.web.page import Visit, form_route
from steadyd.web.rooms import Rooms
from steadyd.web.rows import EditsBody, edited, editing
from steadyd.web.tables import COLUMNS_MAX, Asked, Outcome, Wanted, owned, show, wanted_of
from steadyd.web.transfers import ImportQuery, once, take_in
from steadyd.web.values import Exact, Special

SAID = {"update": "The row is changed.", "insert": "The row is made.", "delete": "The row is gone."}


def routes(rooms: Rooms, allowance: Allowance) -> list[Route]:
    forms = {"row": change_row, "undo": undo, "sql": run_sql, "import": import_file}
    return [form_route(f"/apps/{{name}}/database/{verb}", handler, rooms, allowance) for verb, handler in forms.items()]


async def change_row(visit: Visit) -> Response:
    """Save what was typed, as one edit: of what differs from what was seen."""
    app, file, wanted = await _place(visit)
    try:
        edit = _edit(visit.form)
        if edit is None:
            return await show(visit, app, file, wanted.closed(), Outcome(said="Nothing was changed."))
        body = decode(msgspec.json.encode({"table": wanted.table, "edits": [edit]}), EditsBody)
        outcome = await _do(visit, app, file, body, SAID[edit["op"]])
    except SteadyError as error:
        return await show(visit, app, file, wanted, Outcome(error=error, typed=visit.form))
    return await show(visit, app, file, wanted.closed(), outcome)


async def undo(visit: Visit) -> Response:
    """Take edits back, by those that the answer to them held."""
    app, file, wanted = await _place(visit)
    try:
        body = decode(visit.form.get("edits", "").encode(), EditsBody)
        outcome = await _do(visit, app, file, body, "It is as it was before.")
    except SteadyError as error:
        outcome = Outcome(error=error)
    return await show(visit, app, file, wanted, outcome)


async def run_sql(visit: Visit) -> Response:
    """The console. What was typed is remembered with what came of it, as by the API."""
    app, file, wanted = await _place(visit)
    sql, write = visit.form.get("sql", "").strip(), visit.form.get("write") == "1"
    explain = visit.form.get("do") == "explain"
    asked, took = Asked(sql, write), 0.0
    try:
        asked = await _sql(visit, app, file, asked, explain)
        took = asked.rows.milliseconds if asked.rows else 0.0
    except SteadyError as error:
        asked = Asked(sql, write, error=error)
    if asked.error is None or asked.error.code not in ("too_large", "overloaded"):
        code = asked.error.code if asked.error else ""
        said = Statement(visit.rooms.now(), file, sql, write and not explain, code, took)
        await visit.rooms.library.statements.add(app.id, visit.principal.id, said)
    return await show(visit, app, file, wanted, Outcome(asked=asked))


async def import_file(visit: Visit) -> Response:
    """What was pasted, or a file that a script read: CSV into a table, SQL, or a whole database (as Base64)."""
    app, file, wanted = await _place(visit)
    form, raw = visit.form, visit.form.get("base64", "")
    try:
        content = base64.b64decode(raw, validate=True) if raw else form.get("content", "").encode("utf-8", "replace")
        if not content.strip():
            raise SteadyError("invalid", "There is nothing to import.")
        kind = form.get("format", "")
        said = {"format": kind, "table": form.get("into", "").strip() if kind == "csv" else ""}
        asked = convert({name: value for name, value in said.items() if value}, ImportQuery, strict_names=True)
        place = f"{file}-imported" if asked.format == "sqlite" else file
        answer = await take_in(
            visit.rooms, visit.principal, app, (place, asked), lambda folder: keep(folder, once(content))
        )
    except ValueError:
        return await show(visit, app, file, wanted, Outcome(error=SteadyError("invalid", "That file cannot be read.")))
    except SteadyError as error:
        return await show(visit, app, file, wanted, Outcome(error=error, typed=form))
    if asked.format == "sqlite":
        return visit.go(f"/apps/{app.name}/databases/{quote(place)}")
    count = answer.rows if isinstance(answer.rows, int) else answer.statements
    what = "row" if isinstance(answer.rows, int) else "statement"
    return await show(visit, app, file, wanted, Outcome(f"Imported: {count:,} {what}{'' if count == 1 else 's'}."))


# Private


async def _place(visit: Visit) -> tuple[App, str, Wanted]:
    """Where the form was sent from."""
    app, form = await owned(visit), visit.form
    return app, check_path(form.get("file", "")), wanted_of(form)


async def _do(visit: Visit, app: App, file: str, body: EditsBody, said: str) -> Outcome:
    done = edited(await _write(visit, app, *editing(file, body)))
    if done.further:
        said += f" Triggers and foreign keys changed {done.further} more; undo leaves those."
    return Outcome(said, msgspec.json.encode(done.undo).decode() if done.undo else "")


async def _sql(visit: Visit, app: App, file: str, asked: Asked, explain: bool) -> Asked:
    if asked.write and not explain:
        task = Task("write", query.query(file, several(asked.sql), []), query.QUERY_SECONDS_MAX)
        written = await _write(visit, app, task, How(" ".join(asked.sql.split())[:NOTE_CHARACTERS_MAX]))
        return Asked(asked.sql, True, rows_of(written.answer), point_id(written.point))
    sql = checked(asked.sql)
    task = Task("read", query.query(file, f"EXPLAIN QUERY PLAN {sql}" if explain else sql, []), query.QUERY_SECONDS_MAX)
    async with visit.rooms.queries():
        return Asked(asked.sql, asked.write, rows_of(await visit.rooms.databases.ask(app, task)))


async def _write(visit: Visit, app: App, task: Task, how: How) -> Written:
    async def work(turn: Turn) -> dict[str, Any]:
        async with visit.rooms.queries():
            return await visit.rooms.databases.ask(turn.app, task)

    return await visit.rooms.writing.write(visit.principal, app, work, how)


def _edit(form: dict[str, str]) -> dict[str, Any] | None:
    """The edit that a form says; None where nothing of it differs from what was seen.

    Raises:
        SteadyError: `invalid`.
    """
    was = decode(form.get("was", "").encode(), dict[str, Exact])
    key = decode(form["key"].encode(), list[Exact]) if form.get("key") else None
    if form.get("do") == "delete":
        return {"op": "delete", "key": key, "was": {name: value for name, value in was.items() if not _is_cut(value)}}
    names = decode(form.get("names", "").encode() or b"[]", list[str])
    wanted: dict[str, Exact] = {}
    for index, name in enumerate(names[:COLUMNS_MAX]):
        kind, text = form.get(f"kind:{index}", ""), form.get(f"value:{index}", "")
        if kind and not (kind == "default" and not text) and not (name in was and cells.same(was[name], kind, text)):
            wanted[name] = cells.typed(kind, text, name)
    if key is None:
        return {"op": "insert", "set": wanted}
    return {"op": "update", "key": key, "set": wanted, "was": {name: was[name] for name in wanted}} if wanted else None


def _is_cut(value: Exact) -> bool:
    return isinstance(value, Special) and value.bytes is not UNSET
