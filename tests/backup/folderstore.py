"""An object store that is a folder, and can be away, or take its time, whenever a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from steadyd.backup.objects import Objects
from steadyd.backup.target import Target, TargetKind
from steadyd.errors import SteadyError

T = TypeVar("T")


class FolderStore(Objects):
    """The real door, with somebody before it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Target(TargetKind.FILE, folder))
        self.away = False
        self.holding: asyncio.Event | None = None
        """Calls wait for it, if there is one."""
        self.calls = self.waiting = self.most = 0
        """How many there were, wait now, and waited at once."""

    def path(self, key: str) -> Path:
        return self.target.path / key

    async def put_file(self, key: str, path: Path, *, link: bool = False, app_id: str = "") -> None:
        await self._before()
        await super().put_file(key, path, link=link, app_id=app_id)

    async def _ask(self, app_id: str, call: Callable[[], Awaitable[T]], seconds: float | None) -> T:
        await self._before()
        return await super()._ask(app_id, call, seconds)

    async def _before(self) -> None:
        self.calls += 1
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            if self.holding is not None:
                await self.holding.wait()
        finally:
            self.waiting -= 1
        if self.away:
            raise SteadyError("replica_away", "The object store cannot be reached.")
