"""The epochs of this host: under which number it wrote into which backup target."""

from __future__ import annotations

from steadyd.store import Connection, Database, Write, one


class Epochs:
    """The table `epochs`. A number is used once, whatever the target."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self, target: str) -> int:
        """The newest epoch that is this host's in `target` (its address); 0 if there is none."""
        query = "SELECT max(epoch) FROM epochs WHERE target=?"
        found = await self._database.read(lambda db: one(db, query, (target,)))
        return int(found[0] or 0) if found else 0

    async def highest(self) -> int:
        """The highest of all; 0 if there is none."""
        found = await self._database.read(lambda db: one(db, "SELECT max(epoch) FROM epochs"))
        return int(found[0] or 0) if found else 0

    async def add(self, epoch: int, target: str, now: float) -> None:
        """From now on this host writes there under this number."""
        await self._database.write(adding(epoch, target, now))


def adding(epoch: int, target: str, now: float) -> Write:
    """The same as part of a transaction."""

    def write(db: Connection) -> None:
        db.execute("INSERT OR REPLACE INTO epochs (epoch, at, target) VALUES (?, ?, ?)", (epoch, now, target))

    return write
