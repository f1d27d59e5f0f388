"""The request log of each app: a telemetry file of its own, written in batches off the request path.

Telemetry is not state: it may lose its last moments with the machine, and it is capped.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from steadyd.feed import Feed
from steadyd.records import heads, tallies
from steadyd.records.heads import SLOW_US, Heads
from steadyd.records.lately import Lately
from steadyd.records.schema import TELEMETRY
from steadyd.store import Connection, Database, one

T = TypeVar("T")

OPEN_FILES_MAX = 32
ROWS_PER_APP_MAX = 100_000
LOOKED_THROUGH_MAX = 20_000
"""Of an app's newest requests, for those that may be asked again."""
BESIDE_MAX = 5_000
"""Requests before and after one in the log, looked at for those that ran at the same time."""
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
    version: int = 0
    """Of the instance that it went to; 0 where it went to none."""

    @property
    def end(self) -> float:
        return self.at + self.total_us / 1e6

    @property
    def is_marked(self) -> bool:
        """Whether it failed or was slow: of those more is kept."""
        return bool(self.error) or self.status >= 500 or self.total_us >= SLOW_US


@dataclass(frozen=True, slots=True)
class Asking:
    """Which requests. `statuses` is a range of status codes, both ends included; `path` and `q` are contained; times
    are seconds since 1970, and of the requests' beginnings; 0 and "" ask for nothing."""

    count: int
    statuses: tuple[int, int] = (0, 0)
    method: str = ""
    path: str = ""
    error: str = ""
    q: str = ""
    slower_us: int = 0
    since: float = 0.0
    until: float = 0.0
    version: int = 0

    def conditions(self) -> tuple[str, list[Any]]:
        """As SQL, with its values."""
        wanted: list[tuple[str, list[Any]]] = [
            ("status BETWEEN ? AND ?", [*self.statuses] if self.statuses[1] else []),
            ("method = ?", [self.method] if self.method else []),
            ("instr(path, ?) > 0", [self.path] if self.path else []),
            ("error = ?", [self.error] if self.error else []),
            ("instr(method || ' ' || path || ' ' || status || ' ' || error, ?) > 0", [self.q] if self.q else []),
            ("total_us >= ?", [self.slower_us] if self.slower_us else []),
            ("at >= ?", [self.since] if self.since else []),
            ("at < ?", [self.until] if self.until else []),
            ("version = ?", [self.version] if self.version else []),
        ]
        parts = [(sql, values) for sql, values in wanted if values]
        return "".join(f" AND {sql}" for sql, _ in parts), [value for _, values in parts for value in values]

    def takes(self, request: Request) -> bool:
        """The same of one that has just ended."""
        return (
            (not self.statuses[1] or self.statuses[0] <= request.status <= self.statuses[1])
            and self.method in ("", request.method)
            and self.path in request.path
            and self.error in ("", request.error)
            and self.q in f"{request.method} {request.path} {request.status} {request.error}"
            and request.total_us >= self.slower_us
            and request.at >= self.since
            and (not self.until or request.at < self.until)
            and self.version in (0, request.version)
        )


