from __future__ import annotations

import asyncio

from steadyd.moment import Stand
from steadyd.records.stands import Rested, Stands
from steadyd.store import Database
from tests.records.test_targets import an_app


def test_what_is_kept_is_all_that_the_app_has(database: Database) -> None:
    async def body() -> None:
        stands, app_id = Stands(database), await an_app(database)
        other = await an_app(database, "other")
        first, second = Rested(Stand("b.db", 2, 7), "x", 10.0), Rested(Stand("a.db", 1, 3), "y", 11.0, 4)
        await stands.keep(app_id, [first, second])
        assert await stands.of(app_id) == [second, first]
        await stands.keep(app_id, [first])
        assert (await stands.of(app_id), await stands.of(other)) == ([first], [])

    asyncio.run(body())
