"""Work that would be too much at once: a few at a time, some more in line, and the next is told to come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from steadyd.errors import SteadyError


class Turns:
    """`at_once` callers inside, `waiting` in line. `what` names the work for who is sent away."""

    def __init__(self, at_once: int, waiting: int, what: str) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._most = at_once + waiting
        self._what = what
        self._there = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it inside the block.

        Raises:
            SteadyError: `overloaded` past the line's end.
        """
        if self._there >= self._most:
            raise SteadyError("overloaded", f"Too many {self._what} are asked for at once. Try again.", retry_after=2)
        self._there += 1
        try:
            async with self._slots:
                yield
        finally:
            self._there -= 1
