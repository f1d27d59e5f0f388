from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from steadyd.backup import captures as module
from steadyd.backup.captures import AT_ONCE_MAX, Captures
from steadyd.backup.contents import Contents
from steadyd.backup.manifest import Manifest
from steadyd.backup.outbox import Outbox
from steadyd.errors import SteadyError
from steadyd.model import App, AppState
from steadyd.runner.engine import Engine
from steadyd.runner.folder import FOLDER_MODE, Place
from tests.backup.folderstore import FolderStore
from tests.runner.conftest import World, run, world
from tests.runner.conftest import bun as bun
from tests.runner.conftest import root as root

STATIC = {"index.html": "hello"}


class Room:
    """An app that was deployed, and captures of it over a store that is a folder."""

    def __init__(self, made: World, app: App) -> None:
        self.world, self.app = made, app
        self.store = FolderStore(made.root / "store")
        self.outbox = Outbox(made.root / "outbox")
        self.contents = Contents(made.library.contents, self.store, made.blobs, self.outbox)
        ground = made.fleet.ground
        self.captures = Captures(ground, made.library.captures, self.contents, made.root / "manifests")
        self.place = ground.place(app)

    def write(self, path: str, content: bytes, age: float = 120.0) -> Path:
        """A file of the app's, written so many seconds ago."""
        target = self.place.app / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        if self.place.uid is not None:
            for each in (target, *target.parents):
                if self.place.app in each.parents:
                    os.chown(each, self.place.uid, self.place.uid)
        return target

    async def listed(self) -> Manifest:
        newest = await self.captures.newest(self.app.id)
        assert newest is not None
        return await self.captures.manifest(newest.manifest)

    async def all_put(self) -> None:
        while await self.contents.put_some():
            pass


@asynccontextmanager
async def room(root: Path, bun: Engine) -> AsyncIterator[Room]:
    async with world(root, bun, sandboxed=False) as made:
        made_room = Room(made, (await made.create(STATIC)).app)
        try:
            yield made_room
        finally:
            made_room.captures.close()


def empty(root: Path, uid: int | None) -> Place:
    place = Place(root / "restored", uid)
    place.app.mkdir(parents=True)
    place.app.chmod(FOLDER_MODE)
    return place


