"""Variables that an app knows by name only: a remix gets the names of its original's, and none of the values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from steadyd.store import Database, Write


@dataclass(frozen=True, slots=True)
class Blank:
    """A variable without a value, known since `at`. `secret`: the original's was."""

    secret: bool
    at: float


class Blanks:
    """The table `blanks`. No instance gets anything of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, app_id: str) -> dict[str, Blank]:
        """An app's, by name."""
        sql = "SELECT name, secret, at FROM blanks WHERE app_id = ? ORDER BY name"
        return await self._database.read(
            lambda db: {str(row[0]): Blank(bool(row[1]), float(str(row[2]))) for row in db.execute(sql, (app_id,))}
        )

    async def leave(self, app_id: str, names: Mapping[str, bool], now: float) -> None:
        """The app knows these names, each with whether it is secret."""
        await self._database.write(leaving(app_id, names, now))

    async def drop(self, app_id: str, names: Iterable[str]) -> None:
        """They have a value now, or are not wanted."""
        rows = [(app_id, name) for name in names]
        await self._database.write(lambda db: db.executemany("DELETE FROM blanks WHERE app_id = ? AND name = ?", rows))


def leaving(app_id: str, names: Mapping[str, bool], now: float) -> Write:
    """The same as part of a transaction."""
    rows = [(app_id, name, secret, now) for name, secret in names.items()]
    return lambda db: db.executemany("INSERT OR IGNORE INTO blanks VALUES (?, ?, ?, ?)", rows)
