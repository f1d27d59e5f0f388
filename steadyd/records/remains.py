"""What is left elsewhere of apps that are gone: to be removed there, whenever that can be done."""

from __future__ import annotations

from steadyd.store import Connection, Database


class Remains:
    """The table `remains`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, app_id: str, now: float) -> None:
        """The app goes. Nothing is left of one that was never replicated."""

        def write(db: Connection) -> None:
            db.execute(
                "INSERT OR IGNORE INTO remains (app_id, at) SELECT ?, ? WHERE EXISTS"
                " (SELECT 1 FROM lines WHERE app_id = ?)",
                (app_id, now, app_id),
            )

        await self._database.write(write)

    async def all(self) -> list[str]:
        """Ids of apps, those that went first before the others."""
        query = "SELECT app_id FROM remains ORDER BY at"
        return await self._database.read(lambda db: [str(row[0]) for row in db.execute(query)])

    async def gone(self, app_id: str) -> None:
        """Nothing is left of it."""
        await self._database.write(lambda db: db.execute("DELETE FROM remains WHERE app_id = ?", (app_id,)))
