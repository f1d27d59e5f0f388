from __future__ import annotations

import asyncio

from steadyd.model import AppState, Durability
from steadyd.moment import PointKind
from steadyd.runner.keeper import Keeper, NoKeeper


def test_where_nothing_is_kept_there_is_neither_mark_nor_point() -> None:
    keeper: Keeper = NoKeeper()
    keeper.turned("a", AppState.RUNNING)
    keeper.asked("a")
    assert keeper.barrier("a", Durability.REPLICA) is None
    asyncio.run(keeper.settle("a"))
    assert asyncio.run(keeper.mark(None)) is None  # type: ignore[arg-type]
    assert asyncio.run(keeper.point(None, PointKind.SQL, "ada")) is None  # type: ignore[arg-type]
