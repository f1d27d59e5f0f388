"""Versions are numbered, immutable, and gone with their app."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import App, Commit, Cron, Draft, File, Origin
from steadyd.records.apps import Apps
from steadyd.records.people import People
from steadyd.records.schema import STEADY
from steadyd.records.versions import Brought, Versions, went_live
from steadyd.store import Connection, Database

NOW = 1_790_000_000.0
FILES = (File("index.ts", "a" * 64, 10), File("lib/db.ts", "b" * 64, 20))


def test_versions_are_numbered_and_keep_their_files(database: Database) -> None:
    async def body() -> None:
        apps, versions = Apps(database), Versions(database)
        owner = await People(database).add_guest(NOW)
        app = await apps.create("hello", owner, False, NOW)
        first = await versions.add(app, owner, Draft("index.ts", Origin("paste"), FILES), NOW)
        second = await versions.add(app, owner, Draft("", Origin("archive"), FILES[:1]), NOW)
        assert (first.number, second.number) == (1, 2)
        assert await versions.one(app.id, 1) == first
        assert await versions.one(app.id, 3) is None
        assert [version.number for version in await versions.all(app.id)] == [2, 1]
        assert await versions.contents_in_use() == {"a" * 64, "b" * 64}
        unchanged = await apps.by_id(app.id)
        assert unchanged
        assert unchanged.version == 0

    asyncio.run(body())


def test_where_it_came_from_and_what_it_was_made_with(database: Database) -> None:
    async def body() -> None:
        apps, versions = Apps(database), Versions(database)
        owner = await People(database).add_guest(NOW)
        app = await apps.create("hello", owner, False, NOW)
        origin = Origin("folder", "Less is more", Commit("c" * 40, "https://git.example/x.git", True), "other")
        files = (*FILES, File("bun.lock", "f" * 64, 3))
        made = await versions.add(app, owner, Draft("index.ts", origin, files, bun="1.4.4"), NOW)
        assert made == await versions.one(app.id, 1)
        assert (made.origin, made.bun, made.author, made.lock) == (origin, "1.4.4", owner.name, "f" * 64)
        (listed,) = await versions.all(app.id)
        assert (listed.origin, listed.lock, listed.files) == (origin, "f" * 64, ())

    asyncio.run(body())


def test_a_removed_app_leaves_no_version(database: Database) -> None:
    async def body() -> None:
        apps, versions = Apps(database), Versions(database)
        owner = await People(database).add_guest(NOW)
        app = await apps.create("hello", owner, False, NOW)
        await versions.add(app, owner, Draft("index.ts", Origin("paste"), FILES), NOW)
        await apps.remove(app.id, NOW)
        assert (await apps.by_id(app.id), await versions.all(app.id)) == (None, [])
        assert await versions.contents_in_use() == set()

    asyncio.run(body())


CLOCK = itertools.count(NOW)


async def grown(database: Database, numbers: int) -> tuple[Apps, Versions, App]:
    """An app with so many versions, each with a file of its own; the last is live, and all were."""
    apps, versions = Apps(database), Versions(database)
    owner = await People(database).add_guest(NOW)
    app = await apps.create("hello", owner, False, NOW)
    for number in range(1, numbers + 1):
        files = (File("same.ts", "a" * 64, 1), File("index.ts", f"{number:064}", 1))
        await versions.add(app, owner, Draft("index.ts", Origin("paste"), files), NOW)
    await made_live(database, app, range(1, numbers + 1))
    return apps, versions, app


async def made_live(database: Database, app: App, numbers: Iterable[int]) -> None:
    """As a deploy's records say it; the last number is what is live now."""

    for number in numbers:
        await database.write(went_live(app.id, number, next(CLOCK), list))
    await database.write(lambda db: db.execute("UPDATE apps SET version = ? WHERE id = ?", (number, app.id)))


async def numbers(versions: Versions, app: App) -> list[int]:
    return [version.number for version in await versions.all(app.id)]


def test_old_versions_go_but_not_what_one_goes_back_to(database: Database) -> None:
    async def body() -> None:
        _, versions, app = await grown(database, 40)
        await versions.pin(app.id, 5, True)
        await made_live(database, app, [7, 40, 39, 3])
        gone = await versions.retire(app.id, 4)
        # 40 to 37 are the newest; of 10 that were live last, 3 (which is live), 39, 40 and 7 come first, then 38 to 33.
        kept = [40, 39, 38, 37, 36, 35, 34, 33, 7, 5, 3]
        assert await numbers(versions, app) == kept
        assert gone == {"a" * 64, *(f"{number:064}" for number in range(1, 41) if number not in kept)}
        assert await versions.contents_in_use(gone) == {"a" * 64}
        assert await versions.retire(app.id, 4) == set()

    asyncio.run(body())


