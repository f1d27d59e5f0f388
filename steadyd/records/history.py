"""What became of an app, in one list: events, operations and death cards, newest first, a page at a time.

What is told twice is listed once: a death by its card, and what an operation did by the operation.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import islice

from steadyd.errors import SteadyError
from steadyd.model import Death, Event
from steadyd.records.deaths import card
from steadyd.records.journal import OPERATIONS, WAKE, Operation, operation_of
from steadyd.store import Connection, Database

SORTS = ("operation", "death", "wake", "event")
"""What one may ask for. A wake is an event, and so is a sleep: of an idle app there are many."""
COMING_AND_GOING = (WAKE, "sleep")
PAST_ID = 2**53
_CURSOR = re.compile(r"(\d{1,16})-(\d{1,16})-(\d{1,16})", re.ASCII)
EVENTS = (
    "SELECT e.id, e.at, e.kind, e.message, e.details FROM events e WHERE e.app_id = ?1 AND e.id < ?2 "
    "AND e.at >= ?6 AND "
    f"(e.kind IN {COMING_AND_GOING} AND ?4 OR e.kind NOT IN {COMING_AND_GOING} AND ?5) "
    "AND NOT (e.kind = 'death' AND EXISTS (SELECT 1 FROM deaths d WHERE d.app_id = e.app_id AND d.at = e.at)) "
    "AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.app_id = e.app_id AND e.kind IN (o.kind, o.kind || '_failed') "
    "AND o.started_at <= e.at AND e.at <= coalesce(o.finished_at, e.at) + 1) ORDER BY e.id DESC LIMIT ?3"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list. `version` is what an operation made live, or tried to; 0 of others."""

    sort: str
    id: int
    at: float
    what: Event | Operation | Death
    version: int = 0


@dataclass(frozen=True, slots=True)
class Cursor:
    """Of each table, the id before which a page begins."""

    event: int = PAST_ID
    operation: int = PAST_ID
    death: int = PAST_ID

    def __str__(self) -> str:
        return f"{self.event}-{self.operation}-{self.death}"


@dataclass(frozen=True, slots=True)
class Page:
    """`next` is where the older ones begin; None where there are none."""

    entries: list[Entry]
    next: Cursor | None


class History:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, app_id: str, limit: int, cursor: Cursor = Cursor(), sorts: Collection[str] = SORTS) -> Page:
        """So many entries of these sorts, from the cursor on, newest first."""
        return await self._database.read(lambda db: _page(db, app_id, limit, cursor, sorts))

    async def between(self, app_id: str, start: float, end: float) -> list[Entry]:
        """All entries from `start` to before `end`; what is kept of an app is few enough."""

        def query(db: Connection) -> list[Entry]:
            found = _page(db, app_id, PAST_ID, Cursor(), SORTS, start).entries
            return [entry for entry in found if entry.at < end]

        return await self._database.read(query)

    async def one(self, app_id: str, sort: str, number: int) -> Entry | None:
        """One operation or death of an app."""
        at = replace(Cursor(), **{sort: number + 1})
        found = await self._database.read(lambda db: _page(db, app_id, 1, at, (sort,)))
        return next((entry for entry in found.entries if entry.id == number), None)


def parse_cursor(text: str) -> Cursor:
    """A cursor as a page's address says it; "" is the beginning.

    Raises:
        SteadyError: `invalid`.
    """
    found = _CURSOR.fullmatch(text)
    if text and found is None:
        raise SteadyError("invalid", "That address does not say where the list goes on.", {"field": "before"})
    return Cursor(*(min(int(part), PAST_ID) for part in found.groups())) if found else Cursor()


# Private


def _page(db: Connection, app_id: str, limit: int, cursor: Cursor, sorts: Collection[str], since: float = 0.0) -> Page:
    lists = (
        _events(db, app_id, limit, cursor.event, sorts, since),
        _operations(db, app_id, limit, cursor.operation, since) if "operation" in sorts else [],
        _deaths(db, app_id, limit, cursor.death, since) if "death" in sorts else [],
    )
    merged = heapq.merge(*lists, key=lambda entry: -entry.at)
    entries = list(islice(merged, limit))
    if len(entries) == sum(map(len, lists)) < limit:
        return Page(entries, None)
    for entry in entries:
        cursor = replace(cursor, **{"event" if entry.sort == "wake" else entry.sort: entry.id})
    return Page(entries, cursor if _more(db, app_id, cursor, sorts) else None)


def _more(db: Connection, app_id: str, cursor: Cursor, sorts: Collection[str]) -> bool:
    return bool(
        _events(db, app_id, 1, cursor.event, sorts)
        or ("operation" in sorts and _operations(db, app_id, 1, cursor.operation))
        or ("death" in sorts and _deaths(db, app_id, 1, cursor.death))
    )


def _events(
    db: Connection, app_id: str, limit: int, before: int, sorts: Collection[str], since: float = 0.0
) -> list[Entry]:
    values = (app_id, before, limit, "wake" in sorts, "event" in sorts, since)
    return [
        Entry(
            "wake" if row[2] in COMING_AND_GOING else "event",
            row[0],
            row[1],
            Event(row[1], row[2], row[3], json.loads(row[4])),
        )
        for row in db.execute(EVENTS, values)
    ]


def _operations(db: Connection, app_id: str, limit: int, before: int, since: float = 0.0) -> list[Entry]:
    sql = f"{OPERATIONS} WHERE o.app_id = ? AND o.id < ? AND o.started_at >= ? ORDER BY o.id DESC LIMIT ?"
    found = [operation_of(row) for row in db.execute(sql, (app_id, before, since, limit)).fetchall()]
    sql = "SELECT operation_id, version FROM deploys WHERE app_id = ? AND operation_id >= ? AND operation_id < ?"
    least = min((operation.id for operation in found), default=before)
    versions = {int(row[0]): int(row[1]) for row in db.execute(sql, (app_id, least, before))}
    return [Entry("operation", each.id, each.started_at, each, versions.get(each.id, 0)) for each in found]


def _deaths(db: Connection, app_id: str, limit: int, before: int, since: float = 0.0) -> list[Entry]:
    sql = "SELECT id, at, card FROM deaths WHERE app_id = ? AND id < ? AND at >= ? ORDER BY id DESC LIMIT ?"
    rows = db.execute(sql, (app_id, before, since, limit))
    return [Entry("death", row[0], row[1], card(json.loads(row[2]))) for row in rows]
