"""A version that fails right after it went live is given up, once, for the one before it: code and variables, not
data. An operation like any other, by the app's owner, who is told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.model import App, AppState, Deploy
from steadyd.runner.deploy import RETREAT, Deployer, Manner
from steadyd.runner.fleet import Fleet
from steadyd.runner.operation import Operations
from steadyd.variables import UNCHANGED, Change

RECENT_SECONDS_MAX = 60.0
"""Since a version went live; one that fails later had its trial in the world."""

logger = logging.getLogger("steadyd.retreat")


@dataclass(frozen=True, slots=True)
class Retreat:
    """From which version to which, and how long the first was live."""

    failed: int
    back_to: int
    seconds: float


def retreat(deploys: Sequence[Deploy], now: float) -> Retreat | None:
    """Where to go back to, or None to stay. `deploys` are the app's, newest first.

    It is done once for each going live: not again after one that failed, nor away from where one led.
    """
    newest = next((deploy for deploy in deploys if deploy.status == "live"), None)
    if newest is None or newest.finished_at is None or deploys[0].kind == RETREAT:
        return None
    before = [deploy for deploy in deploys if deploy.status == "live" and deploy.version != newest.version]
    seconds = now - newest.finished_at
    return Retreat(newest.version, before[0].version, seconds) if before and seconds <= RECENT_SECONDS_MAX else None


class Retreats:
    """Told of each app that is given up."""

    def __init__(self, fleet: Fleet, operations: Operations, deployer: Deployer) -> None:
        self._fleet = fleet
        self._ground = fleet.ground
        self._operations = operations
        self._deployer = deployer
        self._under_way: set[asyncio.Task[None]] = set()

    def failed(self, app_id: str) -> None:
        """Go back, if that is the thing to do. Never waits, never raises."""
        task = asyncio.ensure_future(self._operations.to_the_end(self._consider(app_id)))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    # Private

    async def _consider(self, app_id: str) -> None:
        try:
            app = await self._ground.apps.by_id(app_id)
            found = retreat(await self._ground.journal.deploys(app_id), time.time())
            if app is not None and found is not None and app.settings.auto_rollback and app.version == found.failed:
                await self._go(app, found)
        except SteadyError as error:
            logger.warning("%s stays as it is: %s", app_id, error.message)
        except Exception:
            logger.exception("%s stays as it is", app_id)

    async def _go(self, app: App, found: Retreat) -> None:
        owner = await self._ground.library.people.by_id(app.owner_id)
        runtime = self._fleet.runtime(app.id)
        if owner is None or runtime is None or runtime.state is not AppState.FAILED:
            return
        because = f"version {found.failed} was not started any more {found.seconds:.0f} s after it went live"
        manner = Manner(False, await self._variables(app, found.back_to), because=because)
        await self._deployer.retreat(owner, app, found.failed, found.back_to, manner)

    async def _variables(self, app: App, version: int) -> Change:
        """Those with which the version ran last, if they are still known."""
        try:
            return await self._ground.library.environment.back_to(app.id, version)
        except SteadyError as error:
            if error.code != "not_found":
                raise
            return UNCHANGED
