"""Barriers over real databases, and a replica that is another file: whoever passes finds their row in it."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from steadyd.backup import durability as module
from steadyd.backup.durability import Barrier, Barriers
from steadyd.backup.standing import Standing
from steadyd.errors import SteadyError
from steadyd.model import Durability
from steadyd.moment import Stand
from steadyd.proxy import service
from tests.proxy.stage import run, until

SECONDS = 5.0
SOON = 0.2
"""Seconds that an answer waits where the replica stays away."""


class Replica:
    """Copies every database of a folder, and can be told how well. `syncs` counts those that began."""

    def __init__(self, folder: Path, target: Path) -> None:
        self.folder = folder
        self.target = target
        self.syncs = 0
        self.away = False
        self.before: Callable[[], Coroutine[Any, Any, None]] = _at_once
        self.leaves_out = ""

    async def sync(self, seconds: float) -> list[str]:
        self.syncs += 1
        paths = [path.name for path in self.folder.glob("*.db")]
        copies = {path: _content(self.folder / path) for path in paths}
        await self.before()
        if self.away:
            raise SteadyError("replica_away", "It is not there.")
        for path, content in copies.items():
            (self.target / path).write_bytes(content)
        return [path for path in paths if path != self.leaves_out]

    def rows(self) -> set[int]:
        with closing(sqlite3.connect(self.target / "a.db")) as replica:
            return {row for (row,) in replica.execute("SELECT x FROM t")}


async def _at_once() -> None:
    pass


async def never() -> None:
    await asyncio.Event().wait()


def _content(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as database:
        return database.serialize()


class Scene:
    """An app with one database, a replica, and the barrier between."""

    def __init__(self, root: Path, seconds: float = SECONDS) -> None:
        app, target = root / "app", root / "replica"
        app.mkdir()
        target.mkdir()
        self.app = app
        self.replica = Replica(app, target)
        self.told: list[str] = []
        self.barrier = Barrier(Standing(app), self.replica.sync, seconds, self.told.append)
        self.database = sqlite3.connect(app / "a.db", isolation_level=None)
        self.database.execute("PRAGMA journal_mode=wal")
        self.database.execute("CREATE TABLE t (x)")

    def write(self, row: int) -> None:
        self.database.execute("INSERT INTO t VALUES (?)", (row,))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.fixture
def impatient(tmp_path: Path) -> Scene:
    return Scene(tmp_path, SOON)


def as_barrier(barrier: Barrier) -> service.Barrier:
    """Held to the protocol by the type checker."""
    return barrier


def test_whoever_passes_is_in_the_replica(scene: Scene) -> None:
    async def body() -> None:
        for row in range(50):
            scene.write(row)
            await scene.barrier.settle()
            assert row in scene.replica.rows()

    run(body())


def test_what_has_not_changed_waits_for_nothing(scene: Scene) -> None:
    async def body() -> None:
        scene.write(1)
        await scene.barrier.settle()
        syncs = scene.replica.syncs
        for _ in range(100):
            await scene.barrier.settle()
        assert scene.replica.syncs == syncs

    run(body())


def test_many_share_one_sync(scene: Scene) -> None:
    async def body() -> None:
        go_on = asyncio.Event()
        scene.replica.before = go_on.wait  # type: ignore[assignment]
        scene.write(0)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(scene.barrier.settle())
            await until(lambda: scene.replica.syncs == 1)
            for row in range(1, 101):
                scene.write(row)
                group.create_task(scene.barrier.settle())
                await asyncio.sleep(0)
            assert not first.done()
            go_on.set()
        assert scene.replica.syncs == 2
        assert scene.replica.rows() == set(range(101))

    run(body())


def test_a_replica_that_stays_away_is_told_of_and_only_one_waits_for_it(impatient: Scene) -> None:
    async def body() -> None:
        barrier, replica = impatient.barrier, impatient.replica
        replica.away = True
        impatient.write(1)
        assert barrier.refusal() is None
        began = time.monotonic()
        with pytest.raises(SteadyError) as refused:
            await barrier.settle()
        assert time.monotonic() - began >= SOON
        assert (refused.value.code, refused.value.status, refused.value.retry_after) == ("not_replicated", 503, 2)
        assert "may be kept on this host" in refused.value.message
        assert impatient.told == ["The replica lacks what the app wrote, so answers are held back. It is not there."]
        waited = replica.syncs
        with pytest.raises(SteadyError):
            await asyncio.wait_for(barrier.settle(), SOON / 4)
        assert (refusal := barrier.refusal()) is not None
        assert "was not passed on" in refusal.message
        replica.away = False
        await until(lambda: barrier.refusal() is None)
        assert replica.syncs > waited
        await barrier.settle()
        assert impatient.told[1:] == ["The replica has what the app wrote: answers leave again."]
        impatient.write(2)
        await barrier.settle()
        assert replica.rows() == {1, 2}

    run(body())


def test_what_was_safe_before_stays_so_while_the_replica_is_away(impatient: Scene) -> None:
    async def body() -> None:
        await impatient.barrier.settle()
        impatient.replica.away = True
        await impatient.barrier.settle()
        assert impatient.barrier.refusal() is None

    run(body())


def test_a_sync_that_never_ends_is_given_up(impatient: Scene) -> None:
    async def body() -> None:
        impatient.replica.before = never
        impatient.write(1)
        with pytest.raises(SteadyError):
            await impatient.barrier.settle()
        await until(lambda: impatient.replica.syncs > 1)
        impatient.replica.before = _at_once
        await until(lambda: impatient.barrier.refusal() is None)

    run(body())


def test_a_sync_that_breaks_is_tried_again(scene: Scene) -> None:
    async def broken() -> None:
        scene.replica.before = _at_once
        raise ValueError("a mistake of ours")

    async def body() -> None:
        scene.replica.before = broken
        scene.write(1)
        await scene.barrier.settle()
        assert scene.replica.rows() == {1}

    run(body())


def test_a_database_that_the_replica_does_not_know_is_not_safe(impatient: Scene) -> None:
    async def body() -> None:
        impatient.replica.leaves_out = "b.db"
        with closing(sqlite3.connect(impatient.app / "b.db")) as other:
            other.execute("CREATE TABLE t (x)")
            with pytest.raises(SteadyError):
                await impatient.barrier.settle()
        assert impatient.told[0].endswith("“b.db” is not replicated.")

    run(body())


def test_syncs_that_fail_come_more_and_more_slowly_up_to_a_limit(
    impatient: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS_MIN", 0.001)
    monkeypatch.setattr(module, "PAUSE_SECONDS_MAX", 0.02)

    async def body() -> None:
        impatient.replica.away = True
        impatient.write(1)
        with pytest.raises(SteadyError):
            await impatient.barrier.settle()
        syncs, began = impatient.replica.syncs, time.monotonic()
        await until(lambda: impatient.replica.syncs >= syncs + 20)
        assert time.monotonic() - began >= 20 * 0.02 / 2

    run(body())


def test_who_leaves_is_forgotten(scene: Scene) -> None:
    async def body() -> None:
        scene.replica.before = never
        scene.write(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(scene.barrier.settle(), 0.02)
        assert not len(scene.barrier._waiting)
        scene.barrier.close()

    run(body())


def test_histories_with_real_databases(tmp_path: Path) -> None:
    """Writers of many rows at once, a replica that is slow, broken and away at random: who passes is in it, and in the
    end everybody who goes on trying does."""
    scene = Scene(tmp_path, seconds=0.1)
    chance = random.Random(6)
    acknowledged: set[int] = set()

    async def at_random() -> None:
        scene.replica.away = chance.random() < 0.4
        await asyncio.sleep(chance.choice((0.0, 0.001, 0.01, 0.15)))

    async def writer(number: int) -> None:
        for row in range(number * 1_000, number * 1_000 + 15):
            scene.write(row)
            try:
                await scene.barrier.settle()
            except SteadyError:
                await asyncio.sleep(0.01)
                continue
            acknowledged.add(row)
            assert row in scene.replica.rows()

    async def body() -> None:
        scene.replica.before = at_random
        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(writer(number))
        scene.replica.before, scene.replica.away = _at_once, False
        await until(lambda: scene.barrier.refusal() is None)
        await scene.barrier.settle()
        assert acknowledged <= scene.replica.rows()
        assert acknowledged

    run(body())


def test_what_was_done_is_told_when_data_and_records_are_in_the_replica(scene: Scene) -> None:
    did: list[str] = []
    problem = ""

    async def records(seconds: float) -> None:
        did.append("records")
        if problem:
            raise SteadyError("replica_away", problem)

    class Remembering:
        async def sync(self, app_id: str, seconds: float) -> tuple[Stand, ...]:
            did.append(app_id)
            return (Stand("a.db", 1, 1),)

    async def body() -> None:
        nonlocal problem
        barriers = Barriers(Remembering(), scene.app.parent.parent, lambda app_id, said: None, SECONDS)
        barriers.records = records
        waits = scene.app.parent.name
        barriers.of(waits, Durability.REPLICA)
        await barriers.settle(waits)
        await barriers.settle("other")
        assert did == [waits, "records", "records"]
        problem = "It is not there."
        with pytest.raises(SteadyError) as told:
            await barriers.settle(waits)
        assert (told.value.code, told.value.details) == ("not_replicated", {"reason": problem})
        assert "Do not do it again" in told.value.message

    run(body())


class Syncing:
    """Replication of an app whose databases it always has."""

    async def sync(self, app_id: str, seconds: float) -> tuple[Stand, ...]:
        return (Stand("a.db", 1, 1),)


def test_only_who_wants_it_waits_and_only_as_long(scene: Scene) -> None:
    async def body() -> None:
        one = scene.app.parent.name
        barriers = Barriers(Syncing(), scene.app.parent.parent, lambda app_id, said: None, SECONDS)
        assert barriers.of(one, Durability.HOST) is None
        barrier = barriers.of(one, Durability.REPLICA)
        assert barrier is barriers.of(one, Durability.REPLICA) is not barriers.of("two", Durability.REPLICA)
        assert barrier is not None
        scene.write(1)
        await barrier.settle()
        scene.write(2)
        waiting = asyncio.create_task(barrier.settle())
        await asyncio.sleep(0)
        assert barriers.of(one, Durability.HOST) is None
        await waiting
        assert barriers.of(one, Durability.REPLICA) is not barrier
        barriers.close()

    run(body())


def test_at_the_end_nobody_passes_who_may_not(scene: Scene) -> None:
    async def body() -> None:
        scene.replica.before = never
        scene.write(1)
        waiting = asyncio.create_task(scene.barrier.settle())
        await until(lambda: scene.replica.syncs)
        scene.barrier.close()
        with pytest.raises(SteadyError):
            await waiting

    run(body())
