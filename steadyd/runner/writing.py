"""Writing to an app's databases from outside of it: a restore point, then one transaction.

While the app runs, its database is open twice, and SQLite's own locks stand between the two, as between any two
connections: the app's writes wait for ours and ours for the app's, each as long as its busy timeout says, and in WAL
mode no read waits for anything. So a write of a moment needs no gate. One that may take longer than an app's busy
timeout would fail the app's writes; for such a one requests are held at the gate, and nothing runs.

It is the app's turn meanwhile, like any operation: no swap or restore puts other files in the place of these.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from steadyd.errors import SteadyError
from steadyd.model import App, Principal
from steadyd.moment import Point, PointKind
from steadyd.runner.controller import Controller, Turn
from steadyd.runner.query import UNSEEN

SQL = "sql"
"""The kind of operation that writes to a database."""
POINT, WRITE = "point", "write"
"""Its steps."""
UNSEEN_END = SteadyError(
    "shutting_down", "The daemon stopped while this was written: it is in the database whole, or not at all."
)
"""Of one that a crash of the daemon ended: its child died with it, at a moment that nobody saw."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a child answered that wrote, and the restore point of what was before."""

    answer: dict[str, Any]
    point: Point | None


Work = Callable[[Turn], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class How:
    """`note` says of what the restore point is; without `point` there is none, where somebody does without. `hold`:
    nothing of the app runs meanwhile."""

    note: str
    hold: bool = False
    point: bool = True


class Writing:
    """Writes to databases of apps that exist."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    async def write(self, by: Principal, app: App, work: Work, how: How) -> Written:
        """Have children write: once, or not at all.

        Raises:
            SteadyError: what `work` says, `disk_full` or `conflict`, or why there can be no restore point; then nothing
                was written. Only where its details have `written`, nobody saw whether it was.
        """
        return await self._controller.operations.to_the_end(self._do(by, app, work, how))

    # Private

    async def _do(self, by: Principal, app: App, work: Work, how: How) -> Written:
        self._controller.fleet.ground.check_room()
        async with self._controller.turn(by, app, SQL) as turn:
            operation = turn.operation
            operation.cancellable = False
            async with contextlib.AsyncExitStack() as held:
                if how.hold:
                    async with operation.step("drain"):
                        await held.enter_async_context(turn.runtime.swap())
                async with operation.step(POINT):
                    point = await self._point(turn, how.note) if how.point else None
                async with operation.step(WRITE):
                    answer = await self._written(turn, work, point)
            await operation.commit()
        self._controller.fleet.keeper.asked(app.id)
        return Written(answer, point)

    async def _point(self, turn: Turn, note: str) -> Point | None:
        try:
            return await self._controller.fleet.keeper.point(turn.app, PointKind.SQL, turn.operation.by, note)
        except SteadyError as error:
            said = f"No restore point can be made, so nothing was written. {error.message} “point”: false does without."
            raise SteadyError(error.code, said, error.details, error.retry_after) from error

    async def _written(self, turn: Turn, work: Work, point: Point | None) -> dict[str, Any]:
        """What was refused changed nothing, so nobody will want what was before it."""
        try:
            return await work(turn)
        except SteadyError as error:
            if point is not None and UNSEEN not in error.details:
                await self._controller.fleet.ground.library.points.forget(point.id)
            raise
