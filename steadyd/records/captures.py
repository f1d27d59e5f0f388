"""What was captured of apps' files that are no database, and when."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace

from steadyd.moment import Capture
from steadyd.store import Connection, Database, Row, one

COLUMNS = "id, app_id, at, manifest, files, bytes, seen_at, skipped, problem"


class Captures:
    """The table `captures`: a row for each state that an app's files were found in, not for each look at them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, capture: Capture) -> Capture:
        """Keep one. Where the newest says the same, that one was seen again. One that began before the newest was seen
        is behind the times, and nothing."""

        def write(db: Connection) -> Capture:
            newest = _newest(db, capture.app_id)
            if newest is not None and capture.seen_at < newest.seen_at:
                return newest
            if newest is not None and _told(newest) == _told(capture):
                db.execute("UPDATE captures SET seen_at = ? WHERE id = ?", (capture.seen_at, newest.id))
                return replace(newest, seen_at=capture.seen_at)
            db.execute(
                "INSERT INTO captures (app_id, at, manifest, files, bytes, seen_at, skipped, problem)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    capture.app_id, capture.at, capture.manifest, capture.files, capture.bytes, capture.seen_at,
                    capture.skipped, capture.problem,
                ),
            )  # fmt: skip
            return replace(capture, id=db.last_insert_rowid())

        return await self._database.write(write)

    async def newest(self, app_id: str) -> Capture | None:
        return await self._database.read(lambda db: _newest(db, app_id))

    async def before(self, app_id: str, at: float) -> Capture | None:
        """The last one at or before a moment, seconds since 1970."""
        query = f"SELECT {COLUMNS} FROM captures WHERE app_id = ? AND at <= ? ORDER BY at DESC, id DESC LIMIT 1"
        found = await self._database.read(lambda db: one(db, query, (app_id, at)))
        return _capture(found) if found else None

    async def of(self, app_id: str) -> list[Capture]:
        """All of one app, the newest first."""
        query = f"SELECT {COLUMNS} FROM captures WHERE app_id = ? ORDER BY at DESC, id DESC"
        return await self._database.read(lambda db: [_capture(row) for row in db.execute(query, (app_id,))])

    async def all_newest(self) -> dict[str, Capture]:
        """App id → its newest."""
        query = f"SELECT {COLUMNS} FROM captures WHERE id IN (SELECT max(id) FROM captures GROUP BY app_id)"
        return await self._database.read(lambda db: {str(row[1]): _capture(row) for row in db.execute(query)})

    async def apps(self) -> list[str]:
        """Ids of the apps of which anything was captured."""
        query = "SELECT DISTINCT app_id FROM captures ORDER BY app_id"
        return await self._database.read(lambda db: [str(row[0]) for row in db.execute(query)])

    async def forget(self, numbers: Collection[int]) -> None:
        query = "DELETE FROM captures WHERE id IN (SELECT value FROM json_each(?))"
        await self._database.write(lambda db: db.execute(query, (json.dumps(list(numbers)),)))

    async def manifests(self) -> set[str]:
        """Every list of files that a capture or a restore point needs."""
        query = (
            "SELECT manifest FROM captures WHERE manifest != '' UNION "
            "SELECT json_extract(mark, '$.manifest') FROM points WHERE json_extract(mark, '$.manifest') != ''"
        )
        return await self._database.read(lambda db: {str(row[0]) for row in db.execute(query)})


# Private


def _newest(db: Connection, app_id: str) -> Capture | None:
    query = f"SELECT {COLUMNS} FROM captures WHERE app_id = ? ORDER BY at DESC, id DESC LIMIT 1"
    found = one(db, query, (app_id,))
    return _capture(found) if found else None


def _told(capture: Capture) -> Capture:
    """What it says, whenever that was."""
    return replace(capture, id=0, at=0.0, seen_at=0.0)


def _capture(row: Row) -> Capture:
    return Capture(
        int(row[0]), str(row[1]), float(row[2]), str(row[3]), int(row[4]), int(row[5]), float(row[6]), int(row[7]),
        str(row[8]),
    )  # fmt: skip