def test_without_a_limit_all_stay(database: Database) -> None:
    async def body() -> None:
        _, versions, app = await grown(database, 30)
        assert await versions.retire(app.id, 0) == set()
        assert len(await numbers(versions, app)) == 30

    asyncio.run(body())


def test_a_pin_holds_until_it_is_taken_back_and_there_are_only_so_many(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        _, versions, app = await grown(database, 30)
        monkeypatch.setattr("steadyd.records.versions.PINNED_PER_APP_MAX", 2)
        for number in (1, 2, 2):
            await versions.pin(app.id, number, True)
        with pytest.raises(SteadyError) as caught:
            await versions.pin(app.id, 3, True)
        assert caught.value.code == "conflict"
        await versions.pin(app.id, 1, False)
        await versions.pin(app.id, 3, True)
        await versions.retire(app.id, 1)
        assert [number for number in await numbers(versions, app) if number < 20] == [3, 2]

    asyncio.run(body())


def test_what_never_went_live_is_no_version(database: Database) -> None:
    async def body() -> None:
        _, versions, app = await grown(database, 3)
        owner = await People(database).add_guest(NOW)
        await versions.add(app, owner, Draft("index.ts", Origin("paste"), FILES), NOW)
        await versions.drop_never_live(app.id)
        assert await numbers(versions, app) == [3, 2, 1]

    asyncio.run(body())


def test_what_went_live_before_that_was_noted_is_known_from_its_deploys(tmp_path: Path) -> None:
    upgrade = next(number for number, sql in enumerate(STEADY) if "UPDATE versions SET live_at" in sql)
    old = Database(tmp_path / "steady.db", STEADY[:upgrade])

    def write(db: Connection) -> None:
        db.execute("INSERT INTO principals (id, kind, name, created_at) VALUES ('p', 'user', 'ada', 0)")
        columns = "(id, name, owner_id, version, temporary, created_at, updated_at)"
        db.execute(f"INSERT INTO apps {columns} VALUES ('a', 'hello', 'p', 3, 0, 0, 0)")
        for number, status in ((1, "live"), (2, "failed"), (3, "live")):
            columns = "(app_id, number, entry, source, author_id, created_at)"
            db.execute(f"INSERT INTO versions {columns} VALUES ('a', ?, 'index.ts', 'paste', 'p', 0)", (number,))
            columns = "(app_id, version, kind, status, started_at, finished_at)"
            values = (number, status, NOW + number, NOW + number + 0.5)
            db.execute(f"INSERT INTO deploys {columns} VALUES ('a', ?, 'deploy', ?, ?, ?)", values)

    old.write_now(write)
    old.close()
    new = Database(tmp_path / "steady.db", STEADY)
    try:
        found = asyncio.run(Versions(new).all("a"))
        assert [version.live_at for version in found] == [NOW + 3.5, None, NOW + 1.5]
    finally:
        new.close()


def test_versions_from_elsewhere_keep_their_numbers(database: Database) -> None:
    async def body() -> None:
        apps, versions = Apps(database), Versions(database)
        owner = await People(database).add_guest(NOW)
        app = await apps.create("hello", owner, False, NOW)
        draft = Draft("index.ts", Origin("paste", "first"), FILES, crons=(Cron("tick", "@daily", path="/"),))
        await versions.bring(app, owner, [Brought(3, draft, 1.0, 2.0, pinned=True), Brought(7, draft, 5.0, None)])
        found = await versions.one(app.id, 3)
        assert found is not None
        assert (found.origin.message, found.created_at, found.live_at, found.pinned) == ("first", 1.0, 2.0, True)
        assert (await versions.add(app, owner, draft, NOW)).number == 8
        await versions.drop_never_live(app.id)
        assert [version.number for version in await versions.all(app.id)] == [3]

    asyncio.run(body())


def test_versions_come_by_the_page_with_their_sizes(database: Database) -> None:
    async def body() -> None:
        apps, versions = Apps(database), Versions(database)
        owner = await People(database).add_guest(NOW)
        app = await apps.create("hello", owner, False, NOW)
        for count in (2, 1, 0, 2):
            await versions.add(app, owner, Draft("index.ts", Origin("paste"), FILES[:count]), NOW)
        page = await versions.page(app.id, 4, 2)
        assert [(each.version.number, each.files, each.bytes) for each in page] == [(3, 0, 0), (2, 1, 10)]
        (oldest,) = await versions.page(app.id, 2, 2)
        assert (oldest.version.number, oldest.bytes, oldest.version.files) == (1, 30, ())
        assert [await versions.before(app.id, number) for number in (4, 2, 1)] == [3, 1, 0]

    asyncio.run(body())
