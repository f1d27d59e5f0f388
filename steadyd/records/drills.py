"""Drills: what came of restoring an app's newest backup, to see whether it can be."""

from __future__ import annotations

import json
from dataclasses import asdict

from steadyd.moment import Drill, Stand
from steadyd.store import Connection, Database, Row

DRILLS_PER_APP_MAX = 100
COLUMNS = "app_id, at, ok, ms, moment, problem, compared, stands"


class Drills:
    """The table `drills`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, drill: Drill) -> None:
        """Keep one; the oldest ones go, but not the last that went well."""
        told = json.dumps([asdict(stand) for stand in drill.stands])
        values = (drill.app_id, drill.at, drill.ok, drill.ms, drill.moment, drill.problem, drill.compared, told)

        def write(db: Connection) -> None:
            db.execute(f"INSERT INTO drills ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
            db.execute(
                "DELETE FROM drills WHERE app_id=?1"
                " AND id NOT IN (SELECT id FROM drills WHERE app_id=?1 ORDER BY id DESC LIMIT ?2)"
                " AND id IS NOT (SELECT max(id) FROM drills WHERE app_id=?1 AND ok)",
                (drill.app_id, DRILLS_PER_APP_MAX),
            )

        await self._database.write(write)

    async def of(self, app_id: str) -> list[Drill]:
        """All that are kept of one app, the newest first."""
        query = f"SELECT {COLUMNS} FROM drills WHERE app_id=? ORDER BY id DESC"
        return await self._database.read(lambda db: [_drill(row) for row in db.execute(query, (app_id,))])

    async def last(self) -> dict[str, Drill]:
        """The newest of each app."""
        query = f"SELECT {COLUMNS} FROM drills WHERE id IN (SELECT max(id) FROM drills GROUP BY app_id)"
        found = await self._database.read(lambda db: [_drill(row) for row in db.execute(query)])
        return {drill.app_id: drill for drill in found}

    async def proven_at(self, app_id: str) -> float | None:
        """When the last one went well; None if none did."""
        query = "SELECT max(at) FROM drills WHERE app_id=? AND ok"
        return await self._database.read(lambda db: next(iter(db.execute(query, (app_id,))))[0])


# Private


def _drill(row: Row) -> Drill:
    stands = tuple(Stand(**stand) for stand in json.loads(str(row[7])))
    return Drill(
        str(row[0]), float(row[1]), bool(row[2]), float(row[3]), float(row[4]), str(row[5]), bool(row[6]), stands
    )
