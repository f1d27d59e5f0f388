"""Going back: other data made ready beside what is live, checked, and swapped in like a new version.

What was live becomes a restore point in the same swap, so every restore can be undone by another. Nothing is changed
where anything of it fails.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from steadyd.backup.aims import Aim
from steadyd.backup.data import Written
from steadyd.backup.exchange import Exchange
from steadyd.model import App, Event, Principal
from steadyd.moment import PointState, Stand
from steadyd.records.lines import ending
from steadyd.runner.controller import Controller, Turn
from steadyd.runner.copies import Snapshot
from steadyd.runner.deploy import Preparing
from steadyd.runner.folder import Place, scratch_path

RESTORE = "restore"
LEAVE_SECONDS_MAX = 5.0
"""For what was written last to reach the replica, while requests wait."""
CATCH_UP_SECONDS_MAX = 60.0
"""The same, while the app still answers."""


class Source(Protocol):
    """Where the data of a moment comes from (`backup/data.py`)."""

    @property
    def files(self) -> Written: ...

    async def put_into(self, aim: Aim, place: Place, told: Callable[[str], None]) -> Snapshot: ...


class Followed(Protocol):
    """Whoever replicates the live databases."""

    async def sync(self, app_id: str, seconds: float) -> tuple[Stand, ...]: ...

    async def let_go(self, app_id: str) -> None: ...

    def follow(self, app_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Went:
    """A restore that came to be. `undo` is the restore point of what was live before; None if there was no data."""

    app: App
    aim: Aim
    undo: int | None


class Restores:
    """Restores apps' data."""

    def __init__(self, controller: Controller, data: Source, followed: Followed) -> None:
        self._controller = controller
        self._ground = controller.fleet.ground
        self._data = data
        self._followed = followed

    async def restore(self, by: Principal, app: App, aim: Callable[[App], Awaitable[Aim]]) -> Went:
        """Bring back what `aim` finds once it is this app's turn. The code and the variables stay.

        Raises:
            SteadyError: what `aim` says, `backup_broken`, `replica_away`, or `deploy_failed` where the live version
                does not start on that data; nothing is changed.
        """

        async def work() -> Went:
            async with self._controller.turn(by, app, RESTORE) as turn:
                wanted = await aim(turn.app)
                async with self.ready(turn, wanted) as data:
                    await self._controller.exchange(turn, data)
                undo = await self._undo(turn)
            said = (
                f"Data of {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(wanted.at))} UTC brought back by {by.name}."
            )
            self._controller.fleet.note(app.id, Event(time.time(), RESTORE, said, {"point": undo}))
            return Went(await self._ground.apps.by_id(app.id) or app, wanted, undo)

        return await self._controller.operations.to_the_end(work())

    def preparing(self, aim: Callable[[App], Awaitable[Aim]]) -> Preparing:
        """The same for a deploy, which tries the code on that data first."""

        @asynccontextmanager
        async def prepare(turn: Turn) -> AsyncIterator[Exchange]:
            async with self.ready(turn, await aim(turn.app)) as data:
                yield data

        return prepare

    def bringing(self, fill: Callable[[Place], Awaitable[object]]) -> Preparing:
        """The same with data from elsewhere, which `fill` puts into a place of the app's uid."""
        return partial(self._ready, fill=fill)

    def ready(self, turn: Turn, aim: Aim) -> AbstractAsyncContextManager[Exchange]:
        """The data of `aim`, ready to be put in; thrown away at the end, or what it replaced is."""

        async def fill(scratch: Place) -> None:
            await shipped(aim, turn.app.id, self._followed)
            await self._data.put_into(aim, scratch, turn.operation.tell)

        return self._ready(turn, fill)

    # Private

    @asynccontextmanager
    async def _ready(self, turn: Turn, fill: Callable[[Place], Awaitable[object]]) -> AsyncIterator[Exchange]:
        app, operation = turn.app, turn.operation
        place = self._ground.place(app)
        scratch = Place(scratch_path(place, RESTORE), place.uid)
        try:
            async with operation.step("fetch"):
                await fill(scratch)
            await self._followed.sync(app.id, CATCH_UP_SECONDS_MAX)
            await self._data.files.capture(app)

            async def leave() -> None:
                await self._followed.sync(app.id, LEAVE_SECONDS_MAX)
                await self._followed.let_go(app.id)

            yield Exchange(place, scratch, operation.id, leave, ending(app.id, time.time()))
        finally:
            self._followed.follow(app.id)
            await self._ground.trash.throw(scratch.root)

    async def _undo(self, turn: Turn) -> int | None:
        """The restore point that this operation's swap made."""
        points = await self._ground.library.points.of(turn.app.id)
        return next((point.id for point in points if point.operation == turn.operation.id), None)


async def shipped(aim: Aim, app_id: str, followed: Followed) -> None:
    """Return once the replica has what `aim` needs: a restore point of a moment ago may still be on its way there.

    Raises:
        SteadyError: `replica_away`.
    """
    if aim.point is not None and aim.point.state is PointState.PENDING:
        await followed.sync(app_id, CATCH_UP_SECONDS_MAX)
