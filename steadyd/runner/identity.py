"""Who an app is: its name and its owner. An instance knows its name, and has what its owner may use, from its start on:
so whatever of the two changes, a running app gets a fresh one, and no request is lost."""

from __future__ import annotations

import time
from dataclasses import replace

from steadyd.model import App, Event, Principal
from steadyd.records.apps import moved, same_owner
from steadyd.runner.app import settle
from steadyd.runner.controller import Controller, Turn
from steadyd.store import Write

RENAME, CLAIM = "rename", "claim"


class Identity:
    """Changes names and owners."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._fleet = controller.fleet
        self._ground = controller.fleet.ground

    async def rename(self, by: Principal, app: App, name: str) -> App:
        """Give an app another name; the old one leads on to it for a while. A sleeping app sleeps on.

        Raises:
            SteadyError: `invalid_name`, `name_taken`, or `deploy_failed` where a running one does not start again;
                nothing is changed.
        """
        write = self._ground.library.names.rename(app.id, name, time.time())
        if name == app.name:
            return app

        async def work() -> App:
            async with self._controller.turn(by, app, RENAME) as turn:
                await self._become(turn, replace(turn.app, name=name), write)
            return await self._told(app, RENAME, f"Renamed from “{app.name}” to “{name}” by {by.name}.")

        return await self._controller.operations.to_the_end(work())

    async def claim(self, to: Principal, app: App) -> App:
        """The app is `to`'s from now on, and stays: no longer temporary, with an account's limits, at the same URL. One
        that has expired comes back."""

        async def work() -> App:
            now = time.time()
            writes = same_owner(app), moved(app.id, to, now), self._ground.apps.bringing_back(app.id, now)
            if app.deleted_at is not None:
                async with self._controller.operations.open(app, CLAIM, to) as operation:
                    await operation.commit(*writes)
                await self._fleet.add(await self._ground.apps.by_id(app.id) or app)
            else:
                async with self._controller.turn(to, app, CLAIM) as turn:
                    policy, kind = self._ground.apps.policy, to.kind
                    settings = policy.settings(turn.app.chosen, turn.app.shipped, kind)
                    wanted = replace(turn.app, owner_id=to.id, owner_name=to.name, owner_kind=kind, settings=settings)
                    await self._become(turn, wanted, *writes)
            return await self._told(app, CLAIM, f"Claimed by {to.name}: it stays.")

        return await self._controller.operations.to_the_end(work())

    # Private

    async def _become(self, turn: Turn, wanted: App, *writes: Write) -> None:
        """Make `writes` true, and what runs the app that they say it is."""
        await self._controller.become(turn, await self._ground.plan(wanted, turn.version), *writes)
        settle(turn.runtime, wanted.settings)

    async def _told(self, app: App, kind: str, message: str) -> App:
        await self._fleet.publish_routes()
        self._fleet.note(app.id, Event(time.time(), kind, message))
        return await self._ground.apps.by_id(app.id) or app
