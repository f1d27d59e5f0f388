from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from steadyd.backup import captures
from steadyd.backup import files as module
from steadyd.backup.files import CLOSE_SECONDS_MAX, PROVED_FILES_MAX, Files, make_files
from steadyd.errors import SteadyError
from steadyd.model import AppState, Event
from steadyd.moment import Mark, Point, PointKind, PointState
from steadyd.runner.engine import Engine
from steadyd.runner.ground import Ground
from tests.backup.folderstore import FolderStore
from tests.backup.test_captures import Room, empty, room
from tests.runner.conftest import bun as bun
from tests.runner.conftest import root as root
from tests.runner.conftest import run, until


@asynccontextmanager
async def opened(ground: Ground, store: FolderStore, root: Path) -> AsyncIterator[Files]:
    """All of it, at work."""
    files = make_files(ground, store, root, 0.0)
    tasks = [asyncio.create_task(work()) for work in (files.contents.run, files.captures.run, files.run)]
    try:
        yield files
        await files.close()
    finally:
        for task in tasks:
            task.cancel()
        files.captures.close()


async def age(it: Room, seconds: float = 7200.0) -> None:
    """As if what was put in the store had been there for so long."""
    await it.world.database.write(lambda db: db.execute("UPDATE contents SET at = at - ?", (seconds,)))


async def problem_of(files: Files, app_id: str) -> str:
    return files.problem(app_id, await files.captures.newest(app_id))


def stored(it: Room) -> int:
    return len(list(it.store.target.path.glob("contents/??/*")))


def test_what_no_capture_and_no_point_needs_goes_with_it(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with room(root, bun) as it:
            files = Files(it.captures, it.contents, window=10.0)
            made = []
            for number in range(3):
                it.write("a.txt", b"%d" % number)
                made.append(await it.captures.capture(it.app))
            mark = Mark(1.0, (), made[0].manifest, 1.0)
            point = Point(0, it.app.id, PointKind.MANUAL, mark, "ada", "", 1, None, PointState.PENDING)
            point = await it.world.library.points.add(point)
            await it.all_put()
            assert stored(it) == 7, "three files, three lists, and the version's"
            await it.world.database.write(lambda db: db.execute("UPDATE captures SET at = at - 3600"))
            await age(it)
            assert await files.tidy() == 2
            assert [capture.id for capture in await it.captures.records.of(it.app.id)] == [made[2].id]
            assert sorted(path.name for path in (root / "manifests").iterdir()) == sorted(
                [made[0].manifest, made[2].manifest]
            )
            for capture, content in ((made[0], b"0"), (made[2], b"2")):
                place = empty(root / str(capture.id), it.place.uid)
                assert await it.captures.put_back(capture.manifest, place) == 1
                assert (place.app / "a.txt").read_bytes() == content
            await it.world.library.points.forget(point.id)
            await age(it, 14_400.0)
            assert await files.tidy() == 2
            assert stored(it) == 3

    run(body())


def test_nothing_goes_while_not_every_list_can_be_read(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with room(root, bun) as it:
            files = Files(it.captures, it.contents, window=0.0)
            it.write("a.txt", b"a")
            capture = await it.captures.capture(it.app)
            await it.all_put()
            it.outbox.put(b"nobody's")
            await it.all_put()
            await age(it)
            (root / "manifests" / capture.manifest).unlink()
            it.store.away = True
            with pytest.raises(SteadyError) as caught:
                await files.tidy()
            assert (caught.value.code, stored(it)) == ("replica_away", 4)
            it.store.away = False
            assert await files.tidy() == 1
            await age(it)
            it.store.path(f"contents/{capture.manifest[:2]}/{capture.manifest}").unlink()
            (root / "manifests" / capture.manifest).unlink()
            await files.tidy()

    run(body())


def test_a_proof_finds_what_the_store_lost_and_the_next_capture_mends_it(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with room(root, bun) as it:
            files = Files(it.captures, it.contents, window=0.0)
            scratch = root / "scratch"
            scratch.mkdir()
            assert await files.prove(it.app, scratch) == []
            for number in range(PROVED_FILES_MAX + 10):
                it.write(f"{number}.txt", b"%d" % number)
            capture = await it.captures.capture(it.app)
            assert await files.prove(it.app, scratch) == [], "it waits to be put"
            await it.all_put()
            calls = it.store.calls
            assert await files.prove(it.app, scratch) == []
            assert it.store.calls - calls == PROVED_FILES_MAX + 1
            listed = it.store.path(f"contents/{capture.manifest[:2]}/{capture.manifest}")
            listed.write_bytes(b"[]")
            told = "the list of its files: missing or damaged in the backup"
            assert await files.prove(it.app, scratch) == [told]
            await it.captures.capture(it.app)
            await it.all_put()
            assert await files.prove(it.app, scratch) == []
            assert list(scratch.iterdir()) == []

    run(body())


def test_why_files_are_not_kept_elsewhere_is_said(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captures, "START_SECONDS", 0.0)

    async def body() -> None:
        async with room(root, bun) as it:
            files = Files(it.captures, it.contents, window=0.0)
            it.write("a.txt", b"a")
            await it.captures.capture(it.app)
            assert await problem_of(files, it.app.id) == "", "a moment is no problem"
            it.store.away = True
            with pytest.raises(SteadyError):
                await it.contents.put_some()
            it.contents.problem = "The object store cannot be reached."
            assert await problem_of(files, it.app.id) == f"2 wait for the object store: {it.contents.problem}"
            it.store.away = False
            await it.all_put()
            assert await problem_of(files, it.app.id) == ""
            it.outbox.bytes_max = 0
            it.write("b.txt", b"b")
            await it.captures.capture(it.app)
            assert "wait for the object store already: b.txt" in await problem_of(files, it.app.id)
            (it.place.app / "a.txt").unlink()
            it.write("c.txt", b"")
            task = asyncio.create_task(it.captures.run())
            try:
                await until(lambda: it.captures.troubles)
                assert "wait for the object store already." in await problem_of(files, it.app.id)
            finally:
                task.cancel()

    run(body())


def test_open_they_capture_put_and_reconcile_and_close_with_a_last_capture(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)

    async def body() -> None:
        async with room(root, bun) as it:
            it.store.away = True
            await it.world.library.contents.add({"0" * 64: 1}, 1.0)
            ground = it.world.fleet.ground
            async with opened(ground, it.store, root) as files:
                await until(lambda: files.contents.problem)
                it.store.away = False
                files.contents.poke()
                await until(lambda: stored(it) == 1)
                deadline = time.monotonic() + 10
                while await it.world.library.contents.among(["0" * 64]):
                    assert time.monotonic() < deadline
                await it.world.deploy({"index.html": "another"})
                files.happened(it.app.id, Event(0.0, "deploy", "Version 2 is live."))
                await until(lambda: stored(it) == 2)
                files.turned(it.app.id, AppState.RUNNING)
                it.write("last.txt", b"last")
                files.turned(it.app.id, AppState.STOPPED)
            assert stored(it) == 4
            newest = await it.captures.newest(it.app.id)
            assert newest is not None
            assert newest.files == 1

    run(body())


def test_closing_takes_only_so_long(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with room(root, bun) as it:
            async with opened(it.world.fleet.ground, it.store, root) as files:
                await until(lambda: stored(it) == 1)
                it.store.holding = asyncio.Event()
                files.contents.outbox.put(b"never taken")
                began = time.monotonic()
            assert CLOSE_SECONDS_MAX <= time.monotonic() - began < CLOSE_SECONDS_MAX + 5

    run(body())
