"""Restore points: marks that are promised to stay reachable."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from steadyd.moment import Mark, Point, PointKind, PointState, Stand
from steadyd.store import Connection, Database, Row, Write, one

COLUMNS = "id, app_id, kind, mark, by, note, version, operation, state, problem"


class Points:
    """The table `points`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, point: Point) -> Point:
        """Keep a new one; its id is given here."""
        return await self._database.write(lambda db: _add(db, point))

    async def of(self, app_id: str) -> list[Point]:
        """All of one app, the newest first."""
        query = f"SELECT {COLUMNS} FROM points WHERE app_id=? ORDER BY at DESC, id DESC"
        return await self._database.read(lambda db: [_point(row) for row in db.execute(query, (app_id,))])

    async def one(self, app_id: str, number: int) -> Point | None:
        query = f"SELECT {COLUMNS} FROM points WHERE app_id=? AND id=?"
        found = await self._database.read(lambda db: one(db, query, (app_id, number)))
        return _point(found) if found else None

    async def pending(self) -> list[Point]:
        """Those of every app that wait for the replica, the oldest first."""
        query = f"SELECT {COLUMNS} FROM points WHERE state='pending' ORDER BY id"
        return await self._database.read(lambda db: [_point(row) for row in db.execute(query)])

    async def apps(self) -> list[str]:
        """The apps that have any."""
        query = "SELECT DISTINCT app_id FROM points"
        return await self._database.read(lambda db: [str(row[0]) for row in db.execute(query)])

    async def settle(self, number: int, state: PointState, problem: str = "") -> None:
        """Say what became of one."""
        query = "UPDATE points SET state=?, problem=? WHERE id=?"
        await self._database.write(lambda db: db.execute(query, (state, problem, number)))

    async def forget(self, number: int) -> None:
        """It is not promised any more."""
        await self._database.write(lambda db: db.execute("DELETE FROM points WHERE id=?", (number,)))


def adding(point: Point) -> Write:
    """Keep a new one as part of a transaction."""
    return lambda db: _add(db, point)


# Private


def _add(db: Connection, point: Point) -> Point:
    mark = point.mark
    values = (point.app_id, mark.at, point.kind, json.dumps(asdict(mark)), point.by, point.note, point.version)
    db.execute(
        "INSERT INTO points (app_id, at, kind, mark, by, note, version, operation, state, problem)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*values, point.operation, point.state, point.problem),
    )
    return replace(point, id=db.last_insert_rowid())


def _point(row: Row) -> Point:
    told = json.loads(str(row[3]))
    stands = tuple(Stand(**stand) for stand in told.pop("databases"))
    mark = Mark(databases=stands, **told)
    return Point(
        int(row[0]), str(row[1]), PointKind(str(row[2])), mark, str(row[4]), str(row[5]), int(row[6]), row[7],
        PointState(str(row[8])), str(row[9]),
    )  # fmt: skip
