"""The door to SQLite, and the only module that imports apsw.

One writer connection on one thread; a transaction is a function that is run whole on that thread, so nothing can be
awaited inside it (two tasks interleaving on one connection was tried, and breaks). Readers are read-only
connections on their own threads. `synchronous=FULL`, because in WAL mode NORMAL loses acknowledged commits on power
loss (https://sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import apsw

from steadyd.errors import SteadyError

logger = logging.getLogger("steadyd.store")

T = TypeVar("T")
Connection = apsw.Connection
ConstraintError = apsw.ConstraintError
Row = tuple[Any, ...]
Write = Callable[[Connection], object]
"""One part of a transaction, which somebody else opens and commits."""

BUSY_MILLISECONDS_MAX = 5_000
READERS = 2
PRAGMAS = "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY;"
"""What one statement needs to be undone lies in memory: a hardened unit may have no other place to write to."""
LOG_PAGES = 10_000
"""A durable file's log is Litestream's to empty, after a thousand pages: SQLite's own checkpoint would begin it anew
before it was read, and so damage the replica. It comes when that is long overdue."""
DURABLE = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
RELAXED = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
"""For telemetry, which may lose its last seconds with the machine."""


class Database:
    """One SQLite file with its writer thread and its readers. `upgrades[n]` takes the schema from n to n + 1.

    Raises:
        SteadyError: `cannot_start` if the file is damaged, not ours to open, or from a newer steadyd.
    """

    def __init__(self, path: Path, upgrades: Sequence[str], durable: bool = True) -> None:
        self.path = path
        self._local = threading.local()
        self._readers: list[apsw.Connection] = []
        self._writer = _open(path, durable)
        try:
            _upgrade(self._writer, path, upgrades, durable)
        except BaseException:
            self._writer.close()
            raise
        self._write_thread = ThreadPoolExecutor(1, f"write-{path.name}")
        self._read_threads = ThreadPoolExecutor(READERS, f"read-{path.name}")

    async def write(self, transaction: Callable[[Connection], T]) -> T:
        """Run `transaction` whole inside BEGIN IMMEDIATE … COMMIT; an exception rolls it back and is raised here.

        Raises:
            SteadyError: `disk_full` when the disk is.
        """
        return await asyncio.wrap_future(self._write_thread.submit(self.write_now, transaction))

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run `query` on a read-only connection, in one consistent snapshot."""
        return await asyncio.wrap_future(self._read_threads.submit(self._read, query))

    def write_now(self, transaction: Callable[[Connection], T]) -> T:
        """`write` for a caller that is not on the event loop."""
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                result = transaction(self._writer)
                self._writer.execute("COMMIT")
            except BaseException:
                if not self._writer.get_autocommit():  # a full disk has rolled back by itself
                    self._writer.execute("ROLLBACK")
                raise
        except (apsw.FullError, apsw.IOError) as error:
            raise SteadyError(
                "disk_full", f"{self.path.name} cannot be written: {error}. Free some disk space."
            ) from error
        return result

    def close(self) -> None:
        """Finish what is under way and close every connection. May be called once."""
        self._write_thread.shutdown(wait=True)
        self._read_threads.shutdown(wait=True)
        for connection in self._readers:
            connection.close()
        self._writer.close()

    # Private

    def _read(self, query: Callable[[Connection], T]) -> T:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = apsw.Connection(os.fspath(self.path), flags=apsw.SQLITE_OPEN_READONLY)
            connection.set_busy_timeout(BUSY_MILLISECONDS_MAX)
            connection.execute(PRAGMAS)
            self._local.connection = connection
            self._readers.append(connection)
        with connection:
            return query(connection)


def one(connection: Connection, sql: str, values: Sequence[Any] = ()) -> Row | None:
    """The first row, or None."""
    rows = connection.execute(sql, tuple(values)).fetchall()
    return rows[0] if rows else None


# Private


def _open(path: Path, durable: bool) -> apsw.Connection:
    try:
        if not path.exists():
            # Created by us, so that the mode holds before the first byte is written.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(BUSY_MILLISECONDS_MAX)
        # To the end: what follows a statement that answers, as journal_mode does, is only executed when that is read.
        connection.execute(PRAGMAS + (DURABLE if durable else RELAXED)).fetchall()
        if durable:
            connection.wal_autocheckpoint(LOG_PAGES)
    except (apsw.Error, OSError) as error:
        raise SteadyError(
            "cannot_start",
            f"{path} cannot be opened as a database: {error}. Put back a copy of it; nothing was changed.",
        ) from error
    return connection


def _upgrade(connection: apsw.Connection, path: Path, upgrades: Sequence[str], durable: bool) -> None:
    """Bring the schema up to date; what is durable is copied before."""
    row = one(connection, "PRAGMA user_version")
    found = int(row[0]) if row else 0
    if found > len(upgrades):
        copy = _copy_path(path, len(upgrades))
        raise SteadyError(
            "cannot_start",
            f"{path} was written by a newer steadyd (schema {found}; this one knows {len(upgrades)}). Run the newer "
            f"one again, or go back to the copy made before the upgrade: cp {copy} {path}; rm -f {path}-wal {path}-shm",
        )
    if durable and 0 < found < len(upgrades):
        _copy(connection, _copy_path(path, found))
    for number in range(found, len(upgrades)):
        with connection:
            connection.execute(upgrades[number])
            connection.execute(f"PRAGMA user_version={number + 1}")
        if durable:  # of an app's telemetry nobody needs to hear
            logger.info("schema of %s is now %d", path.name, number + 1)


def _copy_path(path: Path, schema: int) -> Path:
    return path.with_name(f"{path.name}.schema-{schema}")


def _copy(connection: apsw.Connection, target: Path) -> None:
    """A whole, consistent copy, complete on disk before the upgrade begins."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (os.fspath(part),))
    with open(part, "rb") as file:
        os.fsync(file.fileno())
    os.chmod(part, 0o600)
    os.replace(part, target)
