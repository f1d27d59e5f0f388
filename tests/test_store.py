from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from steadyd import store
from steadyd.errors import SteadyError
from steadyd.store import Connection, Database, one

FIRST = "CREATE TABLE notes (text TEXT NOT NULL)"
SECOND = "ALTER TABLE notes ADD COLUMN at REAL"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "steady.db", [FIRST])
    yield made
    made.close()


def add(text: str) -> Callable[[Connection], object]:
    return lambda db: db.execute("INSERT INTO notes (text) VALUES (?)", (text,))


def texts(db: Connection) -> list[str]:
    return [row[0] for row in db.execute("SELECT text FROM notes ORDER BY rowid")]


def failing(path: Path, upgrades: list[str]) -> SteadyError:
    with pytest.raises(SteadyError) as caught:
        Database(path, upgrades)
    assert caught.value.code == "cannot_start"
    return caught.value


def test_what_is_written_is_read(database: Database) -> None:
    async def body() -> list[str]:
        await database.write(add("a"))
        return await database.read(texts)

    assert asyncio.run(body()) == ["a"]


def test_a_transaction_that_raises_changes_nothing(database: Database) -> None:
    def transaction(db: Connection) -> None:
        add("lost")(db)
        raise ValueError("no")

    async def body() -> list[str]:
        with pytest.raises(ValueError, match="no"):
            await database.write(transaction)
        await database.write(add("kept"))
        return await database.read(texts)

    assert asyncio.run(body()) == ["kept"]


def test_transactions_run_one_after_the_other(database: Database) -> None:
    def count(db: Connection) -> None:
        row = one(db, "SELECT count(*) FROM notes")
        assert row
        add(str(row[0]))(db)

    async def body() -> list[str]:
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(database.write(count))
        return await database.read(texts)

    assert asyncio.run(body()) == [str(number) for number in range(50)]


def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises(apsw.ReadOnlyError):
        asyncio.run(database.read(add("no")))


def test_an_acknowledged_write_is_on_disk(database: Database) -> None:
    """FULL is 2: in WAL mode NORMAL (1) loses acknowledged commits when the power fails."""

    def pragmas(db: Connection) -> tuple[object, object]:
        return one(db, "PRAGMA synchronous"), one(db, "PRAGMA journal_mode")

    assert asyncio.run(database.write(pragmas)) == ((2,), ("wal",))


def test_telemetry_may_lose_its_last_seconds_with_the_machine(tmp_path: Path) -> None:
    relaxed = Database(tmp_path / "telemetry.db", (), durable=False)
    try:
        assert relaxed.write_now(lambda db: one(db, "PRAGMA synchronous")) == (1,)
    finally:
        relaxed.close()


def test_nobody_else_may_read_the_file(database: Database) -> None:
    assert stat.S_IMODE(os.stat(database.path).st_mode) == 0o600


def test_a_busy_database_is_waited_for_a_limited_time(database: Database) -> None:
    waits = asyncio.run(database.write(lambda db: one(db, "PRAGMA busy_timeout")))
    assert waits == (store.BUSY_MILLISECONDS_MAX,)


def test_upgrades_run_once_and_keep_a_copy_of_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "steady.db"
    first = Database(path, [FIRST])
    first.write_now(add("old"))
    first.close()
    second = Database(path, [FIRST, SECOND])
    assert second.write_now(lambda db: one(db, "SELECT text, at FROM notes")) == ("old", None)
    second.close()
    Database(path, [FIRST, SECOND]).close()
    back = Database(tmp_path / "steady.db.schema-1", [FIRST])
    assert back.write_now(texts) == ["old"]
    back.close()


def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "steady.db"
    Database(path, [FIRST]).close()
    with pytest.raises(apsw.Error):
        Database(path, [FIRST, SECOND + "; CREATE TABLE notes (x)"])
    again = Database(path, [FIRST])
    assert again.write_now(lambda db: one(db, "SELECT count(*) FROM pragma_table_info('notes')")) == (1,)
    again.close()


def test_a_newer_file_is_refused_with_the_way_back(tmp_path: Path) -> None:
    path = tmp_path / "steady.db"
    Database(path, [FIRST]).close()
    Database(path, [FIRST, SECOND]).close()
    message = failing(path, [FIRST]).message
    command = message[message.index("cp ") :]
    assert os.system(command) == 0
    Database(path, [FIRST]).close()


def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "steady.db"
    path.write_bytes(b"not a database, however you look at it" * 100)
    before = path.read_bytes()
    failing(path, [FIRST])
    assert path.read_bytes() == before


def test_a_full_disk_is_an_error_with_a_code_and_loses_only_that_write(database: Database) -> None:
    async def body() -> list[str]:
        await database.write(add("before"))
        await database.write(lambda db: db.execute("PRAGMA max_page_count = 1"))
        with pytest.raises(SteadyError) as caught:
            await database.write(add("x" * 100_000))
        assert caught.value.code == "disk_full"
        await database.write(lambda db: db.execute("PRAGMA max_page_count = 1000000"))
        await database.write(add("after"))
        return await database.read(texts)

    assert asyncio.run(body()) == ["before", "after"]


def test_the_log_of_the_records_is_left_to_whoever_replicates_them(database: Database) -> None:
    """SQLite's own checkpoint comes at a thousand pages, like Litestream's; ours comes long after."""

    async def body() -> None:
        [(pages,)] = await database.write(lambda db: db.execute("PRAGMA wal_autocheckpoint").fetchall())
        assert pages == store.LOG_PAGES == 10_000

    asyncio.run(body())
