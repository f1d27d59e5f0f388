"""Apps of a recovered host whose data is not on it yet: what remains to be brought."""

from __future__ import annotations

from dataclasses import dataclass

from steadyd.store import Connection, Database, Row, Write

COLUMNS = "app_id, at, here, problem"


@dataclass(frozen=True, slots=True)
class Absence:
    """One such app. `at` is when its host was recovered, seconds since 1970: what counts is from before. Once `here`,
    it can run, and only versions that are not live remain. `problem` says why it could not be brought; "" so far."""

    app_id: str
    at: float
    here: bool = False
    problem: str = ""


class Absences:
    """The table `absences`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[Absence]:
        """Those that people see first, then deleted ones; of each the ones changed last first."""
        query = (
            f"SELECT {COLUMNS} FROM absences JOIN apps ON apps.id = absences.app_id "
            "ORDER BY apps.deleted_at IS NOT NULL, apps.updated_at DESC"
        )
        return await self._database.read(lambda db: [_absence(row) for row in db.execute(query)])

    async def here(self, app_id: str) -> None:
        """It can run."""
        query = "UPDATE absences SET here = 1, problem = '' WHERE app_id = ?"
        await self._database.write(lambda db: db.execute(query, (app_id,)))

    async def failed(self, app_id: str, problem: str) -> None:
        query = "UPDATE absences SET problem = ? WHERE app_id = ?"
        await self._database.write(lambda db: db.execute(query, (problem, app_id)))

    async def over(self, app_id: str) -> None:
        """Nothing of it remains to be brought."""
        await self._database.write(lambda db: db.execute("DELETE FROM absences WHERE app_id = ?", (app_id,)))


def everybody(now: float) -> Write:
    """Every app that exists is absent since `now`."""

    def write(db: Connection) -> None:
        db.execute("INSERT OR REPLACE INTO absences (app_id, at, here, problem) SELECT id, ?, 0, '' FROM apps", (now,))

    return write


# Private


def _absence(row: Row) -> Absence:
    return Absence(str(row[0]), float(row[1]), bool(row[2]), str(row[3]))
