from __future__ import annotations

import asyncio
from dataclasses import replace

from steadyd.moment import Mark, Point, PointKind, PointState, Stand
from steadyd.records.points import Points, adding
from steadyd.store import Database
from tests.records.test_targets import an_app

MARK = Mark(100.0, (Stand("data.sqlite", 3, 17), Stand("sub/more.sqlite", 4, 1)), "ab" * 32, 99.5)


def test_a_point_comes_back_as_it_was_and_the_newest_comes_first(database: Database) -> None:
    async def body() -> None:
        points, app_id = Points(database), await an_app(database)
        point = Point(0, app_id, PointKind.DEPLOY, MARK, "ada", "", 3, None, PointState.PENDING)
        first = await points.add(point)
        manual = replace(point, kind=PointKind.MANUAL, note="before the move", mark=replace(MARK, at=200.0))
        await database.write(adding(manual))
        newest, oldest = await points.of(app_id)
        assert oldest == first == replace(point, id=first.id)
        assert newest == replace(manual, id=newest.id)
        assert await points.one(app_id, first.id) == first
        assert await points.one("somebody", first.id) is None

    asyncio.run(body())


def test_it_waits_until_somebody_says_what_became_of_it(database: Database) -> None:
    async def body() -> None:
        points, app_id = Points(database), await an_app(database)
        made = [
            await points.add(Point(0, app_id, PointKind.SQL, MARK, "ada", "", 1, None, PointState.PENDING))
            for _ in range(3)
        ]
        await points.settle(made[0].id, PointState.PINNED)
        await points.settle(made[1].id, PointState.BROKEN, "a file is missing")
        assert [point.id for point in await points.pending()] == [made[2].id]
        assert (await points.one(app_id, made[1].id)) == replace(
            made[1], state=PointState.BROKEN, problem="a file is missing"
        )
        await points.forget(made[2].id)
        assert await points.pending() == []
        assert len(await points.of(app_id)) == 2

    asyncio.run(body())
