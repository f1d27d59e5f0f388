"""Names of variables without a value."""

from __future__ import annotations

import asyncio

from steadyd.records.apps import Apps
from steadyd.records.blanks import Blank, Blanks
from steadyd.records.people import People
from steadyd.store import Database


def test_names_are_left_once_and_dropped(database: Database) -> None:
    async def body() -> None:
        apps, blanks = Apps(database), Blanks(database)
        app = await apps.create("hello", await People(database).add_guest(1.0), False, 1.0)
        await blanks.leave(app.id, {"KEY": True, "PLAIN": False}, 2.0)
        await blanks.leave(app.id, {"KEY": False}, 3.0)
        assert await blanks.of(app.id) == {"KEY": Blank(True, 2.0), "PLAIN": Blank(False, 2.0)}
        await blanks.drop(app.id, ["KEY", "OTHER"])
        assert set(await blanks.of(app.id)) == {"PLAIN"}
        await apps.remove(app.id, 4.0)
        assert await blanks.of(app.id) == {}

    asyncio.run(body())
