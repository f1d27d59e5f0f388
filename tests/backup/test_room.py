from __future__ import annotations

import asyncio
from pathlib import Path

from steadyd.backup.room import open_backups
from steadyd.runner.engine import Engine
from tests.runner.conftest import bun as bun
from tests.runner.conftest import root as root
from tests.runner.conftest import world


def test_the_rooms_are_open_inside(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here, open_backups(here.workshop) as backups:
            assert backups.workshop is here.workshop

    asyncio.run(body())
