"""The lines along which databases are replicated: one open line for each database that is followed."""

from __future__ import annotations

from collections.abc import Sequence

from steadyd.moment import Line
from steadyd.store import Connection, Database, Row, Write, one

COLUMNS = "id, app_id, path, epoch, began_at, ended_at"


class Lines:
    """The table `lines`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, app_id: str, path: str, epoch: int, now: float) -> Line:
        """The line on which the database goes on; a line of an earlier epoch ends, and one of this begins."""

        def write(db: Connection) -> Line:
            row = one(db, f"SELECT {COLUMNS} FROM lines WHERE app_id=? AND path=? AND ended_at IS NULL", (app_id, path))
            if row is not None and row[3] == epoch:
                return _line(row)
            db.execute(
                "UPDATE lines SET ended_at=? WHERE app_id=? AND path=? AND ended_at IS NULL", (now, app_id, path)
            )
            db.execute(
                "INSERT INTO lines (app_id, path, epoch, began_at) VALUES (?, ?, ?, ?)", (app_id, path, epoch, now)
            )
            return Line(db.last_insert_rowid(), app_id, path, epoch, now)

        return await self._database.write(write)

    async def of(self, app_id: str) -> list[Line]:
        """All of one app, the oldest first."""
        query = f"SELECT {COLUMNS} FROM lines WHERE app_id=? ORDER BY id"
        return await self._database.read(lambda db: [_line(row) for row in db.execute(query, (app_id,))])

    async def one(self, line: int) -> Line | None:
        found = await self._database.read(lambda db: one(db, f"SELECT {COLUMNS} FROM lines WHERE id=?", (line,)))
        return _line(found) if found else None

    async def going_on(self) -> list[Line]:
        """Those of every app that have not ended."""
        query = f"SELECT {COLUMNS} FROM lines WHERE ended_at IS NULL"
        return await self._database.read(lambda db: [_line(row) for row in db.execute(query)])

    async def ended_before(self, at: float) -> list[Line]:
        """Those of every app that ended before `at`, the oldest first."""
        query = f"SELECT {COLUMNS} FROM lines WHERE ended_at < ? ORDER BY id"
        return await self._database.read(lambda db: [_line(row) for row in db.execute(query, (at,))])

    async def forget(self, line: int) -> None:
        """Nothing of it is kept any more."""
        await self._database.write(lambda db: db.execute("DELETE FROM lines WHERE id=?", (line,)))

    async def write(self, *writes: Write) -> None:
        """Make `writes` true in one transaction."""
        await self._database.write(lambda db: [write(db) for write in writes])


def ending(app_id: str, now: float, paths: Sequence[str] | None = None) -> Write:
    """The open lines of these databases, or of all, end: what comes next under these names is another history."""

    def write(db: Connection) -> None:
        if paths is None:
            db.execute("UPDATE lines SET ended_at=? WHERE app_id=? AND ended_at IS NULL", (now, app_id))
            return
        for path in paths:
            db.execute(
                "UPDATE lines SET ended_at=? WHERE app_id=? AND path=? AND ended_at IS NULL", (now, app_id, path)
            )

    return write


# Private


def _line(row: Row) -> Line:
    return Line(int(row[0]), str(row[1]), str(row[2]), int(row[3]), float(row[4]), row[5])
