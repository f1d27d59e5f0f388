"""The page that tells what changed in a database since a moment, or between two, and the form that brings rows back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from steadyd.backup.changed import Back, Sides
from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.runner.comparison import Changes, Key, Page, Row, Wish
from steadyd.tree import check_path
from steadyd.web import frame
from steadyd.web.body import Allowance, decode
from steadyd.web.cells import Cell, cell
from steadyd.web.changed import NOW, later, moment, room_of
from steadyd.web.page import Visit, form_route, page_route
from steadyd.web.rooms import Rooms
from steadyd.web.tables import owned
from steadyd.web.values import Exact, given

ROW_FIELD = "row:"
POINTS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Question:
    """Which database, between which moments, as they were typed."""

    file: str = ""
    before: str = ""
    after: str = NOW
    table: str = ""
    place: str = ""

    def link(self, table: str = "", place: str = "") -> str:
        """The query of the page about one table, or all."""
        said = {"file": self.file, "from": self.before, "to": self.after, "table": table, "after": place}
        return "?" + urlencode({name: value for name, value in said.items() if value}, errors="replace")


@dataclass(frozen=True, slots=True)
class Shown:
    """One row that differs. `key` as JSON, "" where it cannot be brought back by itself. `cells`: what it was and is,
    by column; both only where they differ."""

    change: str
    key: str
    cells: list[tuple[Cell | None, Cell | None]]
    count: int


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a question: all tables in counts, or one in rows."""

    sides: Sides
    changes: Changes | None = None
    page: Page | None = None

    @property
    def columns(self) -> list[str]:
        return columns_of(self.page) if self.page else []

    @property
    def rows(self) -> list[Shown]:
        return [shown(row, self.page) for row in self.page.rows] if self.page else []


def routes(rooms: Rooms, allowance: Allowance) -> list[Route]:
    return [
        page_route("/apps/{name}/changed", show_changed, rooms),
        form_route("/apps/{name}/changed", bring_back, rooms, allowance),
    ]


async def show_changed(visit: Visit) -> Response:
    return await _show(visit, await owned(visit), _question(dict(visit.request.query_params)))


async def bring_back(visit: Visit) -> Response:
    """Rows that are ticked, or the whole table."""
    app, question, rooms = await owned(visit), _question(visit.form), visit.rooms
    try:
        keys: list[Key] = [
            [given(value, "row") for value in decode(text.encode(), list[Exact])]
            for name, text in visit.form.items()
            if name.startswith(ROW_FIELD)
        ]
        whole = visit.form.get("do") == "table"
        if not keys and not whole:
            raise SteadyError("invalid", "Tick the rows that shall come back, or bring back the whole table.")
        wish = Wish({question.table: None if whole else keys}, visit.form.get("overwrite") == "1")
        before, room = moment(rooms, question.before), room_of(rooms)
        back = await room.bring_back(visit.principal, app, question.file, before, wish, rooms.long_queries)
    except SteadyError as error:
        return await _show(visit, app, question, error=error)
    return await _show(visit, app, question, back)


def columns_of(page: Page) -> list[str]:
    """The columns of now, then those that are gone."""
    known = {name.lower() for name in page.columns}
    return [*page.columns, *(name for name in page.old_columns if name.lower() not in known)]


def shown(row: Row, page: Page) -> Shown:
    """A row by the columns of the page."""
    before, after = _by_name(page.old_columns, row.before), _by_name(page.columns, row.after)
    differs = {name.lower() for name in row.differs}
    cells: list[tuple[Cell | None, Cell | None]] = []
    for name in map(str.lower, columns_of(page)):
        was, now = before.get(name), after.get(name)
        same = row.change == "updated" and name not in differs and was is not None and now is not None
        cells.append((None if same else was, now))
    key = json.dumps(row.key) if row.key is not None and row.change != "inserted" else ""
    return Shown(row.change, key, cells, row.count)


# Private


async def _show(
    visit: Visit, app: App, question: Question, back: Back | None = None, error: SteadyError | None = None
) -> Response:
    rooms, found = visit.rooms, None
    async with rooms.queries():
        databases, _ = await rooms.databases.of(app)
    names = [each.path for each in databases]
    if not question.file and names:
        question = replace(question, file=names[0])
    if question.before:
        try:
            found = await _find(rooms, app, question)
        except SteadyError as refused:
            error = error or refused
    points = (await rooms.library.points.of(app.id))[:POINTS_SHOWN]
    return await frame.show(
        visit, app, "databases", "changed.html", error, question=question, databases=names, found=found,
        back=back, points=points,
    )  # fmt: skip


async def _find(rooms: Rooms, app: App, question: Question) -> Found:
    room, before, after = room_of(rooms), moment(rooms, question.before), later(rooms, question.after)
    async with rooms.long_queries():
        if not question.table:
            sides, changes = await room.counts(app, question.file, before, after)
            return Found(sides, changes)
        sides, page = await room.page(app, question.file, (before, after), question.table, question.place)
        return Found(sides, page=page)


def _question(said: dict[str, str]) -> Question:
    file = said.get("file", "")
    return Question(
        check_path(file) if file else "",
        said.get("from", "").strip(),
        said.get("to", "").strip() or NOW,
        said.get("table", ""),
        said.get("after", ""),
    )


def _by_name(columns: Sequence[str], values: Sequence[object] | None) -> dict[str, Cell]:
    if values is None:
        return {}
    exact = (msgspec.convert(value, Exact) for value in values)
    return {name.lower(): cell(value) for name, value in zip(columns, exact, strict=False)}
