"""Waiting for a state of things that only events change: no polling, no time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Watch:
    """Conditions that are looked at again after each change. Used on one event loop."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; it is checked now and at each `changed`."""
        while not condition():
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting

    def changed(self) -> None:
        """Something is different now."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
