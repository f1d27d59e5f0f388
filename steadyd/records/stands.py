"""Where each database stood when its app came to rest and was replicated: after a start it tells which are behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from steadyd.moment import Stand
from steadyd.store import Connection, Database


@dataclass(frozen=True, slots=True)
class Rested:
    """One database at rest. `seen` is what was seen of it then, `at` when, in seconds since 1970; `stays` counts how
    often it stayed registered to be merged."""

    stand: Stand
    seen: str
    at: float
    stays: int = 0


class Stands:
    """The table `stands`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, app_id: str) -> list[Rested]:
        """Of one app, by path."""
        query = "SELECT path, line, txid, seen, at, rests FROM stands WHERE app_id=? ORDER BY path"
        return await self._database.read(lambda db: [_rested(*row) for row in db.execute(query, (app_id,))])

    async def keep(self, app_id: str, rested: Sequence[Rested]) -> None:
        """These are all that the app has."""

        def write(db: Connection) -> None:
            db.execute("DELETE FROM stands WHERE app_id=?", (app_id,))
            rows = ((app_id, r.stand.path, r.stand.line, r.stand.txid, r.seen, r.at, r.stays) for r in rested)
            for row in rows:
                db.execute(
                    "INSERT INTO stands (app_id, path, line, txid, seen, at, rests) VALUES (?, ?, ?, ?, ?, ?, ?)", row
                )

        await self._database.write(write)


# Private


def _rested(path: str, line: int, txid: int, seen: str, at: float, stays: int) -> Rested:
    return Rested(Stand(path, line, txid), seen, at, stays)
