"""How an app goes: deleted for a while, brought back, or purged without a trace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace

from steadyd.model import App, Event, Principal
from steadyd.moment import PointKind
from steadyd.records.apps import deleting, same_owner
from steadyd.runner.blobs import Shelf
from steadyd.runner.fleet import Fleet
from steadyd.runner.operation import Operation, Operations
from steadyd.store import Write

PURGE = "purge"


class Removal:
    """Deletes apps, brings them back, and forgets them."""

    def __init__(self, fleet: Fleet, operations: Operations, shelf: Shelf) -> None:
        self._fleet = fleet
        self._operations = operations
        self.shelf = shelf
        self._ground = fleet.ground

    async def delete(self, by: Principal, app: App, *writes: Write, told: str = "") -> None:
        """Stop it at once. Code, data and name stay for an undelete. `writes` come first, and may say no; its history
        says what `told` says."""
        await self._operations.to_the_end(self._delete(by, app, writes, told or f"Deleted by {by.name}."))

    async def undelete(self, by: Principal, app: App) -> None:
        """Bring a deleted app back, asleep.

        Raises:
            SteadyError: `app_limit` for a guest, `not_found` while it is purged.
        """
        async with self._operations.open(app, "undelete", by) as operation:
            await operation.commit(same_owner(app), self._ground.apps.bringing_back(app.id, time.time()))
            await self._fleet.add(replace(app, deleted_at=None))
            await self._fleet.publish_routes()
        self._fleet.note(app.id, Event(time.time(), "undelete", f"Brought back by {by.name}."))

    async def purge(self, by: Principal, app: App, *writes: Write) -> None:
        """Stop it and keep nothing: no process, file, log line or row. `writes` come first, and may say no."""
        await self._operations.to_the_end(self._purge(by, app, writes))

    async def forget(self, app: App) -> None:
        """Nothing is kept of the app; its row goes last, so that an interrupted end is found and finished."""
        await self._fleet.remove(app.id)
        await self._ground.logs.flush()  # its last lines, or they would come while the folder goes
        await asyncio.to_thread(self._ground.forget, app.id)
        await self._fleet.keeper.forget(app.id)
        await self._ground.trash.throw(self._ground.place(app).root)
        await self._ground.apps.remove(app.id, time.time())

    # Private

    async def _delete(self, by: Principal, app: App, writes: Iterable[Write], told: str) -> None:
        async with self._operations.open(app, "delete", by) as operation:
            runtime = await self._fleet.add(app)
            async with runtime.operation:
                await self._stop(operation, app, writes)
                await self._point(operation, app)
        self._fleet.note(app.id, Event(time.time(), "delete", told))

    async def _point(self, operation: Operation, app: App) -> None:
        """Nothing runs: where its data stands is kept as long as the app is."""
        mark = await self._fleet.keeper.mark(app)
        if mark is not None:
            await self._ground.library.points.add(operation.point(PointKind.DELETE, mark, app.version))
            self._fleet.keeper.pointed()

    async def _purge(self, by: Principal, app: App, writes: Iterable[Write]) -> None:
        async with self._operations.open(app, PURGE, by) as operation:
            runtime = await self._fleet.add(app)
            async with runtime.operation:
                await self._stop(operation, app, writes)
                async with operation.step("remove"):
                    await self.forget(app)
        await self.shelf.tidy()
        await self._ground.tidy_modules()

    async def _stop(self, operation: Operation, app: App, writes: Iterable[Write]) -> None:
        """It is deleted from here on: nothing runs, and no route leads to it."""
        async with operation.step("stop"):
            await operation.commit(same_owner(app), *writes, deleting(app.id, time.time()))
            await self._fleet.remove(app.id)
            await self._fleet.publish_routes()
