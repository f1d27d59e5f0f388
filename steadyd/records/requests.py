"""The request log of each app: a telemetry file of its own, written in batches off the request path.

Telemetry is not state: it may lose its last moments with the machine, and it is capped.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

from steadyd.feed import Feed
from steadyd.records import tallies
from steadyd.records.lately import Lately
from steadyd.records.schema import TELEMETRY
from steadyd.store import Connection, Database, one

T = TypeVar("T")

OPEN_FILES_MAX = 32
ROWS_PER_APP_MAX = 100_000
LOOKED_THROUGH_MAX = 20_000
"""Of an app's newest requests, for those that may be asked again."""
TRIM_EVERY_ROWS = 1_000
TELEMETRY_FILE = "telemetry.db"


@dataclass(frozen=True, slots=True)
class Request:
    """One finished request. Times are microseconds; `status` 499 means that the client left first."""

    id: int
    at: float
    request_id: str
    method: str
    path: str
    status: int
    error: str
    client: str
    request_bytes: int
    response_bytes: int
    gate_us: int
    app_us: int
    total_us: int
    repeatable: bool = False
    """Whether anybody may ask the same again, and changes nothing by it; its `path` is whole then."""


COLUMNS = ", ".join(field.name for field in fields(Request))
INSERT = f"INSERT INTO requests ({COLUMNS}) VALUES ({', '.join('?' * len(fields(Request)))})"


class Requests:
    """The request logs of every app on this host. `folder_of` is where an app's files lie."""

    def __init__(self, folder_of: Callable[[str], Path]) -> None:
        self.feed: Feed[Request] = Feed()
        self.flush: Callable[[], Awaitable[None]] = _nothing
        """Returns when what has finished so far is here. Called before the newest are read."""
        self.lately = Lately()
        self._folder_of = folder_of
        self._open: OrderedDict[str, Database] = OrderedDict()
        self._lock = threading.Lock()

    def store(self, app_id: str, rows: Sequence[Request]) -> list[Request]:
        """Write finished requests (their ids are given here). Blocks: called from the telemetry thread only.

        Returns them with their ids; [] if the app is gone.
        """
        self.lately.add(app_id, (row.at for row in rows))
        return self.write_now(app_id, lambda db: _insert(db, rows)) or []

    async def tail(self, app_id: str, count: int, after: int = 0) -> list[Request]:
        """The newest `count` requests after id `after`, oldest first."""
        await self.flush()
        sql = f"SELECT {COLUMNS} FROM requests WHERE id > ? ORDER BY id DESC LIMIT ?"
        found = await self.read(app_id, lambda db: [Request(*row) for row in db.execute(sql, (after, count))])
        return (found or [])[::-1]

    async def repeatable(self, app_id: str, count: int) -> list[tuple[str, str]]:
        """Method and path of the last `count` different requests that may be asked again, the oldest first: of those
        that the app answered, among the newest LOOKED_THROUGH_MAX."""
        sql = (
            "SELECT method, path FROM (SELECT max(id) AS last, method, path FROM requests "
            "WHERE id > (SELECT max(id) FROM requests) - ? AND repeatable AND error = '' AND status < 499 "
            "GROUP BY method, path ORDER BY last DESC LIMIT ?) ORDER BY last"
        )
        values = (LOOKED_THROUGH_MAX, count)
        await self.flush()
        found = await self.read(app_id, lambda db: [(str(row[0]), str(row[1])) for row in db.execute(sql, values)])
        return found or []

    def write_now(self, app_id: str, transaction: Callable[[Connection], T]) -> T | None:
        """Run `transaction` on the app's telemetry file; None if the app is gone. Blocks: not for the event loop."""
        if not self._folder_of(app_id).is_dir():
            return None
        with self._lock:
            return self._database(app_id).write_now(transaction)

    async def read(self, app_id: str, query: Callable[[Connection], T]) -> T | None:
        """Run `query` on the app's telemetry file, in a thread; None where nothing was written yet."""
        if not (self._folder_of(app_id) / TELEMETRY_FILE).exists():
            return None
        with self._lock:
            # The query is handed to the reader's thread under the lock; closing waits for it.
            reading = self._database(app_id).read(query)
        return await reading

    def forget(self, app_id: str) -> None:
        """Close an app's file, before its folder is removed."""
        self.lately.forget(app_id)
        with self._lock:
            database = self._open.pop(app_id, None)
        if database is not None:
            database.close()

    def close(self) -> None:
        self.feed.close()
        for app_id in list(self._open):
            self.forget(app_id)

    # Private

    def _database(self, app_id: str) -> Database:
        database = self._open.pop(app_id, None)
        if database is None:
            while len(self._open) >= OPEN_FILES_MAX:
                self._open.popitem(last=False)[1].close()
            database = Database(self._folder_of(app_id) / TELEMETRY_FILE, TELEMETRY, durable=False)
        self._open[app_id] = database
        return database


# Private


async def _nothing() -> None:
    pass


def _insert(db: Connection, rows: Iterable[Request]) -> list[Request]:
    row = one(db, "SELECT coalesce(max(id), 0) FROM requests")
    last = int(row[0]) if row else 0
    stored = [replace(request, id=last + number) for number, request in enumerate(rows, 1)]
    db.executemany(INSERT, [astuple(request) for request in stored])
    tallies.count(db, last)
    if stored and stored[-1].id // TRIM_EVERY_ROWS > last // TRIM_EVERY_ROWS:
        db.execute("DELETE FROM requests WHERE id <= ?", (stored[-1].id - ROWS_PER_APP_MAX,))
        tallies.forget(db, stored[-1].at)
    return stored
