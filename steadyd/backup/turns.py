"""What is to be done with each app, one thing at a time: now, or later."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

AGAIN_SECONDS = 0.2
"""Before what comes due while something else is under way is looked at again."""

Work = Callable[[], Coroutine[Any, Any, None]]

logger = logging.getLogger("steadyd.replication")


class Turns:
    """By key, a timer and a task at most."""

    def __init__(self) -> None:
        self._timers: dict[str, tuple[asyncio.TimerHandle, Work]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def later(self, key: str, seconds: float, work: Work) -> None:
        """Do that next, and nothing else that was to be done later."""
        self._forget(key)
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(seconds, self._fire, key), work

    def now(self, key: str, work: Work) -> None:
        """Do that, if nothing is under way or to be done later."""
        if not self.busy(key):
            self._begin(key, work)

    def at_once(self, key: str, work: Work) -> None:
        """Do that in the place of what was to be done later, if nothing is under way."""
        if key not in self._tasks:
            self._forget(key)
            self._begin(key, work)

    def waits(self, key: str) -> bool:
        """Whether something is to be done later."""
        return key in self._timers

    def busy(self, key: str) -> bool:
        """Whether something is under way, or to be done later."""
        return key in self._timers or key in self._tasks

    async def stop(self, key: str) -> None:
        """Nothing is to be done later, and nothing is under way any more."""
        self._forget(key)
        if (task := self._tasks.get(key)) is not None:
            task.cancel()
            await asyncio.wait({task})

    async def drain(self, seconds: float) -> None:
        """Do everything that was to be done later at once; end what is not done after `seconds`."""
        deadline = time.monotonic() + seconds
        while (self._timers or self._tasks) and (left := deadline - time.monotonic()) > 0:
            for key in [key for key in self._timers if key not in self._tasks]:
                self._fire(key)
            await asyncio.wait(self._tasks.values(), timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for key in [*self._timers, *self._tasks]:
            await self.stop(key)

    # Private

    def _forget(self, key: str) -> None:
        if key in self._timers:
            self._timers.pop(key)[0].cancel()

    def _fire(self, key: str) -> None:
        work = self._timers[key][1]
        if key in self._tasks:
            self.later(key, AGAIN_SECONDS, work)
        else:
            self._forget(key)
            self._begin(key, work)

    def _begin(self, key: str, work: Work) -> None:
        task = self._tasks[key] = asyncio.create_task(work())
        task.add_done_callback(lambda task: self._ended(key, task))

    def _ended(self, key: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the databases of %s: %r", key, error, exc_info=error)
