from __future__ import annotations

import asyncio

import pytest

from steadyd.errors import SteadyError
from steadyd.reach import Target
from steadyd.records.apps import Apps
from steadyd.records.people import People
from steadyd.records.targets import TARGETS_MAX, Targets
from steadyd.store import Database

DATABASE, MODEL = Target("10.0.0.5", 5432), Target("host", 11434)


async def an_app(database: Database, name: str = "hello") -> str:
    operator = await People(database).operator(0.0)
    return (await Apps(database).create(name, operator, False, 0.0)).id


def test_they_are_kept_once_each_and_in_order(database: Database) -> None:
    async def body() -> None:
        targets, app_id = Targets(database), await an_app(database)
        other = await an_app(database, "other")
        assert await targets.add(app_id, MODEL) == (MODEL,)
        assert await targets.add(app_id, DATABASE) == (DATABASE, MODEL)
        assert await targets.add(app_id, DATABASE) == (DATABASE, MODEL)
        assert (await targets.of(app_id), await targets.of(other)) == ((DATABASE, MODEL), ())
        assert await targets.everything() == {app_id: (DATABASE, MODEL)}
        assert await targets.remove(app_id, DATABASE) == (MODEL,)
        with pytest.raises(SteadyError, match="not open") as caught:
            await targets.remove(app_id, DATABASE)
        assert caught.value.code == "not_found"

    asyncio.run(body())


def test_an_app_has_so_many(database: Database) -> None:
    async def body() -> None:
        targets, app_id = Targets(database), await an_app(database)
        for port in range(1, TARGETS_MAX + 1):
            await targets.add(app_id, Target("10.0.0.5", port))
        with pytest.raises(SteadyError, match="at most 32"):
            await targets.add(app_id, MODEL)
        assert len(await targets.of(app_id)) == TARGETS_MAX

    asyncio.run(body())
