"""What was done and what happened: deploys with their steps, the journal of operations, and events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from steadyd.model import App, Deploy, Event, Principal
from steadyd.store import Connection, Database, Row

WAKE = "wake"
"""The kind of event whose `details.ms` says how long a start took."""
EVENTS_PER_APP_MAX = 1_000
DEPLOY_COLUMNS = "id, app_id, version, kind, status, steps, started_at, finished_at, reason"


@dataclass(frozen=True, slots=True)
class Operation:
    """One piece of multi-step work. `outcome` is "" while it runs, then done, failed or undone."""

    id: int
    app_id: str
    kind: str
    step: str
    outcome: str
    started_at: float
    finished_at: float | None


class Journal:
    """Deploys, operations and events in steady.db."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, app_id: str, kind: str, by: Principal, now: float) -> int:
        """Open an operation; returns its id. It stays open until `finish`, across a crash too."""
        sql = (
            "INSERT INTO operations (app_id, kind, principal_id, step, started_at) VALUES (?, ?, ?, 'begin', ?) "
            "RETURNING id"
        )
        return await self._database.write(lambda db: _id(db.execute(sql, (app_id, kind, by.id, now)).fetchall()))

    async def step(self, operation_id: int, step: str) -> None:
        """Record that `step` begins, before it does."""
        sql = "UPDATE operations SET step = ? WHERE id = ?"
        await self._database.write(lambda db: db.execute(sql, (step, operation_id)))

    async def finish(self, operation_id: int, outcome: str, now: float) -> None:
        """Close an operation: done, failed or undone."""
        sql = "UPDATE operations SET outcome = ?, finished_at = ? WHERE id = ?"
        await self._database.write(lambda db: db.execute(sql, (outcome, now, operation_id)))

    async def unfinished(self) -> list[Operation]:
        """What a crash interrupted, oldest first."""
        sql = (
            "SELECT id, app_id, kind, step, coalesce(outcome, ''), started_at, finished_at FROM operations "
            "WHERE finished_at IS NULL ORDER BY id"
        )
        return await self._database.read(lambda db: [Operation(*row) for row in db.execute(sql)])

    async def begin_deploy(self, app: App, version: int, kind: str, now: float) -> int:
        sql = (
            "INSERT INTO deploys (app_id, version, kind, status, started_at) VALUES (?, ?, ?, 'running', ?) "
            "RETURNING id"
        )
        return await self._database.write(lambda db: _id(db.execute(sql, (app.id, version, kind, now)).fetchall()))

    async def finish_deploy(
        self, deploy_id: int, status: str, steps: Sequence[dict[str, Any]], now: float, reason: str = ""
    ) -> Deploy:
        """Record how a deploy ended: `live`, or `failed` with its reason."""
        sql = (
            "UPDATE deploys SET status = ?, steps = ?, reason = ?, finished_at = ? WHERE id = ? "
            f"RETURNING {DEPLOY_COLUMNS}"
        )
        values = (status, json.dumps(list(steps)), reason, now, deploy_id)
        return await self._database.write(lambda db: _deploy(db.execute(sql, values).fetchall()[0]))

    async def settle_deploys(self, app_id: str, now: float, reason: str) -> None:
        """After a crash: a running deploy went live if its version is, and failed otherwise."""
        sql = (
            "UPDATE deploys SET finished_at = ?2, "
            "status = CASE WHEN version = (SELECT version FROM apps WHERE id = ?1) THEN 'live' ELSE 'failed' END, "
            "reason = CASE WHEN version = (SELECT version FROM apps WHERE id = ?1) THEN '' ELSE ?3 END "
            "WHERE app_id = ?1 AND status = 'running'"
        )
        await self._database.write(lambda db: db.execute(sql, (app_id, now, reason)))

    async def deploys(self, app_id: str, limit: int = 100) -> list[Deploy]:
        """Newest first."""
        sql = f"SELECT {DEPLOY_COLUMNS} FROM deploys WHERE app_id = ? ORDER BY id DESC LIMIT ?"
        return await self._database.read(lambda db: [_deploy(row) for row in db.execute(sql, (app_id, limit))])

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


# Private


def _id(rows: list[Row]) -> int:
    return int(rows[0][0])


def _deploy(row: Row) -> Deploy:
    return Deploy(
        id=row[0], app_id=row[1], version=row[2], kind=row[3], status=row[4], steps=tuple(json.loads(row[5])),
        started_at=row[6], finished_at=row[7], reason=row[8],
    )  # fmt: skip
