from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from steadyd.backup import layout
from steadyd.backup.stream import Health
from steadyd.backup.wire import Refused
from steadyd.errors import SteadyError
from steadyd.records.lines import ending
from steadyd.runner.engine import find_litestream
from tests.backup.replicas import Replicas, opened, replicas, write
from tests.runner.conftest import root, run, until

__all__ = ["root"]


def health(here: Replicas, app_id: str) -> dict[str, Health]:
    return {one.path: one.health for one in here.replication.status(app_id).databases}


def test_a_file_in_the_place_of_another_begins_a_line(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            here.wake(app_id)
            await until(lambda: here.ltx(app_id) == ["1/1"])
            write(folder / "b.db", 3)
            os.replace(folder / "b.db", folder / "a.db")
            for side in ("-wal", "-shm"):
                (folder / f"a.db{side}").unlink(missing_ok=True)
            await until(lambda: "a.db" in [one.path for one in here.replication.status(app_id).databases])
            await until(lambda: len([line for line in here.ltx(app_id) if line.endswith("/1")]) == 2, "another line")
            lines = await here.library.lines.of(app_id)
            assert [(line.path, line.ended_at is None) for line in lines] == [("a.db", False), ("a.db", True)] or [
                line.path for line in lines
            ][-1] == "a.db"

    run(body())


def test_many_who_wait_share_a_sync(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            await here.replication.sync(app_id)
            write(folder / "a.db")
            stands = await asyncio.gather(*(here.replication.sync(app_id) for _ in range(20)))
            assert {stand.txid for (stand,) in stands} == {2}

    run(body())


def test_a_look_that_another_has_overtaken_is_passed_over(root: Path) -> None:
    """Else a sync finds everything replicated that was, a moment ago, and nobody waits for what was committed since."""

    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            await here.replication.sync(app_id)
            follower = here.replication.follower(app_id)
            began = time.monotonic()
            slow = follower.standing.look()
            write(folder / "a.db")
            await follower.look()
            await follower.take(slow, began)
            assert not follower.streams["a.db"].current
            [stand] = await here.replication.sync(app_id)
            assert stand.txid == 2

    run(body())


def test_a_damaged_database_stops_no_other(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "good.db")
            write(folder / "bad.db", 50)
            content = (folder / "bad.db").read_bytes()
            (folder / "bad.db").write_bytes(content[:100] + b"\xff" * 3_000 + content[3_100:])
            here.wake(app_id)
            await until(lambda: health(here, app_id) == {"bad.db": Health.FAILING, "good.db": Health.OK})
            bad, _ = here.replication.status(app_id).databases
            assert bad.problem
            with pytest.raises(Exception, match="bad"):
                await here.replication.sync(app_id)
            write(folder / "good.db")
            await until(lambda: "1/2" in here.ltx(app_id) or "2/2" in here.ltx(app_id))

    run(body())


def test_one_whose_backlog_is_given_up_begins_again_on_a_line_of_its_own(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            with closing(opened(folder / "a.db")) as db:
                db.commit()
                [first] = await here.replication.sync(app_id)
                follower = here.replication.follower(app_id)
                await follower.start_over(follower.streams["a.db"])
                [second] = await here.replication.sync(app_id)
            assert (first.line, second.line, second.txid) == (1, 2, 1)
            assert here.ltx(app_id) == ["1/1", "2/1"]

    run(body())


def test_files_that_are_to_be_replaced_are_opened_by_nobody(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            here.wake(app_id)
            await until(lambda: here.ltx(app_id) == ["1/1"])
            await here.replication.let_go(app_id)
            assert await here.litestream.wire.registered() == []
            write(folder / "a.db")
            follower = here.replication.follower(app_id)
            with pytest.raises(Refused, match="replaced"):
                await follower.sync(follower.streams["a.db"])
            here.replication.follow(app_id)
            await until(lambda: here.ltx(app_id) == ["1/1", "1/2"])

    run(body())


def test_so_many_syncs_are_under_way_at_once(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            for number in range(6):
                write(folder / f"{number}.db")
            slots = here.slots
            for _ in range(4):
                await slots.acquire()
            waiting = asyncio.create_task(here.replication.sync(app_id))
            await asyncio.sleep(0.3)
            assert here.ltx(app_id) == []
            for _ in range(4):
                slots.release()
            assert len(await waiting) == 6

    run(body())


def test_one_with_too_many_files_stays_until_they_will_have_been_merged(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steadyd.backup.follower.stay_seconds", lambda files, stays, now: 0.5 if files > 2 else 0.0)

    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            follower = here.replication.follower(app_id)
            for rows in (1, 2, 3):
                write(folder / "a.db")
                await follower.look()
                seconds = await follower.rest(lambda: True)
                assert seconds == (0.5 if rows == 3 else 0.0)
            assert len(await here.litestream.wire.registered()) == 1
            assert not follower.settled
            assert await follower.rest(lambda: True) == 0.0
            assert follower.settled
            [rested] = await here.library.stands.of(app_id)
            assert rested.stays == 1

    run(body())


def test_once_given_up_nothing_is_replicated_any_more(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            here.replication.abandon("Another host has taken over.")
            with pytest.raises(SteadyError, match="taken over"):
                await here.replication.sync(app_id, 1.0)
            assert here.ltx(app_id) == []

    run(body())


def test_what_an_app_puts_in_the_way_stops_only_its_own(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            await here.replication.sync(app_id)
            here.wake(app_id)
            await until(lambda: health(here, app_id) == {"a.db": Health.OK})
            level = folder / ".a.db-litestream" / "ltx" / "0"
            os.mkfifo(level / f"{9:016x}-{9:016x}.ltx")
            await here.replication.follower(app_id).inspect()
            assert health(here, app_id) == {"a.db": Health.FAILING}
            await until(lambda: health(here, app_id) == {"a.db": Health.OK}, "another line")
            assert "2/1" in here.ltx(app_id)

    run(body())


def test_a_line_that_ended_is_left_though_its_file_is_the_same(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            here.wake(app_id)
            await until(lambda: here.ltx(app_id) == ["1/1"])
            await here.library.lines.write(ending(app_id, 5.0))
            here.replication.follow(app_id)
            await until(lambda: here.ltx(app_id) == ["1/1", "2/1"])
            [stand] = await here.replication.sync(app_id)
            assert stand.line == 2

    run(body())


def test_what_was_committed_before_a_log_was_cut_is_in_the_replica(root: Path) -> None:
    """An app may truncate its log, and Bun does when a process ends. Litestream takes that for its own doing."""

    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            with closing(opened(folder / "a.db")) as db:
                db.execute("PRAGMA busy_timeout = 500")  # Litestream reads: the whole of it would be waited out
                here.wake(app_id)
                for rows in range(1, 4):
                    await until(lambda: here.replication.status(app_id).health is Health.OK)
                    db.execute("INSERT INTO t (at) VALUES (datetime())")
                    db.commit()
                    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                    (stand,) = await here.replication.sync(app_id)
                    url = here.target.replica_url(layout.line(app_id, 1, stand.line))
                    out = root / f"restored-{rows}"
                    words = [str(find_litestream()), "restore", "-o", str(out), url]
                    assert (await asyncio.to_thread(subprocess.run, words, capture_output=True)).returncode == 0
                    with closing(sqlite3.connect(out)) as restored:
                        assert restored.execute("SELECT count(*) FROM t").fetchone() == (rows,)

    run(body())
