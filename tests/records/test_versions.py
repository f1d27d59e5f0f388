"""Versions are numbered, immutable, and gone with their app."""

from __future__ import annotations

import asyncio

from steadyd.model import Commit, Draft, File, Origin
from steadyd.records.apps import Apps
from steadyd.records.people import People
from steadyd.records.versions import Versions
from steadyd.store import Database

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
