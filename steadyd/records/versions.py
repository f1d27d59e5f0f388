"""Versions and their file lists in steady.db: immutable snapshots, numbered per app."""

from __future__ import annotations

import json

from steadyd.model import App, Draft, File, Principal, Version
from steadyd.settings import from_json, to_json
from steadyd.store import Connection, Database, one


class Versions:
    """What each app's code was and is. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, app: App, author: Principal, draft: Draft, now: float) -> Version:
        """A new immutable version; it is not live yet."""

        def write(db: Connection) -> Version:
            row = one(db, "SELECT coalesce(max(number), 0) + 1 FROM versions WHERE app_id = ?", (app.id,))
            assert row is not None
            version = Version(
                app.id, row[0], draft.entry, draft.source, draft.files, now, author.id, draft.modules, draft.shipped
            )
            shipped = json.dumps(to_json(draft.shipped))
            db.execute(
                "INSERT INTO versions (app_id, number, entry, source, author_id, created_at, modules, settings) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (app.id, version.number, draft.entry, draft.source, author.id, now, draft.modules, shipped),
            )
            rows = [(app.id, version.number, file.path, file.sha256, file.size) for file in draft.files]
            db.executemany("INSERT INTO version_files VALUES (?, ?, ?, ?, ?)", rows)
            return version

        return await self._database.write(write)

    async def one(self, app_id: str, number: int) -> Version | None:
        return await self._database.read(lambda db: _version(db, app_id, number))

    async def all(self, app_id: str) -> list[Version]:
        """All versions, newest first, without their file lists."""
        sql = (
            "SELECT entry, source, created_at, author_id, modules, number, settings FROM versions WHERE app_id = ? "
            "ORDER BY number DESC"
        )

        def query(db: Connection) -> list[Version]:
            return [
                Version(app_id, row[5], row[0], row[1], (), row[2], row[3], row[4], from_json(json.loads(row[6])))
                for row in db.execute(sql, (app_id,))
            ]

        return await self._database.read(query)

    async def drop_never_live(self, app_id: str) -> None:
        """A version exists only if some deploy made it live: what failed or was interrupted leaves none."""
        sql = (
            "DELETE FROM versions WHERE app_id = ?1 AND number NOT IN "
            "(SELECT version FROM deploys WHERE app_id = ?1 AND status = 'live' "
            "UNION SELECT version FROM apps WHERE id = ?1)"
        )
        await self._database.write(lambda db: db.execute(sql, (app_id,)))

    async def contents_in_use(self) -> set[str]:
        """The address of every content that some version needs."""
        sql = "SELECT DISTINCT sha256 FROM version_files"
        return await self._database.read(lambda db: {row[0] for row in db.execute(sql)})


# Private


def _version(db: Connection, app_id: str, number: int) -> Version | None:
    sql = "SELECT entry, source, created_at, author_id, modules, settings FROM versions WHERE app_id = ? AND number = ?"
    row = one(db, sql, (app_id, number))
    if row is None:
        return None
    sql = "SELECT path, sha256, size FROM version_files WHERE app_id = ? AND number = ? ORDER BY path"
    files = tuple(File(*file) for file in db.execute(sql, (app_id, number)))
    return Version(app_id, number, row[0], row[1], files, row[2], row[3], row[4], from_json(json.loads(row[5])))
