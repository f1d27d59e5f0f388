from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import apsw
import pytest

from steadyd.backup.steady import SteadyReplica, seen
from steadyd.backup.stream import Health
from steadyd.records.people import People
from steadyd.records.schema import STEADY
from steadyd.store import Database
from tests.backup.replicas import enclosure, running
from tests.runner.conftest import needs_root, root, run, until

__all__ = ["root"]
FAR = "far-" * 30
"""An address may be longer than any mark."""


@asynccontextmanager
async def followed(root: Path, epoch: int = 1) -> AsyncIterator[tuple[SteadyReplica, Database]]:
    data = root / "data"
    for folder in (data, data / "apps"):
        folder.mkdir(exist_ok=True)
    (data / "secrets.key").write_text("secret")
    hidden, masked = [data / "apps"], [data / "secrets.key"]
    enclosed = enclosure(root, name="steady", folder=data, linkless=False, hidden=hidden, masked=masked)
    with closing(Database(data / "steady.db", STEADY)) as database:
        async with running(enclosed) as litestream:
            url = f"file://{root}/replica/{FAR}/steady/{epoch:08d}"
            replica = SteadyReplica(data / "steady.db", litestream, url, root / "aside")
            task = asyncio.create_task(replica.run())
            yield replica, database
            task.cancel()
            await asyncio.wait({task})
            await replica.close(5.0)
            assert await litestream.wire.registered() == []


def ltx(root: Path, epoch: int = 1) -> int:
    return len(list((root / "replica" / FAR / "steady" / f"{epoch:08d}" / "ltx" / "0").glob("*.ltx")))


def is_fine(replica: SteadyReplica) -> bool:
    return health(replica) is Health.OK


def health(replica: SteadyReplica) -> Health:
    return replica.stream.health(time.monotonic())


def test_the_records_are_replicated_from_the_start_to_the_end(root: Path) -> None:
    async def body() -> None:
        async with followed(root) as (replica, database):
            await until(lambda: health(replica) is Health.OK)
            before = ltx(root)
            await People(database).operator(1.0)
            await until(lambda: ltx(root) > before)
            os.killpg(replica.litestream.group, signal.SIGKILL)
            await People(database).add_login_link(await People(database).operator(1.0), 2.0)
            await until(lambda: health(replica) is Health.OK and replica.litestream.generation == 2)
            before = ltx(root)
            await People(database).add_login_link(await People(database).operator(1.0), 3.0)
        assert ltx(root) > before
        assert list((root / "aside").glob("*")) == []

    run(body())


def test_another_epoch_begins_another_line(root: Path) -> None:
    async def body() -> None:
        for epoch in (1, 2):
            async with followed(root, epoch) as (replica, _):
                await until(partial(is_fine, replica))
        assert ltx(root, 1) > 0
        assert (root / f"replica/{FAR}/steady/00000002/ltx/0/0000000000000001-0000000000000001.ltx").exists()

    run(body())


@needs_root
@pytest.mark.sandbox
def test_whoever_opens_the_records_sees_neither_apps_nor_keys(root: Path) -> None:
    async def body() -> None:
        async with followed(root) as (replica, _):
            (root / "data" / "apps" / "mine").mkdir()
            inside = f"/proc/{replica.litestream.group}/root{root}/data"
            assert os.listdir(f"{inside}/apps") == []
            with pytest.raises(PermissionError):
                os.close(os.open(f"{inside}/secrets.key", os.O_RDONLY))

    run(body())


def test_to_see_where_it_stands_gives_up_no_lock(root: Path) -> None:
    path = root / "steady.db"
    with closing(Database(path, STEADY)) as database:
        database.write_now(lambda db: db.execute("CREATE TABLE more (a)"))
        with closing(apsw.Connection(str(path))) as mine:
            mine.execute("BEGIN IMMEDIATE")
            first = seen(path)
            held = Path("/proc/locks").read_text().count(f":{path.with_name('steady.db-shm').stat().st_ino} ")
            seen(path)
            assert Path("/proc/locks").read_text().count(f":{path.with_name('steady.db-shm').stat().st_ino} ") == held
            mine.execute("ROLLBACK")
        database.write_now(lambda db: db.execute("INSERT INTO more VALUES (1)"))
        assert seen(path) != first


def test_a_last_sync_has_its_deadline(root: Path) -> None:
    async def body() -> None:
        async with followed(root) as (replica, database):
            await until(lambda: health(replica) is Health.OK)
            os.killpg(replica.litestream.group, signal.SIGSTOP)
            await People(database).operator(1.0)
            began = time.monotonic()
            await replica.close(0.3)
            assert time.monotonic() - began < 5.0
            os.killpg(replica.litestream.group, signal.SIGCONT)
            await replica.sync()

    run(body())
