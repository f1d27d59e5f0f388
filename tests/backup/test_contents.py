from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from steadyd.backup import contents as module
from steadyd.backup import layout
from steadyd.backup.contents import BATCH_MAX, DAMAGED_MAX, UPLOADS_MAX, Contents
from steadyd.backup.outbox import Amount, Outbox
from steadyd.errors import SteadyError
from steadyd.records.contents import Contents as Records
from steadyd.records.versions import Versions
from steadyd.runner.blobs import Blobs
from steadyd.store import Database
from tests.backup.folderstore import FolderStore
from tests.records.test_contents import ship
from tests.records.test_targets import an_app
from tests.runner.conftest import until


class Room:
    """Contents over a store that is a folder."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.store = FolderStore(folder / "store")
        self.blobs = Blobs(folder / "blobs")
        self.outbox = Outbox(folder / "outbox")
        self.records = Records(database)
        self.contents = Contents(self.records, self.store, self.blobs, self.outbox)
        self.folder = folder

    async def ship(self, *contents: bytes) -> tuple[str, int]:
        """An app whose live version has these contents: its id, and the version."""
        app_id = await an_app(self.database, f"app-{sha(b''.join(contents))[:8]}")
        found = await asyncio.to_thread(self.blobs.put, {str(at): content for at, content in enumerate(contents)})
        number = await ship(self.database, app_id, {file.sha256: file.size for file in found})
        await self.database.write(lambda db: db.execute("UPDATE apps SET version = ? WHERE id = ?", (number, app_id)))
        return app_id, number

    def holds(self, content: bytes) -> bool:
        path = self.store.path(layout.content(sha(content)))
        return path.exists() and path.read_bytes() == content

    def stored(self) -> int:
        """How many contents the store has."""
        return len(list(self.store.target.path.glob("contents/??/*")))

    async def all_put(self) -> None:
        while await self.contents.put_some():
            pass


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def with_room(database: Database, folder: Path, body: Callable[[Room], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await body(Room(database, folder))

    uvloop.run(bounded())


def test_files_of_versions_and_captured_ones_come_to_the_store(database: Database, tmp_path: Path) -> None:
    async def body(room: Room) -> None:
        app_id, number = await room.ship(b"code", b"picture")
        room.outbox.put(b"captured")
        version = await Versions(database).one(app_id, number)
        assert version is not None
        assert {file.sha256 for file in await room.contents.missing(version)} == {sha(b"code"), sha(b"picture")}
        before = await room.contents.backlog()
        assert (before.captured, before.versions, before.at) == (Amount(1, 8), Amount(2, 11), 0.0)
        await room.all_put()
        assert all(map(room.holds, (b"code", b"picture", b"captured")))
        after = await room.contents.backlog()
        assert (after.captured, after.versions, after.problem) == (Amount(), Amount(), "")
        assert time.time() - after.at < 60
        assert (await room.contents.missing(version), room.outbox.waiting(9)) == ([], [])
        room.outbox.put(b"captured")
        calls = room.store.calls
        await room.all_put()
        assert room.store.calls == calls, "each once"
        assert [room.store.tally.today(whose) for whose in (app_id, "")] == [2, 1]

    with_room(database, tmp_path, body)


def test_what_the_store_does_not_take_waits_and_is_told(database: Database, tmp_path: Path) -> None:
    async def body(room: Room) -> None:
        await room.ship(b"code")
        room.outbox.put(b"captured")
        room.store.away = True
        with pytest.raises(SteadyError) as caught:
            await room.contents.put_some()
        assert caught.value.code == "replica_away"
        found = await room.contents.backlog()
        assert (found.captured.files, found.versions.files) == (1, 1)
        room.store.away = False
        await room.all_put()
        assert room.holds(b"code")
        assert room.holds(b"captured")

    with_room(database, tmp_path, body)


def test_two_batches_at_once_do_no_harm(database: Database, tmp_path: Path) -> None:
    """At the daemon's end one begins while another is under way."""

    async def body(room: Room) -> None:
        captured = [f"captured {number}".encode() for number in range(40)]
        for content in captured:
            room.outbox.put(content)
        await asyncio.gather(*(room.contents.put_some() for _ in range(4)))
        await room.all_put()
        assert all(map(room.holds, captured))
        assert room.outbox.waiting(9) == []

    with_room(database, tmp_path, body)


