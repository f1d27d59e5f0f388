"""Where a draft lives: a folder with its files beside a copy of the app's data, and what is started in it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from dataclasses import replace

from steadyd.errors import SteadyError
from steadyd.model import App, Version
from steadyd.runner.candidate import Staged, Trials
from steadyd.runner.controller import suspended
from steadyd.runner.drafts import Drafts
from steadyd.runner.fleet import Fleet
from steadyd.runner.folder import Place, scratch_path
from steadyd.runner.ground import nothing_live
from steadyd.runner.kept import Copy, standing
from steadyd.runner.modules import modules_path
from steadyd.runner.preview import Data, Preview, network_of
from steadyd.runner.start import Plan
from steadyd.variables import Context

TURN_SECONDS_MAX = 10.0
"""For an operation on the app to end, before its data is copied."""
CONTEXT: Context = "preview"
"""Of its variables; its folders are named by it, too."""


class Lodging:
    """Makes them."""

    def __init__(self, fleet: Fleet, trials: Trials, drafts: Drafts) -> None:
        self._fleet = fleet
        self._ground = fleet.ground
        self._trials = trials
        self._installer = drafts.installer

    async def differs(self, app: App, data: Data) -> bool:
        """Whether the app's databases have changed since they were copied."""
        return await asyncio.to_thread(standing, self._ground.place(app).app, 0) != data.stood

    async def make(self, app: App, version: Version) -> Data:
        """A folder for `version`, with a new copy of what the app has written.

        Raises:
            SteadyError: `conflict` while something is done to the app, `suspended` if it is, `deploy_failed` where the
                data cannot be copied.
        """
        place = self._ground.place(app)
        scratch, copies = Place(scratch_path(place, CONTEXT), place.uid), list[Copy]()
        try:
            async with contextlib.AsyncExitStack() as turn:
                await self._have_turn(app, turn)
                now = await self._ground.apps.by_id(app.id)
                if now is not None and now.suspended:
                    raise suspended(now)
                live = await self._ground.versions.one(app.id, now.version) if now is not None else None
                if live is None:
                    raise nothing_live(app)
                stood = await asyncio.to_thread(standing, place.app, 0)
                copies = await self._trials.copies.make(place, scratch, live)
            await self.link(app, version, scratch)
        except BaseException:
            await self._ground.trash.throw(scratch.root)
            raise
        return Data(Staged(place, scratch, copies), stood)

    async def make_while(self, app: App, version: Version, checking: Awaitable[None]) -> Data:
        """The same, while `version` is checked; nothing of it stays where that refuses it.

        Raises:
            SteadyError: as `make`, or as `checking`.
        """
        making = asyncio.ensure_future(self.make(app, version))
        try:
            await checking
            return await making
        except BaseException:
            making.cancel()
            with contextlib.suppress(asyncio.CancelledError, SteadyError, OSError):
                await self._trials.throw((await making).staged)
            raise

    async def link(self, app: App, version: Version, scratch: Place) -> None:
        """Show `version` there; its dependencies stay as long as the folder does, whatever is deployed meanwhile."""
        await self._ground.link(app, version, scratch)
        if version.modules:
            await self._installer.lend(scratch, version.modules)

    async def plan(self, preview: Preview, version: Version, base: int, url: str) -> Plan:
        """What to start in the folder that `preview` has. `base` is the version that the draft is a change of.

        Raises:
            SteadyError: `secrets_locked` if the app's variables cannot be read.
        """
        assert preview.data is not None
        ground, app, scratch = self._ground, preview.app, preview.data.staged.scratch
        plan = await ground.plan(app, version, scratch, environment=CONTEXT)
        environ = {**plan.environ, "STEADY_URL": url, "STEADY_VERSION": str(base)}
        reach = replace(plan.reach, network=network_of(ground.settings(app, version)))
        modules = modules_path(scratch, version.modules) if version.modules else None
        return replace(plan, environ=environ, reach=reach, modules=modules, calls=False, sink=preview.scroll)

    # Private

    async def _have_turn(self, app: App, turn: contextlib.AsyncExitStack) -> None:
        try:
            async with asyncio.timeout(TURN_SECONDS_MAX):
                await turn.enter_async_context(self._fleet.turn(app))
        except TimeoutError:
            message = f"Something is being done to “{app.name}”. Try again when it is finished."
            raise SteadyError("conflict", message) from None
