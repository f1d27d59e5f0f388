from __future__ import annotations

import asyncio
from dataclasses import replace

from steadyd.moment import Drill, Stand
from steadyd.records.drills import DRILLS_PER_APP_MAX, Drills
from steadyd.store import Database
from tests.records.test_targets import an_app

STANDS = (Stand("data.sqlite", 3, 17), Stand("sub/more.sqlite", 4, 1))


def test_drills_come_back_as_they_were_and_the_newest_comes_first(database: Database) -> None:
    async def body() -> None:
        drills, first, second = Drills(database), await an_app(database), await an_app(database, "second")
        good = Drill(first, 100.0, True, 12.5, 99.0, "", True, STANDS)
        bad = replace(good, at=200.0, ok=False, problem="a file is missing", compared=False)
        for drill in (good, bad, replace(good, app_id=second)):
            await drills.add(drill)
        assert await drills.of(first) == [bad, good]
        assert await drills.last() == {first: bad, second: replace(good, app_id=second)}
        assert await drills.proven_at(first) == 100.0
        assert await drills.proven_at("nobody") is None

    asyncio.run(body())


def test_so_many_are_kept_and_always_the_last_good_one(database: Database) -> None:
    async def body() -> None:
        drills, app_id = Drills(database), await an_app(database)
        good = Drill(app_id, 1.0, True, 12.5, 99.0)
        await drills.add(good)
        for at in range(DRILLS_PER_APP_MAX + 5):
            await drills.add(replace(good, at=10.0 + at, ok=False, problem="it is away"))
        kept = await drills.of(app_id)
        assert len(kept) == DRILLS_PER_APP_MAX + 1
        assert kept[-1] == good
        assert await drills.proven_at(app_id) == 1.0

    asyncio.run(body())
