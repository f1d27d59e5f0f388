"""What was done and what happened: deploys with their steps, the journal of operations, and events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from steadyd.model import App, Deploy, Event, Principal
from steadyd.store import Connection, Database, Row, Write, one

WAKE = "wake"
"""The kind of event whose `details.ms` says how long a start took."""
EVENTS_PER_APP_MAX = 1_000
OPERATIONS_PER_APP_MAX = 500
OPERATION_DAYS_MAX = 30
DEPLOYS_PER_APP_MAX = 1_000
"""How long the operations of an app that is gone are kept."""
OPERATIONS = (
    "SELECT o.id, o.app_id, coalesce(a.name, o.app_name), o.kind, o.principal_id, coalesce(p.name, ''), o.step, "
    "o.steps, o.committed, coalesce(o.outcome, ''), o.error, o.started_at, o.finished_at FROM operations o "
    "LEFT JOIN apps a ON a.id = o.app_id LEFT JOIN principals p ON p.id = o.principal_id"
)
DEPLOY_COLUMNS = "id, app_id, version, kind, status, steps, started_at, finished_at, reason"


@dataclass(frozen=True, slots=True)
class Operation:
    """One piece of multi-step work. `outcome` is "" while it runs, then done, failed, cancelled or undone."""

    id: int
    app_id: str
    app_name: str
    """What the app is called, or was when it began."""
    kind: str
    principal_id: str
    by: str
    """The name of who asked for it; "" of somebody who is gone."""
    step: str
    """The last one that began."""
    steps: tuple[dict[str, Any], ...]
    """Those that ended: `{name, ms, ok}`."""
    committed: bool
    """Whether what it is for is a fact: then a crash cannot undo it any more."""
    outcome: str
    error: dict[str, Any] | None
    """`{code, message, details}` of one that failed."""
    started_at: float
    finished_at: float | None


class Journal:
    """Deploys, operations and events in steady.db."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, app: App, kind: str, by: Principal, now: float) -> int:
        """Open an operation; returns its id. It stays open until `finish`, across a crash too."""
        sql = (
            "INSERT INTO operations (app_id, app_name, kind, principal_id, step, started_at) "
            "VALUES (?, ?, ?, ?, 'begin', ?) RETURNING id"
        )
        values = (app.id, app.name, kind, by.id, now)
        return await self._database.write(lambda db: _id(db.execute(sql, values).fetchall()))

    async def step(self, operation_id: int, step: str, done: Sequence[dict[str, Any]] = ()) -> None:
        """Record that `step` begins, before it does, and how those before it went."""
        sql = "UPDATE operations SET step = ?, steps = ? WHERE id = ?"
        values = (step, json.dumps(list(done)), operation_id)
        await self._database.write(lambda db: db.execute(sql, values))

    async def commit(self, operation_id: int, writes: Sequence[Write]) -> None:
        """Make it a fact, whole or not at all: what the operation is for, and that it is not to be undone."""

        def write(db: Connection) -> None:
            for change in writes:
                change(db)
            db.execute("UPDATE operations SET committed = 1 WHERE id = ?", (operation_id,))

        await self._database.write(write)

    async def finish(
        self, operation_id: int, outcome: str, now: float, steps: Sequence[dict[str, Any]] | None = None,
        error: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Close an operation with its deploy, if it was one. Only so many of an app are kept."""

        def write(db: Connection) -> None:
            done = None if steps is None else json.dumps(list(steps))
            said = None if error is None else json.dumps(error)
            sql = (
                "UPDATE operations SET outcome = ?, steps = coalesce(?, steps), error = ?, finished_at = ? "
                "WHERE id = ? RETURNING app_id"
            )
            row = one(db, sql, (outcome, done, said, now, operation_id))
            message = str((error or {}).get("message", "")).encode("utf-8", "replace").decode()  # it may name a file
            status, reason = ("live", "") if outcome == "done" else ("failed", message)
            sql = (
                "UPDATE deploys SET status = ?, steps = coalesce(?, steps), reason = ?, finished_at = ? "
                "WHERE operation_id = ?"
            )
            db.execute(sql, (status, done, reason, now, operation_id))
            _forget_old(db, row[0] if row else "", now)

        await self._database.write(write)

    async def unfinished(self) -> list[Operation]:
        """What a crash interrupted, oldest first."""
        sql = f"{OPERATIONS} WHERE o.finished_at IS NULL ORDER BY o.id"
        return await self._database.read(lambda db: [operation_of(row) for row in db.execute(sql)])

    async def operation(self, operation_id: int) -> Operation | None:
        sql = f"{OPERATIONS} WHERE o.id = ?"

        def query(db: Connection) -> Operation | None:
            row = one(db, sql, (operation_id,))
            return operation_of(row) if row else None

        return await self._database.read(query)

    async def operations(
        self, app_id: str | None = None, principal_id: str | None = None, limit: int = 100
    ) -> list[Operation]:
        """Newest first: of one app, or those that somebody asked for."""
        where = " AND ".join(f"{name} = ?" for name, value in _asked(app_id, principal_id))
        values = [value for _, value in _asked(app_id, principal_id)]
        sql = f"{OPERATIONS} WHERE {where or 'TRUE'} ORDER BY o.id DESC LIMIT ?"
        return await self._database.read(lambda db: [operation_of(row) for row in db.execute(sql, (*values, limit))])

    async def begin_deploy(self, operation_id: int, version: int) -> int:
        """An operation that makes `version` live; returns the deploy's id."""
        sql = (
            "INSERT INTO deploys (app_id, version, kind, status, started_at, operation_id) "
            "SELECT app_id, ?, kind, 'running', started_at, id FROM operations WHERE id = ? RETURNING id"
        )
        return await self._database.write(lambda db: _id(db.execute(sql, (version, operation_id)).fetchall()))

    async def deploy(self, deploy_id: int) -> Deploy | None:
        sql = f"SELECT {DEPLOY_COLUMNS} FROM deploys WHERE id = ?"

        def query(db: Connection) -> Deploy | None:
            row = one(db, sql, (deploy_id,))
            return _deploy(row) if row else None

        return await self._database.read(query)

    async def deploys(self, app_id: str, limit: int = 100) -> list[Deploy]:
        """Newest first."""
        sql = f"SELECT {DEPLOY_COLUMNS} FROM deploys WHERE app_id = ? ORDER BY id DESC LIMIT ?"
        return await self._database.read(lambda db: [_deploy(row) for row in db.execute(sql, (app_id, limit))])

    async def live_deploys(self, app_id: str, first: int, last: int) -> dict[int, Deploy]:
        """Version → the deploy by which it went live last, of those from `first` to `last`."""
        sql = (
            f"SELECT {DEPLOY_COLUMNS} FROM deploys WHERE app_id = ? AND version BETWEEN ? AND ? AND status = 'live' "
            "ORDER BY id"
        )
        values = (app_id, first, last)
        return await self._database.read(lambda db: {int(row[2]): _deploy(row) for row in db.execute(sql, values)})

    async def made_live(self, app_id: str, version: int) -> list[int]:
        """The operations that made `version` live, the oldest first."""
        sql = (
            "SELECT operation_id FROM deploys WHERE app_id = ? AND version = ? AND status = 'live'"
            " AND operation_id IS NOT NULL ORDER BY id"
        )
        return await self._database.read(lambda db: [int(str(row[0])) for row in db.execute(sql, (app_id, version))])

    async def live_at(self, app_id: str, at: float) -> int:
        """Which version was live at `at`, seconds since 1970; 0 where that is not known any more."""
        sql = "SELECT version FROM deploys WHERE app_id = ? AND status = 'live' AND finished_at <= ? ORDER BY id DESC"
        found = await self._database.read(lambda db: one(db, f"{sql} LIMIT 1", (app_id, at)))
        return int(found[0]) if found else 0

    async def add_event(self, app_id: str, event: Event) -> None:
        """Remember an event; the oldest beyond the limit go."""

        def write(db: Connection) -> None:
            if not db.execute("SELECT 1 FROM apps WHERE id = ?", (app_id,)).fetchall():
                return  # purged while its last event was on the way
            sql = "INSERT INTO events (app_id, at, kind, message, details) VALUES (?, ?, ?, ?, ?)"
            db.execute(sql, (app_id, event.at, event.kind, event.message, json.dumps(event.details)))
            sql = "SELECT id FROM events WHERE app_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?"
            db.execute(f"DELETE FROM events WHERE app_id = ? AND id <= ({sql})", (app_id, app_id, EVENTS_PER_APP_MAX))

        await self._database.write(write)

    async def events(self, app_id: str, limit: int = 100, after: int = 0) -> list[tuple[int, Event]]:
        """The newest `limit` events after id `after`, oldest first, each with its id."""
        sql = "SELECT id, at, kind, message, details FROM events WHERE app_id = ? AND id > ? ORDER BY id DESC LIMIT ?"

        def query(db: Connection) -> list[tuple[int, Event]]:
            rows = db.execute(sql, (app_id, after, limit)).fetchall()
            return [(row[0], Event(row[1], row[2], row[3], json.loads(row[4]))) for row in reversed(rows)]

        return await self._database.read(query)

    async def wakes(self, app_id: str, since: float) -> list[float]:
        """How long each start since then took, in ms, the shortest first (of the events that are kept)."""
        sql = (
            "SELECT json_extract(details, '$.ms') AS ms FROM events WHERE app_id = ? AND kind = ? AND at >= ? "
            "AND ms IS NOT NULL ORDER BY ms"
        )
        return await self._database.read(lambda db: [float(row[0]) for row in db.execute(sql, (app_id, WAKE, since))])

    async def woken(self, app_id: str, start: float, end: float) -> tuple[list[tuple[float, float]], bool]:
        """When it woke and how long each start took, in ms, the first first; and whether all events since `start` are
        kept."""
        sql = (
            "SELECT at, json_extract(details, '$.ms') AS ms FROM events WHERE app_id = ? AND kind = ? AND at >= ? "
            "AND at < ? AND ms IS NOT NULL ORDER BY id"
        )

        def query(db: Connection) -> tuple[list[tuple[float, float]], bool]:
            row = one(db, "SELECT count(*), min(at) FROM events WHERE app_id = ?", (app_id,))
            complete = row is None or row[0] < EVENTS_PER_APP_MAX or row[1] < start
            return [(float(row[0]), float(row[1])) for row in db.execute(sql, (app_id, WAKE, start, end))], complete

        return await self._database.read(query)

    async def woke(self, app_id: str, begin: float, end: float) -> tuple[float, float] | None:
        """When a start of the app first ended between two moments, and how many seconds it took; None if none did."""
        sql = (
            "SELECT at, json_extract(details, '$.ms') / 1e3 AS took FROM events WHERE app_id = ? AND kind = ? "
            "AND at BETWEEN ? AND ? AND took IS NOT NULL ORDER BY id LIMIT 1"
        )
        row = await self._database.read(lambda db: one(db, sql, (app_id, WAKE, begin, end)))
        return (float(row[0]), float(row[1])) if row else None


def operation_of(row: Row) -> Operation:
    return Operation(
        id=row[0], app_id=row[1], app_name=row[2], kind=row[3], principal_id=row[4], by=row[5], step=row[6],
        steps=tuple(json.loads(row[7])), committed=bool(row[8]), outcome=row[9],
        error=None if row[10] is None else json.loads(row[10]), started_at=row[11], finished_at=row[12],
    )  # fmt: skip


# Private


def _id(rows: list[Row]) -> int:
    return int(rows[0][0])


def _asked(app_id: str | None, principal_id: str | None) -> list[tuple[str, str]]:
    wanted = (("o.app_id", app_id), ("o.principal_id", principal_id))
    return [(name, value) for name, value in wanted if value is not None]


def _forget_old(db: Connection, app_id: str, now: float) -> None:
    sql = "SELECT id FROM operations WHERE app_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?"
    db.execute(
        f"DELETE FROM operations WHERE app_id = ? AND id <= ({sql}) AND finished_at IS NOT NULL",
        (app_id, app_id, OPERATIONS_PER_APP_MAX),
    )
    sql = "SELECT id FROM deploys WHERE app_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?"
    db.execute(f"DELETE FROM deploys WHERE app_id = ? AND id <= ({sql})", (app_id, app_id, DEPLOYS_PER_APP_MAX))
    sql = "DELETE FROM operations WHERE finished_at < ? AND NOT EXISTS (SELECT 1 FROM apps WHERE id = app_id)"
    db.execute(sql, (now - OPERATION_DAYS_MAX * 86_400.0,))


def _deploy(row: Row) -> Deploy:
    return Deploy(
        id=row[0], app_id=row[1], version=row[2], kind=row[3], status=row[4], steps=tuple(json.loads(row[5])),
        started_at=row[6], finished_at=row[7], reason=row[8],
    )  # fmt: skip
