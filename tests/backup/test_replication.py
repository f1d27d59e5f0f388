from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

import pytest

from steadyd.backup.replication import boot_id
from steadyd.backup.stream import Health
from steadyd.errors import SteadyError
from steadyd.model import AppState
from tests.backup.replicas import Replicas, opened, replicas, write
from tests.objectstore import Fault, FaultProxy, ObjectStore
from tests.runner.conftest import root, run, until

__all__ = ["root"]


def health(here: Replicas, app_id: str) -> Health:
    return here.replication.status(app_id).health


def test_what_an_awake_app_writes_is_replicated_and_a_sleeping_one_is_let_go_of(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            assert health(here, app_id) is Health.UNKNOWN
            write(folder / "a.db")
            here.wake(app_id)
            await until(lambda: here.ltx(app_id) == ["1/1"])
            write(folder / "a.db")
            here.replication.asked(app_id)
            await until(lambda: here.ltx(app_id) == ["1/1", "1/2"])
            await until(lambda: health(here, app_id) is Health.OK)
            write(folder / "a.db")
            here.sleep(app_id)
            await until(lambda: here.ltx(app_id)[-1] == "1/3")
            [rested] = await rest_of(here, app_id)
            assert (rested.stand.path, rested.stand.line, rested.stand.txid) == ("a.db", 1, 3)
            assert await here.litestream.wire.registered() == []
            assert health(here, app_id) is Health.OK

    run(body())


async def rest_of(here: Replicas, app_id: str) -> list:  # type: ignore[type-arg]
    deadline = time.monotonic() + 10
    while not (found := await here.library.stands.of(app_id)):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    return found


def test_an_app_that_is_asked_without_a_pause_is_synced_all_the_same(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            here.wake(app_id)
            await until(lambda: health(here, app_id) is Health.OK)
            write(folder / "a.db")

            def asked_again() -> bool:
                here.replication.asked(app_id)
                stream = here.replication.follower(app_id).streams["a.db"]
                return stream.txid == 2 and stream.current

            await until(asked_again)

    run(body())


def test_a_database_that_is_opened_later_is_found_within_about_a_second(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            here.wake(app_id)
            await asyncio.sleep(0)
            (folder / "deep").mkdir()
            began = time.monotonic()
            write(folder / "deep" / "no-name-that-tells")
            await until(lambda: here.ltx(app_id) == ["1/1"])
            assert time.monotonic() - began < 5.0

    run(body())


def test_a_short_stop_unregisters_nothing(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            here.wake(app_id)
            await until(lambda: here.ltx(app_id) == ["1/1"])
            here.sleep(app_id)
            [stand] = await here.replication.stand(app_id)
            assert (stand.line, stand.txid) == (1, 1)
            here.wake(app_id)
            await asyncio.sleep(1.2)  # longer than the moment after which it would have been
            assert len(await here.litestream.wire.registered()) == 1
            assert await here.library.stands.of(app_id) == []

    run(body())


def test_where_a_sleeping_one_stands_is_known_without_a_sync(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            [first] = await here.replication.sync(app_id)
            await rest_of(here, app_id)
            await until(lambda: here.replication.follower(app_id).streams["a.db"].generation == 0)
            other = here.another()
            assert await other.stand(app_id) == (first,)
            assert await here.litestream.wire.registered() == []

    run(body())


def test_what_was_written_while_no_daemon_ran_follows_though_the_app_sleeps(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            await here.replication.sync(app_id)
            await rest_of(here, app_id)
            write(folder / "a.db")
            other = here.another()
            await other.start(here.library.apps)
            assert not other.follower(app_id).streams["a.db"].current
            await other.tick(time.monotonic())
            await until(lambda: here.ltx(app_id)[-1] == "1/2")
            await until(lambda: other.status(app_id).health is Health.OK)

    run(body())


def test_after_another_start_of_litestream_all_is_registered_again(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            with closing(opened(folder / "a.db")) as db:
                db.execute("INSERT INTO t (at) VALUES (1)")
                db.commit()
                here.wake(app_id)
                await until(lambda: here.ltx(app_id) == ["1/1"])
                os.killpg(here.litestream.group, signal.SIGKILL)
                db.execute("INSERT INTO t (at) VALUES (2)")
                db.commit()
                await until(lambda: here.ltx(app_id) == ["1/1", "1/2"])
                assert here.litestream.generation == 2
                assert len(await here.litestream.wire.registered()) == 1

    run(body())


def test_while_litestream_is_gone_it_says_so(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            here.wake(app_id)
            await until(lambda: health(here, app_id) is Health.OK)
            here.litestream.up = False
            write(folder / "a.db")
            await until(lambda: health(here, app_id) is Health.STALLED)
            with pytest.raises(SteadyError, match="tried again") as raised:
                await here.replication.sync(app_id, 1.0)
            assert raised.value.code == "replica_away"
            here.litestream.up = True
            await here.replication.sync(app_id)
            assert health(here, app_id) is Health.OK

    run(body())


def test_a_frozen_app_is_at_rest_too(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            with closing(opened(folder / "a.db")) as db:
                db.execute("BEGIN IMMEDIATE")  # as it was frozen in a transaction
                db.execute("INSERT INTO t (at) VALUES (1)")
                here.wake(app_id)
                await until(lambda: here.replication.status(app_id).databases)
                here.replication.turned(app_id, AppState.FROZEN)
                await until(lambda: here.replication.follower(app_id).streams["a.db"].generation == 0)
                db.rollback()
            await until(lambda: here.ltx(app_id) != [])

    run(body())


def test_a_machine_says_which_start_it_is() -> None:
    assert boot_id() == boot_id()


def test_a_sync_has_its_deadline(root: Path) -> None:
    async def body() -> None:
        async with replicas(root) as here:
            app_id, folder = await here.app()
            write(folder / "a.db")
            for _ in range(4):
                await here.slots.acquire()
            began = time.monotonic()
            with pytest.raises(SteadyError, match="slow"):
                await here.replication.sync(app_id, 0.2)
            assert time.monotonic() - began < 5.0
            for _ in range(4):
                here.slots.release()
            await here.replication.sync(app_id)

    run(body())


def test_a_sleeping_app_asks_the_store_nothing_and_an_awake_one_s_requests_are_counted(root: Path) -> None:
    """As the store counts them, not we."""

    async def body() -> None:
        with ObjectStore(root / "log") as store:
            async with replicas(root, store.target()) as here:
                app_id, folder = await here.app()
                write(folder / "a.db")
                here.wake(app_id)
                await until(lambda: health(here, app_id) is Health.OK)
                for _ in range(3):
                    write(folder / "a.db")
                    await here.replication.sync(app_id)
                here.sleep(app_id)
                await until(lambda: here.replication.follower(app_id).settled)
                asked = requests(root, app_id)
                assert asked >= 4
                assert asked / 2 <= here.tally.today(app_id) <= asked * 2
                await asyncio.sleep(3.0)
                assert requests(root, app_id) == asked

    run(body())


def requests(root: Path, app_id: str) -> int:
    said = (root / "log").read_text()
    return sum(f"apps/{app_id}" in unquote(line) for line in said.splitlines() if "HTTP/1.1" in line)


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.HALF_OPEN])
def test_while_the_store_is_away_it_says_so_and_then_catches_up_alone(root: Path, fault: Fault) -> None:
    async def body() -> None:
        with ObjectStore() as store, FaultProxy(store.port) as proxy:
            async with replicas(root, store.target(port=proxy.port)) as here:
                app_id, folder = await here.app()
                with closing(opened(folder / "a.db")) as db:
                    db.execute("INSERT INTO t (at) VALUES (1)")
                    db.commit()
                    here.wake(app_id)
                    await until(lambda: health(here, app_id) is Health.OK)
                    proxy.become(fault)
                    for _ in range(3):
                        db.execute("INSERT INTO t (at) VALUES (2)")
                        db.commit()
                    with pytest.raises(SteadyError, match="nothing is lost"):
                        await here.replication.sync(app_id, 1.0)
                    assert await here.replication.stand(app_id), "said without the store"
                    proxy.become(Fault.NONE)
                    await until(lambda: health(here, app_id) is Health.OK)

    run(body())
