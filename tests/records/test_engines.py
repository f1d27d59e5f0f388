from __future__ import annotations

import asyncio
from pathlib import Path

from steadyd.records.library import open_library
from steadyd.records.schema import STEADY
from steadyd.store import Database


def test_what_is_known_is_of_one_version(tmp_path: Path) -> None:
    async def body() -> None:
        database = Database(tmp_path / "steady.db", STEADY)
        library = open_library(database)
        app = await library.apps.create("hello", await library.people.operator(1.0), False, 1.0)
        assert await library.engines.proven(app.id, 1) == ""
        await library.engines.prove(app.id, 1, "1.4.4")
        await library.engines.prove(app.id, 1, "1.5.0")
        assert await library.engines.proven(app.id, 1) == "1.5.0"
        await library.engines.prove(app.id, 2, "1.5.0")
        assert await library.engines.proven(app.id, 1) == ""
        await library.apps.remove(app.id, 2.0)
        assert await library.engines.proven(app.id, 2) == ""
        database.close()

    asyncio.run(body())
