"""SQL that somebody asked of an app's databases: what they see again in the console, and nobody else."""

from __future__ import annotations

from dataclasses import dataclass

from steadyd.store import Connection, Database, Row, one

STATEMENTS_PER_PERSON_MAX = 200
"""Of one app; the oldest go."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One text that was run. `at` is in seconds since 1970; `error` is the code of what refused it, or ""."""

    at: float
    file: str
    sql: str
    write: bool
    error: str
    milliseconds: float


class Statements:
    """The table `statements`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, app_id: str, principal_id: str, said: Statement) -> None:
        """Remember one; the same text as the one before takes its place."""

        def write(db: Connection) -> None:
            mine = (app_id, principal_id)
            sql = "SELECT id, file, sql FROM statements WHERE app_id = ? AND principal_id = ? ORDER BY id DESC LIMIT 1"
            last = one(db, sql, mine)
            if last is not None and (last[1], last[2]) == (said.file, said.sql):
                db.execute("DELETE FROM statements WHERE id = ?", (last[0],))
            sql = (
                "INSERT INTO statements (app_id, principal_id, at, file, sql, write, error, ms) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            )
            db.execute(sql, (*mine, said.at, said.file, said.sql, said.write, said.error, said.milliseconds))
            sql = "SELECT id FROM statements WHERE app_id = ? AND principal_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?"
            forgotten = f"DELETE FROM statements WHERE app_id = ? AND principal_id = ? AND id <= ({sql})"
            db.execute(forgotten, (*mine, *mine, STATEMENTS_PER_PERSON_MAX))

        await self._database.write(write)

    async def of(self, app_id: str, principal_id: str) -> list[Statement]:
        """The newest first."""
        sql = (
            "SELECT at, file, sql, write, error, ms FROM statements WHERE app_id = ? AND principal_id = ? "
            "ORDER BY id DESC"
        )
        return await self._database.read(lambda db: [_said(row) for row in db.execute(sql, (app_id, principal_id))])

    async def forget(self, app_id: str, principal_id: str) -> None:
        """All that one person asked of one app."""
        sql = "DELETE FROM statements WHERE app_id = ? AND principal_id = ?"
        await self._database.write(lambda db: db.execute(sql, (app_id, principal_id)))


# Private


def _said(row: Row) -> Statement:
    return Statement(float(row[0]), str(row[1]), str(row[2]), bool(row[3]), str(row[4]), float(row[5]))
