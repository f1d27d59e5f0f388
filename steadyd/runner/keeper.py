"""The seam between what runs apps and what keeps their data elsewhere (`backup/`, which knows this room; this room does
not know it)."""

from __future__ import annotations

from typing import Protocol

from steadyd.model import App, AppState, Durability, Event
from steadyd.moment import Mark, Point, PointKind
from steadyd.proxy.service import Barrier
from steadyd.runner.folder import Place
from steadyd.store import Write


class Keeper(Protocol):
    """Whoever keeps apps' data."""

    def turned(self, app_id: str, state: AppState) -> None:
        """An app's state is another now. Called on the event loop, inside the change: must not block or raise."""

    def pointed(self) -> None:
        """There is a new restore point in the records. As `turned`."""

    def happened(self, app_id: str, event: Event) -> None:
        """Something is new in an app's history. As `turned`."""

    def asked(self, app_id: str) -> None:
        """The last request that an instance had was answered: a good moment to look what it wrote. As `turned`."""

    def barrier(self, app_id: str, durability: Durability) -> Barrier | None:
        """What the app's answers wait for from now on, if they wait. As `turned`."""

    async def settle(self, app_id: str) -> None:
        """Return when what an app wrote by now, and what is recorded of it, is kept elsewhere too: asked of apps whose
        answers wait for that. Raises SteadyError `not_replicated`."""

    async def forget(self, app_id: str) -> None:
        """The app goes for good: nothing of it is to stay elsewhere either. Its row and its folder go next."""

    async def approach(self, app: App) -> None:
        """`mark` is near, and the app still answers: what can be done before, is. Does not raise."""

    async def mark(self, app: App) -> Mark | None:
        """Where everything that the app keeps stands now. Called while nothing of it runs and requests wait at its
        gate, so it must be quick: nothing waits for an object store here. None where nothing is kept."""

    async def point(self, app: App, kind: PointKind, by: str, note: str = "") -> Point | None:
        """A restore point of now, whether the app runs or sleeps, before somebody called `by` changes its data. None
        where nothing is kept.

        Raises:
            SteadyError: where the app's data stands cannot be had now; then it is not to be changed.
        """


class Exchange(Protocol):
    """Other data for an app, ready beside what is live. Every step can be repeated, and interrupted anywhere."""

    @property
    def scratch(self) -> Place:
        """Where it is ready, as the app will find it."""

    @property
    def writes(self) -> tuple[Write, ...]:
        """What is true with it, in the same transaction as the change."""

    async def put_in(self) -> None:
        """Nothing runs in the app's folder: what is live goes aside, and the other data takes its place."""

    async def put_back(self) -> None:
        """The change did not come to be: everything is as it was."""

    async def done(self) -> None:
        """The change is committed."""


class NoKeeper:
    """Nothing is kept: on a laptop, in a trial, and in tests of other things."""

    def turned(self, app_id: str, state: AppState) -> None:
        pass

    def pointed(self) -> None:
        pass

    def happened(self, app_id: str, event: Event) -> None:
        pass

    def asked(self, app_id: str) -> None:
        pass

    def barrier(self, app_id: str, durability: Durability) -> Barrier | None:
        return None

    async def settle(self, app_id: str) -> None:
        pass

    async def forget(self, app_id: str) -> None:
        pass

    async def approach(self, app: App) -> None:
        pass

    async def mark(self, app: App) -> Mark | None:
        return None

    async def point(self, app: App, kind: PointKind, by: str, note: str = "") -> Point | None:
        return None
