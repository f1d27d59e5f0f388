"""Death cards: how instances of each app ended badly, the newest so many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from steadyd.model import Asked, Death, Reached
from steadyd.store import Connection, Database, one

DEATHS_PER_APP_MAX = 100


class Deaths:
    """Death cards in steady.db, each with its id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, app_id: str, death: Death) -> None:
        """Keep a card; the oldest beyond the limit go."""

        def write(db: Connection) -> None:
            if one(db, "SELECT 1 FROM apps WHERE id = ?", (app_id,)) is None:
                return  # purged while it died
            sql = "INSERT INTO deaths (app_id, at, card) VALUES (?, ?, ?)"
            db.execute(sql, (app_id, death.at, json.dumps(asdict(death))))
            sql = "SELECT id FROM deaths WHERE app_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?"
            db.execute(f"DELETE FROM deaths WHERE app_id = ? AND id <= ({sql})", (app_id, app_id, DEATHS_PER_APP_MAX))

        await self._database.write(write)

    async def of(self, app_id: str, limit: int = DEATHS_PER_APP_MAX) -> list[tuple[int, Death]]:
        """The newest, each with its id, newest first."""
        sql = "SELECT id, card FROM deaths WHERE app_id = ? ORDER BY id DESC LIMIT ?"
        return await self._database.read(
            lambda db: [(row[0], card(json.loads(row[1]))) for row in db.execute(sql, (app_id, limit))]
        )

    async def last(self, app_id: str) -> Death | None:
        found = await self.of(app_id, 1)
        return found[0][1] if found else None


def card(said: Mapping[str, Any]) -> Death:
    """A card as it was written, also by a version that knew less."""
    values = dict(said)
    values["log_tail"] = tuple(values["log_tail"])
    values["requests"] = tuple(Asked(**asked) for asked in values.get("requests", ()))
    values["reached"] = Reached(**values.get("reached", {}))
    return Death(**values)
