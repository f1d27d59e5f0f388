"""Who hears from the fleet what becomes of an app, and says where everything stands that it keeps."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from steadyd.backup.durability import Barriers
from steadyd.errors import SteadyError
from steadyd.model import App, AppState, Durability, Event
from steadyd.moment import Mark, Point, PointKind, PointState, Stand
from steadyd.proxy.service import Barrier
from steadyd.records.points import Points

TOUCH_UP_SECONDS_MAX = 1.0
"""For files that changed since they were captured last, while requests may wait."""
APPROACH_SECONDS_MAX = 10.0
"""For the same, while the app still answers."""
NOTE_CHARACTERS_MAX = 200


class Stands(Protocol):
    """Databases: whoever replicates them."""

    def turned(self, app_id: str, state: AppState) -> None: ...

    def asked(self, app_id: str) -> None: ...

    async def stand(self, app_id: str) -> tuple[Stand, ...]:
        """Where each database of the app stands; nothing waits for the object store."""


class Files(Protocol):
    """Other files: whoever captures them."""

    def turned(self, app_id: str, state: AppState) -> None: ...

    def happened(self, app_id: str, event: Event) -> None: ...

    async def touch_up(self, app: App, seconds: float) -> tuple[str, float]:
        """Manifest and time of a capture of the app's files as they are now or, if that would take longer, of the
        newest there is; ("", 0) if there is none."""


class Keeping:
    """What the fleet calls its keeper."""

    def __init__(
        self,
        points: Points,
        stands: Stands,
        files: Files,
        tell: Callable[[str, str], None],
        barriers: Barriers | None = None,
    ) -> None:
        self._points = points
        self._stands = stands
        self._files = files
        self._tell = tell
        """(app id, sentence) into the app's history."""
        self._barriers = barriers
        """None where no answer waits for a replica."""
        self.on_point: Callable[[], None] = lambda: None
        """Called when there is a new restore point to pin."""
        self.on_gone: Callable[[str], Awaitable[None]] = _nothing_is_left
        """Called when an app goes, before its row and its folder do."""

    def turned(self, app_id: str, state: AppState) -> None:
        self._stands.turned(app_id, state)
        self._files.turned(app_id, state)

    def pointed(self) -> None:
        self.on_point()

    def happened(self, app_id: str, event: Event) -> None:
        self._files.happened(app_id, event)

    def asked(self, app_id: str) -> None:
        self._stands.asked(app_id)

    def barrier(self, app_id: str, durability: Durability) -> Barrier | None:
        return self._barriers.of(app_id, durability) if self._barriers is not None else None

    async def settle(self, app_id: str) -> None:
        if self._barriers is not None:
            await self._barriers.settle(app_id)

    def close(self) -> None:
        """The daemon stops: no answer waits any more."""
        if self._barriers is not None:
            self._barriers.close()

    async def forget(self, app_id: str) -> None:
        await self.on_gone(app_id)

    async def approach(self, app: App) -> None:
        """Databases are synced and files captured while the app still answers: what is left for `mark` is little."""
        with contextlib.suppress(SteadyError):
            await self._stands.stand(app.id)
        await self._files.touch_up(app, APPROACH_SECONDS_MAX)

    async def mark(self, app: App) -> Mark | None:
        """Where everything that the app keeps stands now. What keeps it may be away: then an app goes on without a
        restore point, and its history says so."""
        try:
            return await self._mark(app)
        except SteadyError as error:
            self._tell(app.id, f"There is no restore point of this moment: {error.message}")
            return None

    async def point(self, app: App, kind: PointKind, by: str, note: str = "") -> Point:
        """A restore point of now, whether the app runs or sleeps. Each database is at one moment; between two that are
        written at once lie milliseconds.

        Raises:
            SteadyError: where the databases stand cannot be had now.
        """
        mark, note = await self._mark(app), note[:NOTE_CHARACTERS_MAX]
        made = await self._points.add(Point(0, app.id, kind, mark, by, note, app.version, None, PointState.PENDING))
        self.on_point()
        return made

    # Private

    async def _mark(self, app: App) -> Mark:
        began = time.time()  # what is committed by now is in it; a running app may commit more until it is known
        stands = await self._stands.stand(app.id)
        return Mark(began, stands, *await self._files.touch_up(app, TOUCH_UP_SECONDS_MAX))


async def _nothing_is_left(app_id: str) -> None:
    pass
