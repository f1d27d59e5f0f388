"""Versions are numbered, immutable, and gone with their app."""

from __future__ import annotations

import asyncio

from steadyd.model import Draft, File
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
        first = await versions.add(app, owner, Draft("index.ts", "paste", FILES), NOW)
        second = await versions.add(app, owner, Draft("", "archive", FILES[:1]), NOW)
        assert (first.number, second.number) == (1, 2)
        assert await versions.one(app.id, 1) == first
        assert await versions.one(app.id, 3) is None
        assert [version.number for version in await versions.all(app.id)] == [2, 1]
        assert await versions.contents_in_use() == {"a" * 64, "b" * 64}
        unchanged = await apps.by_id(app.id)
        assert unchanged
        assert unchanged.version == 0

    asyncio.run(body())


def test_a_removed_app_leaves_no_version(database: Database) -> None:
    async def body() -> None:
        apps, versions = Apps(database), Versions(database)
        owner = await People(database).add_guest(NOW)
        app = await apps.create("hello", owner, False, NOW)
        await versions.add(app, owner, Draft("index.ts", "paste", FILES), NOW)
        await apps.remove(app.id)
        assert (await apps.by_id(app.id), await versions.all(app.id)) == (None, [])
        assert await versions.contents_in_use() == set()

    asyncio.run(body())
