"""Epochs: who owns a target, decided by a table and by objects that only one can create."""

from __future__ import annotations

import asyncio
import json
import secrets
from pathlib import Path

import pytest

from steadyd.backup import epochs as module
from steadyd.backup import layout
from steadyd.backup.epochs import EPOCH_BYTES_MAX, Epoch, Epochs, Standing, host_id, standing
from steadyd.backup.objects import Objects, Patience
from steadyd.backup.target import Target, TargetKind
from steadyd.errors import SteadyError
from steadyd.records.epochs import Epochs as Records
from steadyd.store import Database
from tests.backup.test_objects import run
from tests.objectstore import Fault, FaultProxy, ObjectStore

NOW = 1_700_000_000.0


@pytest.fixture(params=["file", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "file":
        return Objects(Target(TargetKind.FILE, path=tmp_path / "replica"))
    store: ObjectStore = request.getfixturevalue("moto")
    return Objects(store.target(secrets.token_hex(4)))


@pytest.mark.parametrize(
    ("own", "newest", "host", "found"),
    [
        (0, None, "a", Standing.NEW),
        (3, None, "a", Standing.NEW),
        (3, Epoch(3, "a"), "a", Standing.OURS),
        (0, Epoch(3, "a"), "a", Standing.OURS),
        (2, Epoch(3, "a"), "a", Standing.OURS),
        (2, Epoch(3, "b"), "a", Standing.SUPERSEDED),
        (0, Epoch(3, "b"), "a", Standing.FOREIGN),
        (3, Epoch(3, "b"), "a", Standing.FOREIGN),
        (4, Epoch(3, "b"), "a", Standing.FOREIGN),
        (2, Epoch(3, ""), "a", Standing.SUPERSEDED),
    ],
)
def test_what_the_newest_epoch_is_to_a_host(own: int, newest: Epoch | None, host: str, found: Standing) -> None:
    assert standing(own, newest, host) is found


def test_the_first_start_begins_an_epoch_and_the_next_goes_on_with_it(objects: Objects, database: Database) -> None:
    async def body() -> None:
        records = Records(database)
        for now in (NOW, NOW + 10):
            epochs = Epochs(objects, "a")
            await epochs.settle(records, now)
            assert (epochs.number, epochs.superseded) == (1, None)
        newest = await epochs.newest()
        assert newest is not None
        assert (newest.number, newest.host, newest.at, newest.recovers) == (1, "a", NOW, 0)
        assert await records.current(str(objects.target)) == 1

    run(body())


def test_a_crash_between_object_and_record_changes_nothing(objects: Objects, database: Database) -> None:
    async def body() -> None:
        await Epochs(objects, "a").claim(0, NOW)
        epochs = Epochs(objects, "a")
        await epochs.settle(Records(database), NOW)
        assert epochs.number == 1

    run(body())


def test_of_many_that_recover_each_gets_an_epoch_of_its_own(tmp_path: Path) -> None:
    """And everybody but the last is superseded."""

    async def body() -> None:
        objects = Objects(Target(TargetKind.FILE, path=tmp_path / "replica"))
        hosts = [Epochs(objects, str(n)) for n in range(module.CLAIMS_MAX)]
        made = await asyncio.gather(*(host.claim(0, NOW, 0) for host in hosts))
        assert sorted(epoch.number for epoch in made) == list(range(1, module.CLAIMS_MAX + 1))
        for host in hosts:
            await host.look()
            assert (host.superseded is None) == (host.number == module.CLAIMS_MAX)

    run(body())


def test_claiming_has_an_end(tmp_path: Path) -> None:
    async def body() -> None:
        objects = Objects(Target(TargetKind.FILE, path=tmp_path / "replica"))
        for _ in range(module.CLAIMS_MAX):
            await Epochs(objects, "b").claim((await _highest(objects)), NOW)
        with pytest.raises(SteadyError) as caught:
            await Epochs(objects, "a").claim(0, NOW)
        assert caught.value.code == "conflict"

    run(body())


def test_whoever_is_superseded_is_told_once_and_writes_nothing_more(objects: Objects, database: Database) -> None:
    async def body() -> None:
        mine, told = Epochs(objects, "a"), list[str]()
        mine.on_superseded.append(lambda error: told.append(error.message))
        await mine.settle(Records(database), NOW)
        await mine.look()
        assert told == []
        await Epochs(Objects(objects.target), "b").claim(1, NOW)
        await mine.look()
        await mine.look()
        assert len(told) == 1
        assert mine.superseded is not None
        assert "epoch 2" in mine.superseded.message
        for write in (objects.put("k", b""), objects.create("k", b""), objects.delete(["k"]), objects.copy("k", "l")):
            with pytest.raises(SteadyError) as caught:
                await write
            assert caught.value.code == "superseded"
        again = Epochs(objects, "a")
        await again.settle(Records(database), NOW)
        assert again.superseded is not None

    run(body())


def test_it_looks_every_few_seconds(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)

    async def body() -> None:
        objects = Objects(Target(TargetKind.FILE, path=tmp_path / "replica"))
        mine = Epochs(objects, "a")
        await mine.settle(Records(database), NOW)
        looking = asyncio.ensure_future(mine.run())
        await Epochs(Objects(objects.target), "b").claim(1, NOW)
        await asyncio.wait_for(looking, 20)
        assert mine.superseded is not None

    run(body())


def test_another_hosts_target_is_refused_by_a_host_with_data(objects: Objects, database: Database) -> None:
    async def body() -> None:
        await Epochs(objects, "b").claim(0, NOW)
        with pytest.raises(SteadyError) as caught:
            await Epochs(objects, "a").settle(Records(database), NOW)
        assert caught.value.code == "cannot_start"
        assert "Choose another --replica" in caught.value.message

    run(body())


def test_a_new_target_and_an_emptied_one_begin_another_epoch(tmp_path: Path, database: Database) -> None:
    """So that no line goes on where its beginning is missing."""

    async def body() -> None:
        records = Records(database)
        for name, wanted in (("one", 1), ("two", 2), ("one", 1)):
            epochs = Epochs(Objects(Target(TargetKind.FILE, path=tmp_path / name)), "a")
            await epochs.settle(records, NOW)
            assert epochs.number == wanted
        objects = Objects(Target(TargetKind.FILE, path=tmp_path / "one"))
        await objects.delete([layout.epoch(1)])
        epochs = Epochs(objects, "a")
        await epochs.settle(records, NOW)
        assert epochs.number == 3

    run(body())


def test_a_store_that_is_away_stops_only_who_never_reached_it(
    moto: ObjectStore, proxy: FaultProxy, database: Database
) -> None:
    """A host that knows its epoch goes on with it, and sees later that it is superseded."""

    async def body() -> None:
        target = moto.target(secrets.token_hex(4), proxy.port)
        quick = Patience(attempts_max=1, answer_seconds_max=0.3)
        proxy.become(Fault.REFUSE)
        with pytest.raises(SteadyError) as caught:
            await Epochs(Objects(target, quick), "a").settle(Records(database), NOW)
        assert caught.value.code == "replica_away"
        proxy.become(Fault.NONE)
        await Epochs(Objects(target), "a").settle(Records(database), NOW)
        proxy.become(Fault.BUSY)
        mine = Epochs(Objects(target, quick), "a")
        await mine.settle(Records(database), NOW)
        assert mine.number == 1
        await mine.look()
        assert mine.superseded is None
        proxy.become(Fault.NONE)
        await Epochs(Objects(target), "b").claim(1, NOW)
        await mine.look()
        assert mine.superseded is not None

    run(body())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"host": 1}', b"x" * (EPOCH_BYTES_MAX + 1)])
def test_an_object_that_says_nothing_is_somebodys(tmp_path: Path, content: bytes) -> None:
    """Nobody takes it for their own."""

    async def body() -> None:
        objects = Objects(Target(TargetKind.FILE, path=tmp_path / "replica"))
        await objects.put(layout.epoch(2), content)
        assert await Epochs(objects, "a").newest() == Epoch(2, "")

    run(body())


def test_what_an_epoch_says_is_for_people_too(tmp_path: Path) -> None:
    async def body() -> None:
        objects = Objects(Target(TargetKind.FILE, path=tmp_path / "replica"))
        await Epochs(objects, "a").claim(4, NOW, recovers=4)
        said = json.loads(await objects.get("epochs/00000005") or b"")
        assert said["recovers"] == 4
        assert said["name"]

    run(body())


def test_a_host_has_one_id(tmp_path: Path) -> None:
    """Private, and the same at every start."""
    first = host_id(tmp_path)
    assert len(first) == 32
    assert host_id(tmp_path) == first
    assert (tmp_path / "host.id").stat().st_mode & 0o777 == 0o600


def test_a_data_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(SteadyError) as caught:
        host_id(tmp_path / "none")
    assert caught.value.code == "cannot_start"


# Private


async def _highest(objects: Objects) -> int:
    newest = await Epochs(objects, "").newest()
    return newest.number if newest else 0