def test_what_was_captured_comes_back_and_what_was_deleted_does_not(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with room(root, bun) as it:
            it.write("uploads/cat.png", b"cat").chmod(0o640)
            it.write("notes.txt", b"first")
            first = await it.captures.capture(it.app)
            assert (first.files, first.bytes, first.problem, first.skipped) == (2, 8, "", 0)
            it.write("notes.txt", b"second")
            (it.place.app / "uploads/cat.png").unlink()
            second = await it.captures.capture(it.app)
            assert sorted((await it.captures.manifest(second.manifest)).files) == ["notes.txt"]
            await it.all_put()
            assert it.outbox.waiting(9) == []
            for capture, content, files in ((first, b"first", 2), (second, b"second", 1)):
                place = empty(root / str(capture.id), it.place.uid)
                assert await it.captures.put_back(capture.manifest, place) == files
                assert (place.app / "notes.txt").read_bytes() == content
                assert (place.app / "uploads/cat.png").exists() == (files == 2)
                assert not (place.app / "index.html").exists()

    run(body())


def test_an_unchanged_folder_is_seen_again_and_nothing_is_put(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with room(root, bun) as it:
            it.write("a.txt", b"a")
            first = await it.captures.capture(it.app)
            await it.all_put()
            calls = it.store.calls
            again = await it.captures.capture(it.app)
            assert (again.id, again.at, again.seen_at > first.seen_at) == (first.id, first.at, True)
            assert not await it.contents.put_some()
            assert it.store.calls == calls

    run(body())


def test_an_app_without_files_has_an_empty_capture(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with room(root, bun) as it:
            capture = await it.captures.capture(it.app)
            assert (capture.manifest, capture.files) == ("", 0)
            assert await it.captures.put_back("", empty(root, it.place.uid)) == 0
            manifest, at = await it.captures.touch_up(it.app, 1.0)
            assert (manifest, time.time() - at < 30) == ("", True)

    run(body())


def test_while_requests_wait_only_what_changed_is_captured_and_never_for_long(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with room(root, bun) as it:
            assert await it.captures.touch_up(it.app, 0.0) == ("", 0.0)
            it.write("a.txt", b"a")
            first = await it.captures.capture(it.app)
            it.write("b.txt", b"b")
            manifest, at = await it.captures.touch_up(it.app, 5.0)
            assert sorted((await it.captures.manifest(manifest)).files) == ["a.txt", "b.txt"]
            assert first.seen_at < at <= time.time()
            it.write("late.bin", b"")
            os.truncate(it.place.app / "late.bin", 3 << 30)
            began = time.monotonic()
            assert await it.captures.touch_up(it.app, 0.05) == (manifest, at)
            assert time.monotonic() - began < 5.0

    run(body())


def test_a_full_outbox_is_told_and_the_last_capture_counts(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with room(root, bun) as it:
            it.write("a.txt", b"a")
            gone = it.write("gone.txt", b"gone")
            first = await it.captures.capture(it.app)
            it.outbox.bytes_max = it.outbox.amount.bytes
            gone.unlink()
            with pytest.raises(SteadyError, match="wait for the object store"):
                await it.captures.capture(it.app)
            assert await it.captures.touch_up(it.app, 5.0) == (first.manifest, first.seen_at)
            it.outbox.bytes_max += 1 << 20
            it.write("large", b"x" * (2 << 20))
            partly = await it.captures.capture(it.app)
            assert (partly.files, "wait for the object store already: large" in partly.problem) == (1, True)
            it.outbox.bytes_max += 2 << 20
            whole = await it.captures.capture(it.app)
            assert (whole.files, whole.problem) == (2, "")

    run(body())


def test_what_the_store_lost_is_captured_again(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with room(root, bun) as it:
            it.write("a.txt", b"a")
            first = await it.captures.capture(it.app)
            await it.all_put()
            await it.world.database.write(lambda db: db.execute("DELETE FROM contents"))
            await it.captures.capture(it.app)
            assert len(it.outbox.waiting(9)) == 2, "the file, and the list"
            assert (await it.captures.newest(it.app.id) or first).id == first.id

    run(body())


def test_a_list_that_is_nowhere_is_said(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with room(root, bun) as it:
            it.write("a.txt", b"a")
            capture = await it.captures.capture(it.app)
            await it.all_put()
            (root / "manifests" / capture.manifest).write_bytes(b"damaged")
            assert sorted((await it.listed()).files) == ["a.txt"], "fetched again"
            with pytest.raises(SteadyError, match="is missing in the backup") as caught:
                await it.captures.put_back("0" * 64, empty(root, it.place.uid))
            assert caught.value.code == "backup_broken"

    run(body())


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.0)


async def until_files(it: Room, count: int) -> None:
    while True:
        newest = await it.captures.newest(it.app.id)
        if newest is not None and newest.files == count:
            return
        await asyncio.sleep(0.01)


def test_it_captures_at_the_start_at_sleep_and_every_few_minutes(
    root: Path, bun: Engine, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with room(root, bun) as it:
            it.write("1", b"")
            task = asyncio.create_task(it.captures.run())
            try:
                await until_files(it, 1)
                it.captures.turned(it.app.id, AppState.RUNNING)
                it.write("2", b"")
                it.captures.turned(it.app.id, AppState.STOPPED)
                await until_files(it, 2)
                it.captures.turned(it.app.id, AppState.RUNNING)
                monkeypatch.setattr(module, "EVERY_SECONDS", 0.05)
                it.captures.turned("somebody", AppState.RUNNING)
                it.captures.turned("somebody", AppState.STOPPED)
                it.write("3", b"")
                await until_files(it, 3)
                it.write("4", b"")
                await until_files(it, 4)
            finally:
                task.cancel()

    run(body())


def test_so_many_are_captured_at_once(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with room(root, bun) as it:
            assert it.captures._threads._max_workers == AT_ONCE_MAX
            it.write("a", b"a")
            results = await asyncio.gather(*(it.captures.capture(it.app) for _ in range(5)))
            assert len({result.id for result in results}) == 1

    run(body())


def test_what_is_remembered_is_bounded(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with room(root, bun) as it:
            other = (await it.world.create(STATIC, "other")).app
            for number in range(3):
                it.write(str(number), b"")
            await it.captures.capture(it.app)
            assert set(it.captures._known) == {it.app.id}
            await it.captures.capture(other)
            monkeypatch.setattr(module, "KNOWN_FILES_MAX", 2)
            await it.captures.capture(other)
            assert set(it.captures._known) == {other.id}
            assert (await it.captures.capture(it.app)).files == 3

    run(body())
