from __future__ import annotations

import asyncio

from steadyd.records.epochs import Epochs
from steadyd.store import Database


def test_each_target_has_its_newest_epoch(database: Database) -> None:
    """And no number is used for two."""

    async def body() -> None:
        epochs = Epochs(database)
        assert (await epochs.current("file:///a"), await epochs.highest()) == (0, 0)
        await epochs.add(1, "file:///a", 10.0)
        await epochs.add(2, "s3://b", 11.0)
        await epochs.add(3, "file:///a", 12.0)
        assert await epochs.current("file:///a") == 3
        assert await epochs.current("s3://b") == 2
        assert await epochs.highest() == 3
        await epochs.add(3, "file:///moved", 13.0)
        assert (await epochs.current("file:///a"), await epochs.current("file:///moved")) == (1, 3)

    asyncio.run(body())
