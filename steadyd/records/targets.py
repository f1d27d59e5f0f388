"""What the operator opened to apps: exact addresses and ports that are refused to everybody else."""

from __future__ import annotations

from steadyd.errors import SteadyError
from steadyd.reach import Target
from steadyd.store import Connection, Database

TARGETS_MAX = 32
"""For one app."""


class Targets:
    """The table `targets`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def everything(self) -> dict[str, tuple[Target, ...]]:
        """App's id → its targets, in order."""
        found: dict[str, tuple[Target, ...]] = {}
        query = "SELECT app_id, address, port FROM targets ORDER BY address, port"

        def read(db: Connection) -> dict[str, tuple[Target, ...]]:
            for app_id, address, port in db.execute(query):
                found[str(app_id)] = (*found.get(str(app_id), ()), Target(str(address), int(str(port))))
            return found

        return await self._database.read(read)

    async def of(self, app_id: str) -> tuple[Target, ...]:
        """One app's, in order."""
        return await self._database.read(lambda db: _of(db, app_id))

    async def add(self, app_id: str, target: Target) -> tuple[Target, ...]:
        """Open one more, or the same again; returns them all.

        Raises:
            SteadyError: `invalid` above TARGETS_MAX.
        """

        def add(db: Connection) -> tuple[Target, ...]:
            db.execute("INSERT OR IGNORE INTO targets VALUES (?, ?, ?)", (app_id, target.address, target.port))
            found = _of(db, app_id)
            if len(found) > TARGETS_MAX:
                raise SteadyError("invalid", f"An app has at most {TARGETS_MAX} open targets. Remove one first.")
            return found

        return await self._database.write(add)

    async def remove(self, app_id: str, target: Target) -> tuple[Target, ...]:
        """Close one; returns what is left.

        Raises:
            SteadyError: `not_found` if it is not open.
        """

        def remove(db: Connection) -> tuple[Target, ...]:
            query = "DELETE FROM targets WHERE app_id = ? AND address = ? AND port = ?"
            db.execute(query, (app_id, target.address, target.port))
            if not db.changes():
                raise SteadyError("not_found", f"{target} is not open to this app.")
            return _of(db, app_id)

        return await self._database.write(remove)


# Private


def _of(db: Connection, app_id: str) -> tuple[Target, ...]:
    query = "SELECT address, port FROM targets WHERE app_id = ? ORDER BY address, port"
    return tuple(Target(str(row[0]), int(str(row[1]))) for row in db.execute(query, (app_id,)))
