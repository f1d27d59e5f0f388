"""Which contents are in the object store, by their SHA-256."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping

from steadyd.store import Connection, Database, one

AMONG = "sha256 IN (SELECT value FROM json_each(?))"
LIVE = (
    "SELECT f.sha256, f.size, min(f.app_id) FROM version_files f JOIN apps a ON a.id = f.app_id "
    "WHERE f.number = a.version AND f.sha256 NOT IN (SELECT sha256 FROM contents) GROUP BY f.sha256"
)
KEPT = (
    "SELECT f.sha256, f.size, min(f.app_id) FROM version_files f "
    "JOIN versions v ON v.app_id = f.app_id AND v.number = f.number "
    "WHERE v.live_at IS NOT NULL AND f.sha256 NOT IN (SELECT sha256 FROM contents) GROUP BY f.sha256"
)
"""Files of versions that are live, and of all that ever were, which are not there yet."""


class Contents:
    """The table `contents`: what was put there and not taken away again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def among(self, contents: Collection[str]) -> set[str]:
        """Which of these are there."""
        query, values = f"SELECT sha256 FROM contents WHERE {AMONG}", (json.dumps(list(contents)),)
        return await self._database.read(lambda db: {str(row[0]) for row in db.execute(query, values)})

    async def held(self, contents: Collection[str], now: float, since: float) -> set[str]:
        """Which of these are there, and count from now on as put there at `since` or later: `forget` spares them for as
        long. Times are in seconds since 1970."""
        values = (json.dumps(list(contents)),)
        query = f"SELECT sha256, at FROM contents WHERE {AMONG}"
        found = await self._database.read(lambda db: {str(row[0]): row[1] for row in db.execute(query, values)})
        if all(at >= since for at in found.values()):
            return set(found)
        update = f"UPDATE contents SET at = ? WHERE {AMONG} RETURNING sha256"
        return await self._database.write(lambda db: {str(row[0]) for row in db.execute(update, (now, *values))})

    async def add(self, contents: Mapping[str, int], now: float) -> None:
        """These are there: SHA-256 → bytes."""
        query = "INSERT INTO contents (sha256, bytes, at) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at"
        rows = [(sha256, size, now) for sha256, size in contents.items()]
        await self._database.write(lambda db: db.executemany(query, rows))

    async def wanted(self, count: int) -> dict[str, str]:
        """Some files of versions that are not there, those of live versions first: SHA-256 → an app of whose."""

        def query(db: Connection) -> dict[str, str]:
            found = {str(row[0]): str(row[2]) for row in db.execute(f"{LIVE} LIMIT ?", (count,))}
            return found or {str(row[0]): str(row[2]) for row in db.execute(f"{KEPT} LIMIT ?", (count,))}

        return await self._database.read(query)

    async def amount_wanted(self) -> tuple[int, int]:
        """Files of versions that are not there: how many, and their bytes."""
        query = (
            f"SELECT count(*), coalesce(sum(size), 0) FROM (SELECT DISTINCT sha256, size FROM ({LIVE} UNION {KEPT}))"
        )
        row = await self._database.read(lambda db: one(db, query))
        return (int(row[0]), int(row[1])) if row else (0, 0)

    async def page(self, after: str, count: int, older_than: float) -> list[str]:
        """Some that were put there before `older_than` (seconds since 1970), in order."""
        query = "SELECT sha256 FROM contents WHERE sha256 > ? AND at < ? ORDER BY sha256 LIMIT ?"
        return await self._database.read(
            lambda db: [str(row[0]) for row in db.execute(query, (after, older_than, count))]
        )

    async def forget(self, contents: Iterable[str], older_than: float) -> list[str]:
        """They are about to go; returns those that really may: put there before `older_than`, and no version's."""
        query = f"DELETE FROM contents WHERE {AMONG} AND at < ? AND sha256 NOT IN (SELECT sha256 FROM version_files)"
        values = (json.dumps(list(contents)), older_than)
        query += " RETURNING sha256"
        return await self._database.write(lambda db: [str(row[0]) for row in db.execute(query, values)])

    async def lost(self, contents: Collection[str]) -> None:
        """They are not there any more, whatever was said."""
        values = (json.dumps(list(contents)),)
        await self._database.write(lambda db: db.execute(f"DELETE FROM contents WHERE {AMONG}", values))

    async def correct(self, shard: str, there: Mapping[str, int], before: float, now: float) -> int:
        """What is really there of all whose address begins with `shard`: SHA-256 → bytes. What was put there since
        `before` is believed. Returns how many were missing."""

        def write(db: Connection) -> int:
            known = db.execute("SELECT sha256, at FROM contents WHERE sha256 >= ? AND sha256 < ?", (shard, f"{shard}g"))
            lost = [(str(row[0]),) for row in known if row[0] not in there and row[1] < before]
            db.executemany("DELETE FROM contents WHERE sha256 = ?", lost)
            query = "INSERT OR IGNORE INTO contents (sha256, bytes, at) VALUES (?, ?, ?)"
            db.executemany(query, [(sha256, size, now) for sha256, size in there.items()])
            return len(lost)

        return await self._database.write(write)
