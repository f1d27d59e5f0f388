from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from steadyd.backup import remains as module
from steadyd.backup.objects import Objects
from steadyd.backup.remains import Remains
from steadyd.backup.target import Target, TargetKind
from steadyd.errors import SteadyError
from steadyd.records.lines import Lines
from steadyd.records.remains import Remains as Records
from steadyd.store import Database
from tests.records.test_targets import an_app


class Away(Objects):
    """A store that answers when it is told to."""

    away = True

    async def delete(self, keys: object, *, app_id: str = "") -> None:
        if self.away:
            raise SteadyError("replica_away", "no route")
        await super().delete(keys, app_id=app_id)  # type: ignore[arg-type]


class Followed:
    def __init__(self) -> None:
        self.forgotten: list[str] = []

    async def forget(self, app_id: str) -> None:
        self.forgotten.append(app_id)


async def eventually(left: Callable[[], Awaitable[list[str]]]) -> None:
    deadline = time.monotonic() + 10.0
    while await left():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_nothing_of_a_purged_app_stays_even_if_the_store_was_away(database: Database, tmp_path: Path) -> None:
    async def body() -> None:
        objects, followed = Away(Target(TargetKind.FILE, tmp_path)), Followed()
        app_id, other = await an_app(database), await an_app(database, "other")
        for one in (app_id, other):
            await Lines(database).open(one, "data.sqlite", 1, 0.0)
            for number in range(module.DELETED_AT_ONCE_MAX + 5 if one == app_id else 1):
                await objects.put(f"apps/{one}/00000001/1/ltx/0/{number:016x}-{number:016x}.ltx", b"x")
        remains = Remains(Records(database), objects, followed)
        await remains.leave(app_id)
        assert followed.forgotten == [app_id]
        assert await remains.remove() is True
        assert await Records(database).all() == [app_id]
        objects.away = False
        assert await remains.remove() is False
        assert [entry.key.split("/")[1] for entry in await objects.list("apps")] == [other]
        assert await Records(database).all() == []

    asyncio.run(body())


def test_it_tries_again_by_itself(database: Database, tmp_path: Path) -> None:
    async def body() -> None:
        objects = Away(Target(TargetKind.FILE, tmp_path))
        app_id = await an_app(database)
        await Lines(database).open(app_id, "data.sqlite", 1, 0.0)
        await objects.put(f"apps/{app_id}/00000001/1/ltx/0/1-1.ltx", b"x")
        remains = Remains(Records(database), objects, Followed())
        task = asyncio.create_task(remains.run())
        try:
            objects.away = False
            await remains.leave(app_id)
            await eventually(lambda: Records(database).all())
            assert await objects.list("apps") == []
        finally:
            task.cancel()

    asyncio.run(body())