@dataclass(frozen=True, slots=True)
class Found:
    """Oldest first. Looked at were those with ids from `first` to `last`; `older` and `newer`: whether there are others
    beyond."""

    requests: list[Request]
    first: int
    last: int
    older: bool
    newer: bool


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

    def store(
        self, app_id: str, rows: Sequence[Request], kept: Mapping[str, Heads] = MappingProxyType({})
    ) -> list[Request]:
        """Write finished requests (their ids are given here), with what is `kept` of their heads by `request_id`.
        Blocks: called from the telemetry thread only.

        Returns them with their ids; [] if the app is gone.
        """
        self.lately.add(app_id, (row.at for row in rows))
        return self.write_now(app_id, lambda db: _insert(db, rows, kept)) or []

    async def find(self, app_id: str, asking: Asking, before: int = 0, after: int | None = None) -> Found:
        """Those before the one with the id `before` (0: the newest), or after the one with the id `after`. Looks at
        LOOKED_THROUGH_MAX at most."""
        await self.flush()
        found = await self.read(app_id, lambda db: _find(db, asking, before, after))
        return found or Found([], 0, 0, False, False)

    async def one(self, app_id: str, number: int) -> tuple[Request, Heads | None] | None:
        """A request by its id, and its headers, where they are kept."""

        def query(db: Connection) -> tuple[Request, Heads | None] | None:
            row = one(db, f"SELECT {COLUMNS} FROM requests WHERE id = ?", (number,))
            return (Request(*row), heads.find(db, number)) if row else None

        await self.flush()
        return await self.read(app_id, query)

    async def beside(self, app_id: str, request: Request) -> int:
        """How many others the same version answered meanwhile: of those that have ended, and ended about then."""
        sql = (
            "SELECT count(*) FROM requests WHERE id BETWEEN ? AND ? AND id <> ? AND version = ? AND at < ? "
            "AND at + total_us / 1e6 > ?"
        )
        near = (request.id - BESIDE_MAX, request.id + BESIDE_MAX)
        values = (*near, request.id, request.version, request.end, request.at)
        return await self.read(app_id, lambda db: int((one(db, sql, values) or (0,))[0])) or 0

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


def _insert(db: Connection, rows: Iterable[Request], kept: Mapping[str, Heads]) -> list[Request]:
    row = one(db, "SELECT coalesce(max(id), 0) FROM requests")
    last = int(row[0]) if row else 0
    stored = [replace(request, id=last + number) for number, request in enumerate(rows, 1)]
    db.executemany(INSERT, [astuple(request) for request in stored])
    tallies.count(db, last)
    newest = stored[-1].id if stored else last
    trim = newest // TRIM_EVERY_ROWS > last // TRIM_EVERY_ROWS
    by_id = {request.id: kept[request.request_id] for request in stored if request.request_id in kept}
    heads.store(db, by_id, newest, trim)
    if trim:
        db.execute("DELETE FROM requests WHERE id <= ?", (newest - ROWS_PER_APP_MAX,))
        tallies.forget(db, stored[-1].at)
    return stored


def _find(db: Connection, asking: Asking, before: int, after: int | None) -> Found:
    ends = one(db, "SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM requests") or (0, 0)
    oldest, newest = int(ends[0]), int(ends[1])
    if asking.since:
        oldest = max(oldest, _ended(db, asking.since, oldest, newest))
    if asking.until and not before and after is None:
        before = min(newest, _ended(db, asking.until, oldest, newest) + BESIDE_MAX) + 1
    conditions, values = asking.conditions()
    backward = after is None
    if after is None:
        high = min(before - 1, newest) if before else newest
        low = max(high - LOOKED_THROUGH_MAX + 1, oldest)
    else:
        low = max(after + 1, oldest)
        high = min(low + LOOKED_THROUGH_MAX - 1, newest)
    sql = f"SELECT {COLUMNS} FROM requests WHERE id BETWEEN ? AND ?{conditions} ORDER BY id"
    sql += f"{' DESC' if backward else ''} LIMIT ?"
    rows = [Request(*row) for row in db.execute(sql, (low, high, *values, asking.count + 1))]
    if len(rows) > asking.count:
        del rows[asking.count :]
        low, high = (rows[-1].id, high) if backward else (low, rows[-1].id)
    return Found(rows[::-1] if backward else rows, low, high, low > oldest, high < newest)


def _ended(db: Connection, moment: float, low: int, high: int) -> int:
    """The first request between two ids that ended at or after a moment: ids are in the order of the ends. What began
    later has a higher one, and what began earlier too, where it took long."""
    sql = "SELECT at + total_us / 1e6 FROM requests WHERE id >= ? ORDER BY id LIMIT 1"
    while low < high:
        middle = (low + high) // 2
        row = one(db, sql, (middle,))
        if row is not None and float(row[0]) < moment:
            low = middle + 1
        else:
            high = middle
    return low
