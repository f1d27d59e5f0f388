"""One value holds every noun's records."""

from __future__ import annotations

import asyncio

from steadyd.records.library import open_library
from steadyd.settings import Policy
from steadyd.store import Database


def test_all_records_are_of_one_database(database: Database) -> None:
    async def body() -> None:
        library = open_library(database, Policy(idle_seconds=7.0))
        app = await library.apps.create("hello", await library.people.operator(1.0), False, 1.0)
        assert app.settings.idle_seconds == 7.0
        assert not await library.versions.all(app.id)
        assert not await library.journal.deploys(app.id)
        assert not await library.targets.of(app.id)

    asyncio.run(body())
