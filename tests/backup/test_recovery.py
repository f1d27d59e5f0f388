"""A host's records come back from what a real Litestream wrote of them, once, and are nobody else's any more."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from steadyd.backup import layout, recovery
from steadyd.backup.arrival import Arrival, arrive
from steadyd.backup.epochs import Epochs
from steadyd.backup.objects import Objects, Patience
from steadyd.backup.recovery import recover
from steadyd.backup.target import Target, TargetKind, parse_target
from steadyd.errors import SteadyError
from steadyd.moment import Line
from steadyd.records.absences import Absences
from steadyd.records.apps import Apps
from steadyd.records.epochs import Epochs as Records
from steadyd.records.schema import STEADY
from steadyd.runner.engine import Engine
from steadyd.runner.tool import Tools
from steadyd.store import Database
from tests.backup.test_target import KEYS
from tests.backup.writer import Writer, writer
from tests.objectstore import free_port
from tests.records.test_targets import an_app
from tests.runner.conftest import BOTH, run
from tests.runner.conftest import bun as bun
from tests.runner.conftest import root as root

LINE = Line(0, "", "steady.db", 1, 0.0)


@pytest.fixture(scope="module")
def lost() -> Iterator[Path]:
    """The replica of a host that is no more, with two apps."""
    with tempfile.TemporaryDirectory() as folder:
        with writer(Path(folder)) as found:
            found.unregister()
            steady = Writer(found.folder, LINE)
            with contextlib.closing(Database(steady.database, STEADY)) as database:
                run(_filled(database, found.folder / "replica"))
                steady.register()
                steady._call("/sync", path=str(steady.database), wait=True, timeout=10)
                run(_later(database))
                steady._call("/sync", path=str(steady.database), wait=True, timeout=10)
                steady.unregister()
        yield Path(folder) / "replica"


async def _filled(database: Database, replica: Path) -> None:
    await an_app(database, "one")
    arrival = await arrive(Target(TargetKind.FILE, path=replica), replica.parent)
    await arrival.epochs.settle(Records(database), 1.0)


async def _later(database: Database) -> None:
    await an_app(database, "two")


@pytest.fixture
def replica(lost: Path, root: Path) -> Path:
    """A copy of it, for one test."""
    return Path(shutil.copytree(lost, root / "replica"))


async def arrived(replica: Path, data: Path) -> Arrival:
    os.makedirs(data, 0o711, exist_ok=True)
    return await arrive(Target(TargetKind.FILE, path=replica), data)


async def names(steady: Path) -> list[str]:
    with contextlib.closing(Database(steady, STEADY)) as database:
        return sorted(app.name for app in await Apps(database).everything())


@BOTH
def test_records_come_back_under_the_next_epoch(replica: Path, root: Path, bun: Engine, sandboxed: bool) -> None:
    """All of them, private, and with every app absent; the former host is superseded."""

    async def body() -> None:
        arrival, steady = await arrived(replica, root / "data"), root / "data" / "steady.db"
        recovered = await recover(arrival, steady, Tools(bun, sandboxed))
        assert recovered is not None
        assert (recovered.epoch, recovered.source, recovered.apps, recovered.people) == (2, 1, 2, 1)
        assert "2 apps" in str(recovered)
        assert arrival.epochs.number == 2
        assert (steady.stat().st_mode & 0o777, steady.stat().st_uid) == (0o600, os.geteuid())
        assert set(os.listdir(root / "data")) <= {"host.id", "steady.db", "trash"}
        assert await names(steady) == ["one", "two"]
        with contextlib.closing(Database(steady, STEADY)) as database:
            assert len(await Absences(database).all()) == 2
            again = await arrived(replica, root / "data")
            await again.epochs.settle(Records(database), 2.0)
            assert (again.epochs.number, again.epochs.superseded) == (2, None)
        assert await recover(again, steady, Tools(bun, sandboxed)) is None
        former = Epochs(Objects(arrival.objects.target), "the former host")
        former.number = 1
        await former.look()
        assert former.superseded is not None

    run(body())


def test_what_was_interrupted_goes_on_in_the_same_epoch(replica: Path, root: Path, bun: Engine) -> None:
    """Claimed and nothing more, or half a file made: the next start does the rest."""

    async def body() -> None:
        steady = root / "data" / "steady.db"
        arrival = await arrived(replica, root / "data")
        await arrival.epochs.claim(1, 1.0, recovers=1)
        (root / "data" / recovery.FOLDER).mkdir()
        (root / "data" / recovery.FOLDER / "steady.db").write_bytes(b"half")
        arrival = await arrived(replica, root / "data")
        recovered = await recover(arrival, steady, Tools(bun, False))
        assert recovered is not None
        assert (recovered.epoch, await names(steady)) == (2, ["one", "two"])

    run(body())


def test_data_that_is_there_is_never_touched(replica: Path, root: Path, bun: Engine) -> None:
    async def body() -> None:
        arrival = await arrived(replica, root / "data")
        (root / "data" / "steady.db").write_bytes(b"anything")
        assert await recover(arrival, root / "data" / "steady.db", Tools(bun, False)) is None
        assert (root / "data" / "steady.db").read_bytes() == b"anything"
        newest = await arrival.epochs.newest()
        assert newest is not None
        assert newest.number == 1

    run(body())


def test_an_empty_target_is_a_new_host(root: Path, bun: Engine) -> None:
    async def body() -> None:
        for _ in range(2):
            arrival = await arrived(root / "replica", root / "data")
            assert await recover(arrival, root / "data" / "steady.db", Tools(bun, False)) is None
            if not arrival.epochs.number:
                await arrival.epochs.claim(0, 1.0)  # the first start ended before it made its records

    run(body())


def test_another_hosts_epoch_without_records_is_told(root: Path, bun: Engine) -> None:
    async def body() -> None:
        arrival = await arrived(root / "replica", root / "data")
        await Epochs(arrival.objects, "another").claim(0, 1.0)
        with pytest.raises(SteadyError) as caught:
            await recover(arrival, root / "data" / "steady.db", Tools(bun, False))
        assert caught.value.code == "cannot_start"
        assert "nothing to recover" in caught.value.message

    run(body())


def test_where_the_newest_records_are_damaged_earlier_ones_come_back(replica: Path, root: Path, bun: Engine) -> None:
    async def body() -> None:
        newest = max((replica / layout.ltx(layout.steady(1)) / "0").iterdir())
        newest.write_bytes(newest.read_bytes()[:-40])
        steady = root / "data" / "steady.db"
        recovered = await recover(await arrived(replica, root / "data"), steady, Tools(bun, False))
        assert recovered is not None
        assert await names(steady) == ["one"]

    run(body())


def test_where_all_are_damaged_nothing_is_there_and_it_is_told(replica: Path, root: Path, bun: Engine) -> None:
    assert recovery.MOMENTS_MAX > 1

    async def body() -> None:
        for file in (replica / layout.ltx(layout.steady(1)) / "0").iterdir():
            file.write_bytes(file.read_bytes()[:-40])
        with pytest.raises(SteadyError) as caught:
            await recover(await arrived(replica, root / "data"), root / "data" / "steady.db", Tools(bun, False))
        assert caught.value.code == "backup_broken"
        assert not (root / "data" / "steady.db").exists()

    run(body())


def test_a_target_that_is_away_ends_the_start_of_an_empty_host(root: Path, bun: Engine) -> None:
    """It may hold what belongs here."""

    async def body() -> None:
        os.makedirs(root / "data", 0o711)
        target = parse_target("s3://bucket", {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"})
        objects = Objects(target, Patience(1, 0.5))
        arrival = Arrival(objects, Epochs(objects, "a"))
        with pytest.raises(SteadyError) as caught:
            await recover(arrival, root / "data" / "steady.db", Tools(bun, False))
        assert caught.value.code == "replica_away"
        assert "Start again once it answers" in caught.value.message

    run(body())
