"""Databases as they were, brought once and looked at often; the replica here is a folder of plain files."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from steadyd.backup import past
from steadyd.backup.past import Past
from steadyd.backup.when import At
from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.runner.engine import Engine
from tests.backup.files import Files
from tests.runner.conftest import HELLO, World, run, world
from tests.runner.conftest import bun as bun
from tests.runner.conftest import root as root


async def scene(here: World, root: Path, moments: int) -> tuple[App, Files, Past]:
    await here.create(HELLO)
    (root / "states").mkdir()
    files = Files(root / "states")
    for txid in range(1, moments + 1):
        files.add(txid)
    return await here.app(), files, Past(here.fleet.ground, files.at, files)


def scratch(here: World, app: App) -> list[Path]:
    return list(here.fleet.ground.place(app).scratch.glob("past-*"))


def test_a_moment_is_brought_once(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            app, files, room = await scene(here, root, 2)

            async def look(txid: int) -> Path:
                async with room.look(app, "data.sqlite", At(txid)) as seen:
                    assert seen.part.txid == txid
                    assert seen.path.read_bytes() == (files.folder / str(txid)).read_bytes()
                    return seen.path

            paths = await asyncio.gather(*(look(1) for _ in range(8)), look(2))
            assert (len(set(paths)), files.brought) == (2, 2)
            await room.close()
            assert scratch(here, app) == []

    run(body())


def test_one_that_cannot_be_brought_leaves_nothing_and_is_tried_again(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            app, files, room = await scene(here, root, 1)
            files.fails = True
            with pytest.raises(SteadyError):
                async with room.look(app, "data.sqlite", At(1)):
                    pass
            files.fails = False
            async with room.look(app, "data.sqlite", At(1)) as seen:
                assert (seen.path.is_file(), files.brought) == (True, 1)
                shutil.rmtree(seen.path.parent)  # as when the app's folder went meanwhile
            async with room.look(app, "data.sqlite", At(1)) as seen:
                assert (seen.path.is_file(), files.brought) == (True, 2)
            with pytest.raises(SteadyError) as caught:
                async with room.look(app, "other.sqlite", At(1)):
                    pass
            assert (caught.value.code, caught.value.details) == ("not_found", {"databases": ["data.sqlite"]})
            await room.close()

    run(body())


def test_copies_are_kept_for_so_long_and_so_many(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "COPIES_MAX", 3)

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            app, files, room = await scene(here, root, 5)
            now = 0.0
            room._ticks = lambda: now

            async def look(txid: int) -> None:
                async with room.look(app, "data.sqlite", At(txid)):
                    pass

            for txid in range(1, 6):
                now += 1
                await look(txid)
            assert [key[-1] for key in room._copies] == [3, 4, 5]
            monkeypatch.setattr(past, "COPIES_BYTES_MAX", 2 * (files.folder / "1").stat().st_size)
            await look(5)
            assert [key[-1] for key in room._copies] == [4, 5]
            now = 4 + past.KEPT_SECONDS_MAX
            room.tidy()
            assert [key[-1] for key in room._copies] == [5]
            now += 2
            room.tidy()
            assert not room._copies
            await room.close()
            assert scratch(here, app) == []

    run(body())


def test_those_in_use_stay_and_the_next_is_told_to_come_back(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "COPIES_MAX", 1)

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            app, _, room = await scene(here, root, 2)
            async with room.look(app, "data.sqlite", At(1)) as seen:
                with pytest.raises(SteadyError) as caught:
                    async with room.look(app, "data.sqlite", At(2)):
                        pass
                assert caught.value.code == "overloaded"
                assert seen.path.is_file()
            await room.close()

    run(body())
