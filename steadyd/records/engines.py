"""With which Bun each app's live version was last seen to start."""

from __future__ import annotations

from steadyd.store import Database, one


class Engines:
    """One row an app. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def proven(self, app_id: str, version: int) -> str:
        """The Bun that a version of an app was last tried with after an upgrade; "" of none."""
        sql = "SELECT bun FROM engines WHERE app_id = ? AND version = ?"
        row = await self._database.read(lambda db: one(db, sql, (app_id, version)))
        return str(row[0]) if row else ""

    async def prove(self, app_id: str, version: int, bun: str) -> None:
        sql = "INSERT OR REPLACE INTO engines (app_id, version, bun) VALUES (?, ?, ?)"
        await self._database.write(lambda db: db.execute(sql, (app_id, version, bun)))