def test_it_goes_on_by_itself_when_the_store_is_back(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS_FIRST", 0.01)
    monkeypatch.setattr(module, "RETRY_SECONDS_MAX", 0.05)

    async def body(room: Room) -> None:
        room.store.away = True
        room.outbox.put(b"captured")
        task = asyncio.create_task(room.contents.run())
        try:
            await until(lambda: room.contents.problem)
            assert "cannot be reached" in (await room.contents.backlog()).problem
            room.store.away = False
            await until(lambda: room.holds(b"captured"))
            room.outbox.put(b"later")
            room.contents.poke()
            await until(lambda: room.holds(b"later"))
            assert (await room.contents.backlog()).problem == ""
        finally:
            task.cancel()

    with_room(database, tmp_path, body)


def test_so_many_are_put_in_a_batch_and_at_once(database: Database, tmp_path: Path) -> None:
    async def body(room: Room) -> None:
        for number in range(BATCH_MAX + 5):
            room.outbox.put(b"%d" % number)
        room.store.holding = asyncio.Event()
        task = asyncio.create_task(room.contents.put_some())
        await until(lambda: room.store.waiting == UPLOADS_MAX)
        room.store.holding.set()
        assert await task
        assert (room.store.most, room.stored()) == (UPLOADS_MAX, BATCH_MAX)
        await room.all_put()
        assert room.stored() == BATCH_MAX + 5

    with_room(database, tmp_path, body)


def test_a_damaged_file_of_a_version_is_told_and_never_put(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DAMAGED_MAX == 1_000
    monkeypatch.setattr(module, "DAMAGED_MAX", 2)

    async def body(room: Room) -> None:
        await room.ship(b"one", b"two", b"three", b"good")
        for content in (b"one", b"two"):
            room.blobs.path(sha(content)).chmod(0o644)
            room.blobs.path(sha(content)).write_bytes(b"other")
        await room.contents.put_some()
        await room.all_put()
        assert room.holds(b"good")
        assert not room.holds(b"one")
        assert (await room.contents.backlog()).damaged == 2

    with_room(database, tmp_path, body)


def test_a_content_is_fetched_from_wherever_it_is_and_only_if_it_is_whole(database: Database, tmp_path: Path) -> None:
    async def body(room: Room) -> None:
        await room.ship(b"code")
        room.outbox.put(b"captured")
        got = tmp_path / "got"
        for content in (b"code", b"captured"):
            assert await room.contents.fetch(sha(content), got)
            assert got.read_bytes() == content
            got.unlink()
        await room.all_put()
        room.blobs.remove([sha(b"code")])
        assert await room.contents.fetch(sha(b"code"), got)
        assert got.read_bytes() == b"code"
        got.unlink()
        room.store.path(layout.content(sha(b"captured"))).write_bytes(b"flipped!")
        assert not await room.contents.fetch(sha(b"captured"), got)
        assert not await room.contents.fetch("0" * 64, got)
        assert not got.exists()

    with_room(database, tmp_path, body)


def test_what_nobody_needs_is_swept_once_it_is_old(database: Database, tmp_path: Path) -> None:
    async def body(room: Room) -> None:
        await room.ship(b"code")
        for content in (b"needed", b"asked for", b"nobody's"):
            room.outbox.put(content)
        await room.all_put()
        assert await room.contents.sweep(time.time()) == 0, "it is too young"
        await room.database.write(lambda db: db.execute("UPDATE contents SET at = at - 7200"))
        began = time.time()
        await room.contents.keep([sha(b"needed"), "0" * 64], began)
        assert await room.contents.held([sha(b"asked for"), sha(b"unknown")]) == {sha(b"asked for")}
        assert await room.contents.sweep(began) == 1
        assert [room.holds(content) for content in (b"code", b"needed", b"asked for", b"nobody's")] == [
            True, True, True, False,
        ]  # fmt: skip

    with_room(database, tmp_path, body)


def test_what_is_taken_away_is_put_again_only_afterwards(database: Database, tmp_path: Path) -> None:
    async def body(room: Room) -> None:
        room.outbox.put(b"content")
        await room.all_put()
        await room.database.write(lambda db: db.execute("UPDATE contents SET at = at - 7200"))
        room.store.holding = asyncio.Event()
        sweeping = asyncio.create_task(room.contents.sweep(time.time()))
        await until(lambda: room.contents._leaving)
        while await room.records.among([sha(b"content")]):
            pass
        assert await room.contents.held([sha(b"content")]) == set(), "so it is captured again"
        room.outbox.put(b"content")
        putting = asyncio.create_task(room.contents.put_some())
        await asyncio.sleep(0.02)
        room.store.holding.set()
        assert (await sweeping, await putting) == (1, True)
        assert room.holds(b"content")
        assert await room.records.among([sha(b"content")])

    with_room(database, tmp_path, body)


def test_the_store_is_believed_about_what_is_there(database: Database, tmp_path: Path) -> None:
    async def body(room: Room) -> None:
        await room.ship(b"code")
        room.outbox.put(b"captured")
        await room.all_put()
        stray = room.store.path(layout.content("ab" * 32))
        for path in (stray, stray.with_name("stray.txt")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        room.store.path(layout.content(sha(b"code"))).unlink()
        assert await room.contents.reconcile() == 1
        assert await room.records.among([sha(b"code"), sha(b"captured"), "ab" * 32]) == {sha(b"captured"), "ab" * 32}
        await room.all_put()
        assert room.holds(b"code")

    with_room(database, tmp_path, body)
