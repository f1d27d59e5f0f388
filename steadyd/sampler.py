"""The loop that reads what running apps use, off the event loop; sleeping ones are not asked."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from steadyd.errors import SteadyError
from steadyd.records.metrics import Metrics, Reading

READ_SECONDS = 10.0

Readings = Mapping[str, Callable[[], Reading | None]]

logger = logging.getLogger("steadyd.sampler")


class Sampler:
    """`readings` tells for each app that runs now how to read what it uses, which is done in a thread."""

    def __init__(self, metrics: Metrics, readings: Callable[[], Readings]) -> None:
        self._metrics = metrics
        self._readings = readings
        self._thread = ThreadPoolExecutor(1, "sampler")

    async def run(self) -> None:
        """The loop; cancelled at the daemon's stop."""
        while True:
            await asyncio.sleep(READ_SECONDS)
            try:
                await self.tick(time.time())
            except Exception:
                logger.exception("a look at what the apps use failed; the next follows")

    async def tick(self, now: float) -> None:
        """Read once. `now` is seconds since 1970."""
        await asyncio.wrap_future(self._thread.submit(self._sample, self._readings(), now))

    async def close(self) -> None:
        """Keep what was read."""
        await asyncio.wrap_future(self._thread.submit(self._sample, {}, time.time()))
        self._thread.shutdown(wait=True)

    # Private

    def _sample(self, readings: Readings, now: float) -> None:
        for app_id, read in readings.items():
            if (reading := read()) is not None:
                self._metrics.observe(app_id, reading, now)
        try:
            self._metrics.settle(readings.keys(), now)
        except SteadyError as error:
            logger.warning("samples were lost: %s", error.message)
