"""What nobody keeps goes: temporary apps whose time is over, deleted apps, names that were given up.

Moments are on record, by the wall clock, and a clock can be wrong: a machine starts in the year 1970 or 2038, and is
put right a little later. So after a start, and after each jump of the clock, nothing is removed for a while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime

from steadyd.errors import SteadyError
from steadyd.model import App, Kind, Principal
from steadyd.records.apps import deleting
from steadyd.runner.fleet import Fleet
from steadyd.runner.removal import Removal
from steadyd.terms import Fate

LOOK_SECONDS = 60.0
"""Between two looks at what is due, and so how late it goes at most."""
SETTLE_SECONDS = 600.0
"""For which nothing is removed after a start, and after a jump of the clock."""
JUMP_SECONDS = 60.0
"""Between two looks, wall clock and monotonic clock part by less, unless somebody set the one, or the machine slept."""
STEADYD = Principal("steadyd", Kind.OPERATOR, "steadyd", 0.0)
"""Who does it, in the journal."""

logger = logging.getLogger("steadyd.collection")


class Collection:
    """Looks at what is due, for ever."""

    def __init__(self, fleet: Fleet, removal: Removal, settle_seconds: float = SETTLE_SECONDS) -> None:
        self._fleet = fleet
        self._removal = removal
        self._apps = fleet.ground.apps
        self._settle_seconds = settle_seconds
        self._offset: float | None = None
        """Wall clock minus monotonic clock at the last look."""
        self._settled_at = 0.0
        """Monotonic: when the wall clock is believed."""

    async def run(self) -> None:
        while True:
            try:
                await self.tick(time.time(), time.monotonic())
            except Exception:
                logger.exception("what is due was not removed; it is tried again")
            await asyncio.sleep(LOOK_SECONDS)

    async def tick(self, now: float, monotonic: float) -> None:
        """Do what is due at `now` by the wall clock, if that can be believed."""
        if not self._believes(now, monotonic):
            return
        for deleted in (False, True):
            for app in await self._apps.everything(deleted):
                fate = self._apps.terms.fate(app, now)
                try:
                    if fate is Fate.EXPIRE:
                        await self._expire(app, now)
                    elif fate is Fate.COLLECT:
                        await self._removal.purge(STEADYD, app, self._apps.still(app.id, fate, now))
                        logger.info("collected %s: nothing of it is kept", app.name)
                except SteadyError as error:  # somebody kept it at this moment; or the disk is full, and it comes again
                    logger.info("%s was not removed: %s", app.name, error.message)
        if await self._fleet.ground.library.names.forget(now):
            await self._fleet.publish_routes()

    # Private

    def _believes(self, now: float, monotonic: float) -> bool:
        offset, before = now - monotonic, self._offset
        self._offset = offset
        if before is None or abs(offset - before) > JUMP_SECONDS:
            self._settled_at = monotonic + self._settle_seconds
            if before is not None:
                logger.info("the clock jumped by %.0f s: nothing is removed for a while", offset - before)
        return monotonic >= self._settled_at

    async def _expire(self, app: App, now: float) -> None:
        terms = self._apps.terms
        days, until = terms.temporary_seconds / 86_400, datetime.fromtimestamp(now + terms.temporary_seconds, UTC)
        told = (
            f"Stopped: it was temporary, and nobody edited it for {days:g} days. Until {until:%Y-%m-%d %H:%M} UTC it "
            "can be claimed or brought back, then nothing of it is kept."
        )
        due = self._apps.still(app.id, Fate.EXPIRE, now), deleting(app.id, now)
        await self._removal.delete(STEADYD, app, *due, told=told)
        logger.info("%s has expired", app.name)
