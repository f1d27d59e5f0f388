"""What a purged app leaves in the object store is removed there: at once, or when the store can be reached again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Protocol

from steadyd.backup import layout
from steadyd.backup.objects import Objects
from steadyd.errors import SteadyError
from steadyd.records.remains import Remains as Records

DELETED_AT_ONCE_MAX = 1_000
"""As many objects as S3 takes in one call."""
RETRY_SECONDS = 60.0
"""While the store is away."""

logger = logging.getLogger("steadyd.remains")


class Unfollowed(Protocol):
    """Whoever replicates the live databases."""

    async def forget(self, app_id: str) -> None: ...


class Remains:
    """Of all apps that are gone."""

    def __init__(self, records: Records, objects: Objects, followed: Unfollowed) -> None:
        self._records = records
        self._objects = objects
        self._followed = followed
        self._new = asyncio.Event()

    async def leave(self, app_id: str) -> None:
        """The app goes, with its folder: nobody follows it any more, and what is kept of it elsewhere is to go."""
        await self._followed.forget(app_id)
        await self._records.add(app_id, time.time())
        self._new.set()

    async def run(self) -> None:
        """Remove what is left, for ever."""
        while True:
            self._new.clear()
            waiting = await self.remove()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS if waiting else None):
                    await self._new.wait()

    async def remove(self) -> bool:
        """Remove what can be removed now; true if the store was away, and something is left."""
        for app_id in await self._records.all():
            try:
                keys = [entry.key for entry in await self._objects.list(layout.app(app_id))]
                for start in range(0, len(keys), DELETED_AT_ONCE_MAX):
                    await self._objects.delete(keys[start : start + DELETED_AT_ONCE_MAX])
            except SteadyError as error:
                logger.warning("what is left of a purged app stays in the backup for now: %s", error.message)
                return True
            await self._records.gone(app_id)
        return False
