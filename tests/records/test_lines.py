from __future__ import annotations

import asyncio

from steadyd.records.lines import Lines, ending
from steadyd.store import Database
from tests.records.test_targets import an_app


def test_a_database_has_one_open_line_until_it_ends(database: Database) -> None:
    async def body() -> None:
        lines, app_id = Lines(database), await an_app(database)
        first = await lines.open(app_id, "data.sqlite", 1, 10.0)
        assert await lines.open(app_id, "data.sqlite", 1, 11.0) == first
        other = await lines.open(app_id, "more.sqlite", 1, 11.0)
        await lines.write(ending(app_id, 12.0, ["data.sqlite", "never.sqlite"]))
        second = await lines.open(app_id, "data.sqlite", 1, 13.0)
        assert second.id not in (first.id, other.id)
        found = await lines.of(app_id)
        assert [(line.path, line.began_at, line.ended_at) for line in found] == [
            ("data.sqlite", 10.0, 12.0),
            ("more.sqlite", 11.0, None),
            ("data.sqlite", 13.0, None),
        ]
        assert await lines.one(other.id) == other
        assert await lines.one(99) is None
        await lines.write(ending(app_id, 14.0))
        assert [line.ended_at for line in await lines.of(app_id)] == [12.0, 14.0, 14.0]

    asyncio.run(body())


def test_another_epoch_is_another_line(database: Database) -> None:
    async def body() -> None:
        lines, app_id = Lines(database), await an_app(database)
        first = await lines.open(app_id, "data.sqlite", 1, 10.0)
        second = await lines.open(app_id, "data.sqlite", 2, 20.0)
        assert first.id != second.id
        assert [(line.epoch, line.ended_at) for line in await lines.of(app_id)] == [(1, 20.0), (2, None)]

    asyncio.run(body())
