from __future__ import annotations

import asyncio

from steadyd.model import Draft, File, Origin
from steadyd.records.apps import Apps
from steadyd.records.contents import Contents
from steadyd.records.people import People
from steadyd.records.versions import Versions, went_live
from steadyd.store import Database
from tests.records.test_targets import an_app

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)


async def ship(database: Database, app_id: str, contents: dict[str, int], live: bool = True) -> int:
    """A version with these contents."""
    app, by = await Apps(database).by_id(app_id), await People(database).operator(0.0)
    assert app is not None
    files = tuple(File(sha256, sha256, size) for sha256, size in contents.items())
    made = await Versions(database).add(app, by, Draft("index.ts", Origin("paste"), files), 1.0)
    if live:
        await database.write(went_live(app_id, made.number, 2.0, list))
    return made.number


def test_what_a_version_needs_and_is_not_there_is_wanted_what_is_live_first(database: Database) -> None:
    async def body() -> None:
        contents, app_id = Contents(database), await an_app(database)
        await ship(database, app_id, {A: 1, B: 2})
        second = await ship(database, app_id, {B: 2, C: 3})
        await ship(database, app_id, {D: 4}, live=False)
        await database.write(lambda db: db.execute("UPDATE apps SET version = ?", (second,)))
        assert await contents.amount_wanted() == (3, 6)
        assert await contents.wanted(10) == {B: app_id, C: app_id}
        assert len(await contents.wanted(1)) == 1
        await contents.add({B: 2, C: 3}, 5.0)
        assert await contents.wanted(10) == {A: app_id}
        assert await contents.among([A, B, D]) == {B}
        await contents.add({A: 1}, 5.0)
        assert (await contents.wanted(10), await contents.amount_wanted()) == ({}, (0, 0))

    asyncio.run(body())


def test_what_is_asked_for_is_spared_as_if_it_were_new(database: Database) -> None:
    async def body() -> None:
        contents, app_id = Contents(database), await an_app(database)
        await ship(database, app_id, {D: 4})
        await contents.add({A: 1, B: 1, C: 1, D: 4}, 10.0)
        assert await contents.page("", 2, 99.0) == [A, B]
        assert await contents.page(B, 9, 99.0) == [C, D]
        assert await contents.held([A, "e" * 64], 100.0, 50.0) == {A}
        assert await contents.page("", 9, 99.0) == [B, C, D]
        assert await contents.forget([A, B, D], 99.0) == [B], "A was asked for, D is a version's"
        assert await contents.held([A, B], 100.0, 50.0) == {A}

    asyncio.run(body())


def test_what_the_store_says_is_true_of_what_is_old(database: Database) -> None:
    async def body() -> None:
        contents = Contents(database)
        lost, young, other = "aa" + "1" * 62, "aa" + "2" * 62, "ab" + "3" * 62
        await contents.add({lost: 1, other: 1}, 10.0)
        await contents.add({young: 1}, 30.0)
        found = "aa" + "f" * 62
        assert await contents.correct("aa", {found: 7}, 20.0, 40.0) == 1
        assert await contents.among([lost, young, other, found]) == {young, other, found}

    asyncio.run(body())
