"""Apps of a recovered host come back when they are asked for, and all of them in the end."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from steadyd.backup import absence as module
from steadyd.backup import layout
from steadyd.backup.absence import Absent
from steadyd.backup.aims import Aim
from steadyd.backup.chain import Chain
from steadyd.backup.contents import Contents
from steadyd.backup.objects import Objects, Patience
from steadyd.backup.outbox import Outbox
from steadyd.backup.target import Target, TargetKind
from steadyd.errors import SteadyError
from steadyd.moment import Line
from steadyd.records.absences import everybody
from steadyd.runner.copies import Snapshot
from steadyd.runner.engine import Engine
from steadyd.runner.folder import FOLDER_MODE, Place, make_root
from steadyd.runner.trash import Trash
from tests.backup.writer import Writer, writer
from tests.objectstore import Fault, FaultProxy, ObjectStore
from tests.runner.conftest import QUICK, World, run, until, world
from tests.runner.conftest import bun as bun
from tests.runner.conftest import root as root

PATIENT = Patience()
COUNTING = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite", { create: true });
db.run("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, at REAL, filling BLOB)");
export default {
  fetch: () => Response.json(db.query("SELECT count(*) AS rows FROM rows").get()),
};
"""


class Restored:
    """The databases of an aim, from what Litestream wrote. `aims` are those that were asked for."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.aims: list[Aim] = []

    async def put_into(self, aim: Aim, place: Place) -> Snapshot:
        self.aims.append(aim)
        make_root(place)
        place.app.mkdir()
        place.app.chmod(FOLDER_MODE)
        if place.uid is not None:
            os.chown(place.app, 0, place.uid)
        for part in aim.databases:
            await self.chain.restore(part.line, part.txid, place.app / part.path, place)
        return Snapshot(aim.at, 0, {})


class Host(World):
    """A world whose apps come from a target."""

    def arrange(self, target: Target, patience: Patience = PATIENT) -> None:
        ground, objects = self.fleet.ground, Objects(target, patience)
        self.objects = objects
        self.contents = Contents(self.library.contents, objects, self.blobs, Outbox(self.root / "outbox"))
        self.source = Restored(Chain(objects, self.tools, Trash(self.root / "trash")))
        self.absent = Absent(ground, self.source.chain, self.source, self.contents, self.fleet.note)
        self.fleet.prepare = self.absent.preparing(self.fleet.prepare)
        self.fleet.present = self.absent.bring


@asynccontextmanager
async def recovered(root: Path, bun: Engine, target: Target, patience: Patience = PATIENT) -> AsyncIterator[Host]:
    made = Host(root, bun, False, QUICK)
    made.arrange(target, patience)
    try:
        await made.workshop.recover()
        await made.absent.load()
        await made.fleet.load()
        yield made
    finally:
        await made.absent.close()
        await made.workshop.close()
        await made.fleet.close()
        await made.logs.close()
        made.database.close()


async def lose(root: Path, bun: Engine, target: Target, names: tuple[str, ...] = ("hello",)) -> None:
    """A host with apps whose files are in `target`, and then is no more: only its records came back."""
    async with world(root, bun, sandboxed=False) as here:
        objects = Objects(target)
        for name in names:
            await here.create(COUNTING, name)
            version = await here.versions.one((await here.app(name)).id, 1)
            assert version is not None
            for file in version.files:
                await objects.put(layout.content(file.sha256), here.blobs.get(file.sha256))
        await here.database.write(everybody(time.time()))
    for folder in ("apps", "blobs"):
        shutil.rmtree(root / folder)


def folder_target(root: Path) -> Target:
    return Target(TargetKind.FILE, path=root / "replica")


def test_an_app_is_brought_before_its_first_answer(root: Path, bun: Engine, tmp_path: Path) -> None:
    """With its newest rows; and once, whoever asks meanwhile."""

    async def body() -> None:
        with writer(tmp_path) as written:
            written.unregister()
            written.connection.close()
            shutil.rmtree(tmp_path / "live")
            await lose(root, bun, written.target)
            async with recovered(root, bun, written.target) as here:
                app = await here.app()
                line = await here.library.lines.open(app.id, "data.sqlite", 1, 0.0)
                other = Writer(tmp_path, line)
                other.open()
                other.register()
                other.write(3)
                other.unregister()
                assert here.absent.count == 1
                answers = await asyncio.gather(*(here.ask() for _ in range(5)))
                assert answers == ['{"rows":3}'] * 5
                assert here.absent.count == 0
                assert len(here.source.aims) == 1
                assert any("Brought back" in event.message for _, event in here.heard)
                await here.absent.run()
                assert await here.library.absences.all() == []

    run(body())


def test_what_is_there_is_never_replaced(root: Path, bun: Engine) -> None:
    """A crash between the folder and its record, or an operator who put it there."""

    async def body() -> None:
        await lose(root, bun, folder_target(root))
        async with recovered(root, bun, folder_target(root)) as here:
            place = here.fleet.ground.place(await here.app())
            place.app.mkdir(parents=True)
            (place.app / "mine.txt").write_text("mine")
            assert await here.ask() == '{"rows":0}'
            assert here.source.aims == []
            assert (place.app / "mine.txt").read_text() == "mine"

    run(body())


def test_the_pass_behind_brings_everybody_and_goes_on_after_a_crash(root: Path, bun: Engine) -> None:
    async def body() -> None:
        names = tuple(f"app-{number}" for number in range(6))
        await lose(root, bun, folder_target(root), names)
        async with recovered(root, bun, folder_target(root)) as here:
            behind = asyncio.ensure_future(here.absent.run())
            await until(lambda: here.absent.count <= 4)
            behind.cancel()
        async with recovered(root, bun, folder_target(root)) as here:
            assert 0 < here.absent.count < 6
            await here.absent.run()
            assert here.absent.count == 0
            for name in names:
                assert await here.ask(name=name) == '{"rows":0}'

    run(body())


def test_few_are_brought_at_once_so_that_who_is_asked_for_does_not_wait(root: Path, bun: Engine) -> None:
    assert module.BEHIND_MAX < module.BRINGS_MAX

    async def body() -> None:
        await lose(root, bun, folder_target(root), tuple(f"app-{number}" for number in range(6)))
        async with recovered(root, bun, folder_target(root)) as here:
            busiest = 0
            put_into = here.source.put_into

            async def counted(aim: Aim, place: Place) -> Snapshot:
                nonlocal busiest
                busiest = max(busiest, len(here.absent._tasks))
                return await put_into(aim, place)

            here.source.put_into = counted  # type: ignore[method-assign]
            await here.absent.run()
            assert 1 <= busiest <= module.BEHIND_MAX

    run(body())


def test_a_store_that_is_away_is_waited_for(
    root: Path, bun: Engine, moto: ObjectStore, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the request too, and the app has not failed for it."""
    monkeypatch.setattr(module, "RETRY_SECONDS_MAX", 0.2)

    async def body() -> None:
        await lose(root, bun, moto.target("absence"))
        async with recovered(root, bun, moto.target("absence", proxy.port), Patience(1, 0.5)) as here:
            proxy.become(Fault.REFUSE)
            asked = asyncio.ensure_future(here.ask())
            app_id, waits = (await here.app()).id, here.objects.tally
            await until(lambda: waits.today(app_id) >= 3)
            assert "does not answer" in (await here.library.absences.all())[0].problem
            proxy.become(Fault.NONE)
            assert await asked == '{"rows":0}'
            assert [absence.problem for absence in await here.library.absences.all()] == [""]
            assert app_id not in [death for death, event in here.heard if event.kind == "death"]

    run(body())


