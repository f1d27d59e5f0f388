from __future__ import annotations

import asyncio
from dataclasses import replace

from steadyd.moment import Capture, Mark, Point, PointKind, PointState
from steadyd.records.captures import Captures
from steadyd.records.points import Points
from steadyd.store import Database
from tests.records.test_targets import an_app


def test_a_state_is_one_row_however_often_it_is_seen(database: Database) -> None:
    async def body() -> None:
        captures, app_id = Captures(database), await an_app(database)
        assert await captures.newest(app_id) is None
        first = await captures.add(Capture(0, app_id, 10.0, "a" * 64, 2, 20, 10.0, 1))
        again = await captures.add(Capture(0, app_id, 15.0, "a" * 64, 2, 20, 15.0, 1))
        assert again == replace(first, seen_at=15.0)
        other = await captures.add(Capture(0, app_id, 20.0, "b" * 64, 2, 21, 20.0, 1, "too large: x"))
        back = await captures.add(Capture(0, app_id, 30.0, "a" * 64, 2, 20, 30.0, 1))
        assert await captures.of(app_id) == [back, other, again]
        assert await captures.newest(app_id) == back
        assert await captures.all_newest() == {app_id: back}
        assert await captures.apps() == [app_id]
        assert [await captures.before(app_id, at) for at in (9.0, 12.0, 20.0, 29.0, 99.0)] == [
            None, again, other, other, back,
        ]  # fmt: skip

    asyncio.run(body())


def test_one_that_began_before_the_newest_was_seen_is_nothing(database: Database) -> None:
    async def body() -> None:
        captures, app_id = Captures(database), await an_app(database)
        newest = await captures.add(Capture(0, app_id, 20.0, "b" * 64, 1, 1, 20.0))
        assert await captures.add(Capture(0, app_id, 19.0, "a" * 64, 1, 1, 19.0)) == newest
        assert await captures.of(app_id) == [newest]

    asyncio.run(body())


def test_lists_are_needed_by_captures_and_by_points(database: Database) -> None:
    async def body() -> None:
        captures, points, app_id = Captures(database), Points(database), await an_app(database)
        made = [
            await captures.add(Capture(0, app_id, float(at), word * 64, 1, 1, float(at)))
            for at, word in enumerate(("a", "b", ""))
        ]
        for manifest in ("a" * 64, "c" * 64, ""):
            mark = Mark(1.0, (), manifest, 1.0)
            await points.add(Point(0, app_id, PointKind.MANUAL, mark, "ada", "", 1, None, PointState.PENDING))
        assert await captures.manifests() == {"a" * 64, "b" * 64, "c" * 64}
        await captures.forget([made[0].id, made[1].id])
        assert await captures.manifests() == {"a" * 64, "c" * 64}
        assert await captures.of(app_id) == [made[2]]

    asyncio.run(body())
