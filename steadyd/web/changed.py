"""API calls about what changed in a database between two moments, row by row, and bringing rows back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, field
from starlette.responses import Response

from steadyd.backup.changed import Changed, Side, Sides
from steadyd.backup.when import When, read_when
from steadyd.errors import SteadyError
from steadyd.runner.comparison import KEYS_MAX, Wish
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.databases import ONE, READ_ERRORS, WRITE_ERRORS, file_of, point_id
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.rooms import Rooms
from steadyd.web.values import Exact, answered, given

S = TypeVar("S", bound=msgspec.Struct)

NOW = "now"
MOMENT_ERRORS = (*READ_ERRORS, "not_reachable", "backup_broken", "replica_away", "replica_refused")
MOMENT = "ISO, “2h ago”, “yesterday 14:00” (UTC), a restore point's number, or “before:deploy:12”."


class ChangedQuery(schema.Strict):
    from_: Annotated[str, Meta(description=MOMENT)] = field(name="from")
    to: Annotated[str, Meta(description="The same; without it the live database.")] = NOW
    table: Annotated[str, Meta(description="Which rows differ, of this one; without it all are counted.")] = ""
    after: Annotated[str, Meta(description="The `next` of the page before.")] = ""


class SideAnswer(schema.Strict):
    """A moment as it was asked for, and the one that it really is: nothing written up to `at` is missing, and what was
    written within `precision` seconds after it may be. Of the live database `at` is the time of this answer."""

    asked: str
    at: datetime
    precision: float
    point: int | None


class DefinitionAnswer(schema.Strict):
    """A table, index, view or trigger that is not as it was. `before` and `after` are SQL."""

    change: Literal["added", "removed", "altered"]
    kind: str
    name: str
    table: str
    before: str | None
    after: str | None


class TableChanges(schema.Strict):
    """How many rows of one table differ. `known_by`: how a row is found again at the other moment: by its primary key,
    by SQLite's own number, or by nothing but its content; then `updated` is 0 and rows have no key. `problem`: why it
    was not compared; "" if it was."""

    table: str
    known_by: Literal["key", "rowid", "content"]
    key: list[str]
    inserted: int
    deleted: int
    updated: int
    problem: str


class ChangedAnswer(schema.Strict):
    """Everything that differs, in counts. `more`, `schema_more`: there are more than are told."""

    file: str
    from_: SideAnswer = field(name="from")
    to: SideAnswer
    schema: list[DefinitionAnswer]
    schema_more: bool
    tables: list[TableChanges]
    more: bool


class RowChange(schema.Strict):
    """`before` is in the order of `old_columns`, `after` in that of `columns`; long values are cut. `differs` names the
    columns of an updated row. `key` is what bring-back names it by; null of one without. `count`: how many rows of that
    content there are more or fewer."""

    change: Literal["inserted", "deleted", "updated"]
    key: list[Exact] | None
    before: list[Exact] | None
    after: list[Exact] | None
    differs: list[str]
    count: int


class RowsChangedAnswer(schema.Strict):
    """Rows of one table: those that were deleted, then those updated, then those inserted. `next` begins the page after
    this one; "" at the end."""

    file: str
    from_: SideAnswer = field(name="from")
    to: SideAnswer
    table: TableChanges
    old_columns: list[str]
    columns: list[str]
    rows: list[RowChange]
    next: str


class RowName(schema.Strict):
    table: str
    key: list[Exact]


class BringBackBody(schema.Strict):
    """Some rows by their keys, or a whole `table`, as they were at `from`. Only with `overwrite` does a live row become
    what it was; rows that came since stay in any case."""

    from_: Annotated[str, Meta(description=MOMENT)] = field(name="from")
    rows: Annotated[list[RowName], Meta(max_length=KEYS_MAX)] = field(default_factory=list)
    table: str = ""
    overwrite: bool = False


class SkipAnswer(schema.Strict):
    """A row that was left alone: the live one differs, or there was none with that key."""

    table: str
    key: list[Exact] | None
    reason: Literal["differs", "not_there"]


class BroughtAnswer(schema.Strict):
    """`unchanged` were there as they had been. `skips` lists the first of those `skipped`; `made` names tables that
    were made again. `point` is the restore point of what was before (null: nothing is kept)."""

    file: str
    from_: SideAnswer = field(name="from")
    inserted: int
    overwritten: int
    unchanged: int
    skipped: int
    skips: list[SkipAnswer]
    made: list[str]
    point: int | None


async def changed(call: Call) -> Response:
    wanted, file, room = call.query(ChangedQuery), file_of(call), room_of(call.rooms)
    before, after = moment(call.rooms, wanted.from_), later(call.rooms, wanted.to)
    async with call.rooms.long_queries():
        if wanted.table:
            sides, page = await room.page(call.app, file, (before, after), wanted.table, wanted.after)
            return json_answer(told(page, RowsChangedAnswer, file=file, **_sides(wanted, sides)))
        sides, changes = await room.counts(call.app, file, before, after)
        return json_answer(told(changes, ChangedAnswer, file=file, **_sides(wanted, sides)))


async def bring_back(call: Call) -> Response:
    body, file, rooms = await call.body(BringBackBody), file_of(call), call.rooms
    before = moment(rooms, body.from_)
    wish, slot = _wish(body), rooms.long_queries
    back = await room_of(rooms).bring_back(call.principal, call.app, file, before, wish, slot)
    more = {"from": _side(body.from_, back.side), "point": point_id(back.point)}
    return json_answer(told(back.brought, BroughtAnswer, file=file, **more))


def room_of(rooms: Rooms) -> Changed:
    """Who knows what changed.

    Raises:
        SteadyError: `not_reachable` where nothing is kept elsewhere.
    """
    if rooms.changed is None:
        raise SteadyError("not_reachable", "Nothing is kept elsewhere here, so there is no moment to compare with.")
    return rooms.changed


def moment(rooms: Rooms, text: str) -> When:
    """What `text` means now, its times in UTC.

    Raises:
        SteadyError: `invalid`.
    """
    return read_when(text, datetime.fromtimestamp(rooms.now(), UTC))


def later(rooms: Rooms, text: str) -> When | None:
    """The same; None for the live database."""
    return None if text.strip().lower() == NOW else moment(rooms, text)


def told(found: Any, kind: type[S], **more: Any) -> S:
    """A room's value, with `more`, as an answer. What a child read is hostile, and may be no text.

    Raises:
        SteadyError: `database_damaged`.
    """
    return answered({**asdict(found), **more}, kind)


ENDPOINTS = (
    Endpoint(
        method="GET", path=f"{ONE}/changed", handler=changed, access=Access.OWNER, query=ChangedQuery,
        answers=json_of(ChangedAnswer, RowsChangedAnswer), errors=MOMENT_ERRORS,
        summary="What differs between two moments of a database: schema and counts, or, of one table, the rows.",
    ),
    Endpoint(
        method="POST", path=f"{ONE}/bring-back", handler=bring_back, access=Access.OWNER, body=BringBackBody,
        answers=json_of(BroughtAnswer), errors=(*WRITE_ERRORS, *MOMENT_ERRORS),
        summary="Rows as they were at a moment, into the live database: all in one transaction, or none, after a "
        "restore point.",
    ),
)  # fmt: skip


# Private


def _sides(wanted: ChangedQuery, sides: Sides) -> dict[str, Any]:
    return {"from": _side(wanted.from_, sides.before), "to": _side(wanted.to, sides.after)}


def _side(asked: str, side: Side) -> SideAnswer:
    return SideAnswer(asked=asked, at=shown.moment(side.at), precision=side.precision, point=side.point)


def _wish(body: BringBackBody) -> Wish:
    if bool(body.rows) == bool(body.table):
        raise SteadyError("invalid", "Name either “rows” or a whole “table”.", {"field": "rows"})
    tables: dict[str, list[list[Any]] | None] = {body.table: None} if body.table else {}
    for row in body.rows:
        keys = tables.setdefault(row.table, [])
        assert keys is not None
        keys.append([given(value, "rows") for value in row.key])
    return Wish(tables, body.overwrite)
