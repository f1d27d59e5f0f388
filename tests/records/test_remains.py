from __future__ import annotations

import asyncio

from steadyd.records.apps import Apps
from steadyd.records.lines import Lines
from steadyd.records.remains import Remains
from steadyd.store import Database
from tests.records.test_targets import an_app


def test_what_was_replicated_outlives_its_app_until_it_is_removed(database: Database) -> None:
    async def body() -> None:
        remains, apps = Remains(database), Apps(database)
        kept, never = await an_app(database), await an_app(database, "other")
        await Lines(database).open(kept, "data.sqlite", 1, 0.0)
        for app_id in (kept, never):
            await remains.add(app_id, 5.0)
            await remains.add(app_id, 6.0)
            await apps.remove(app_id, 7.0)
        assert await remains.all() == [kept]
        await remains.gone(kept)
        assert await remains.all() == []

    asyncio.run(body())