def test_a_database_that_never_reached_the_store_is_told(root: Path, bun: Engine) -> None:
    async def body() -> None:
        await lose(root, bun, folder_target(root))
        async with recovered(root, bun, folder_target(root)) as here:
            await here.library.lines.open((await here.app()).id, "new.sqlite", 1, 0.0)
            await here.ask()
            assert any("“new.sqlite” was not in the backup yet" in event.message for _, event in here.heard)

    run(body())


def test_a_file_of_the_live_version_that_is_nowhere_is_told_and_a_deploy_mends_it(root: Path, bun: Engine) -> None:
    async def body() -> None:
        await lose(root, bun, folder_target(root))
        async with recovered(root, bun, folder_target(root)) as here:
            entries = await here.objects.list(layout.CONTENTS)
            await here.objects.delete([entry.key for entry in entries])
            deployed = await here.deploy(COUNTING + "// again\n")
            assert deployed.deploy.version == 2
            assert await here.ask() == '{"rows":0}'
            assert any("deploy it again" in event.message for _, event in here.heard)

    run(body())


def test_a_damaged_backup_falls_back_and_then_is_told(root: Path, bun: Engine) -> None:
    """So many moments before the newest; in the end nothing is there, and the operation says why."""

    async def body() -> None:
        await lose(root, bun, folder_target(root))
        async with recovered(root, bun, folder_target(root)) as here:

            async def broken(aim: Aim, place: Place) -> Snapshot:
                here.source.aims.append(aim)
                raise SteadyError("backup_broken", "it is damaged")

            put_into, here.source.put_into = here.source.put_into, broken  # type: ignore[method-assign]
            with pytest.raises(SteadyError) as caught:
                await here.absent.bring((await here.app()).id)
            assert caught.value.code == "backup_broken"
            assert len(here.source.aims) == module.MOMENTS_MAX
            place = here.fleet.ground.place(await here.app())
            assert not place.app.exists()
            assert os.listdir(place.scratch) == []
            assert (await here.library.absences.all())[0].problem == "it is damaged"
            here.source.put_into = put_into  # type: ignore[method-assign]
            assert await here.ask() == '{"rows":0}'

    run(body())


def test_only_what_was_before_the_recovery_counts(root: Path, bun: Engine) -> None:
    """A line that began here, for a folder that was not here yet, is no history of the app."""

    async def body() -> None:
        await lose(root, bun, folder_target(root))
        async with recovered(root, bun, folder_target(root)) as here:
            app = await here.app()
            await here.library.lines.open(app.id, "data.sqlite", 2, time.time() + 60)
            await here.ask()
            assert [aim.databases for aim in here.source.aims] == [()]
            assert Line(1, app.id, "data.sqlite", 2, 0.0).epoch == 2

    run(body())
