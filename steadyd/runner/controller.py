"""The one controller: how anything about a running app is changed without losing a request.

    hold      every request waits at the gate
    drain     the old instance finishes its answers, and is gone
    swap      the folder shows the new code, the new instance starts, and the records say so
    release   the gate opens

Deploy, rollback, restart, another environment, other settings and another name are all this one recipe: `swap`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from steadyd.errors import SteadyError
from steadyd.model import App, AppState, Choices, Event, Limits, Principal, Version
from steadyd.moment import PointKind
from steadyd.records.apps import choosing, holding
from steadyd.records.points import adding
from steadyd.runner.app import AT_REST, AppRuntime, settle
from steadyd.runner.confined import caps, limit_files
from steadyd.runner.failure import Failure
from steadyd.runner.fleet import Fleet
from steadyd.runner.ground import nothing_live
from steadyd.runner.instance import Instance, pids_of
from steadyd.runner.keeper import Exchange
from steadyd.runner.operation import Operation, Operations
from steadyd.runner.start import Plan
from steadyd.store import Write

SUSPEND, RESUME = "suspend", "resume"
"""The two kinds of operation on an app that is suspended."""
POINTED = {kind.value: kind for kind in (PointKind.DEPLOY, PointKind.ROLLBACK, PointKind.RESTORE, PointKind.CLAIM)}
"""Kinds of operation → the restore point that is made at their swap, of what was before."""


@dataclass(frozen=True, slots=True)
class Turn:
    """An operation whose turn it is: the app as the records have it now, and nothing else changes it."""

    operation: Operation
    runtime: AppRuntime
    app: App
    live: Version | None
    """The live version; None before an app's first deploy has ended."""

    @property
    def version(self) -> Version:
        """The live version of an app that has one."""
        assert self.live is not None
        return self.live


class Controller:
    """Changes apps that exist, one operation at a time for each."""

    def __init__(self, fleet: Fleet, operations: Operations) -> None:
        self.operations = operations
        self.fleet = fleet
        self._ground = fleet.ground

    @asynccontextmanager
    async def turn(self, by: Principal, app: App, kind: str, first: bool = False) -> AsyncIterator[Turn]:
        """An operation on an app, once it is its turn. `first`: the app may have no live version yet.

        Raises:
            SteadyError: `not_found` if the app was deleted meanwhile, `conflict` if nothing of it is live yet,
                `suspended` if it is: then only the operator puts it back.
        """
        async with self.operations.open(app, kind, by) as operation:
            await self._present(app, kind)
            async with self.fleet.turn(app) as runtime:
                now = await self._present(app, kind)
                live = await self._ground.versions.one(app.id, now.version)
                if live is None and not first:
                    raise nothing_live(app)
                yield Turn(operation, runtime, now, live)

    async def swap(
        self, turn: Turn, version: Version, plan: Plan, *writes: Write, data: Exchange | None = None
    ) -> tuple[str, ...]:
        """Hold, drain, swap, release. Where the new instance does not start, the old one is what starts again. With
        `data` the app finds other data than it left; what it left is a restore point, as it is before a deploy.

        Returns the paths of files that the app had written and that are put aside, because `version` ships one of that
        name.

        Raises:
            Failure: it did not become ready; nothing is changed.
        """
        operation, runtime, former = turn.operation, turn.runtime, turn.runtime.plan
        if self._points(turn):
            await self.fleet.keeper.approach(turn.app)
        operation.cancellable = False
        async with contextlib.AsyncExitStack() as held:
            async with operation.step("drain"):
                await held.enter_async_context(runtime.swap())
            async with operation.step("switch"):
                try:
                    pointing = await self._pointing(turn)
                    if data is not None:
                        await data.put_in()
                    aside = await self._ground.link(turn.app, version)
                    await runtime.adopt(plan)
                    await operation.commit(*pointing, *writes, *(data.writes if data is not None else ()))
                except BaseException:
                    await runtime.sleep()
                    if data is not None:
                        await data.put_back()
                    if turn.live is not None:
                        await self._ground.link(turn.app, turn.live)
                    runtime.plan = former
                    raise
                if data is not None:
                    await data.done()
        self.fleet.keeper.pointed()
        return tuple(aside)

    async def swap_live(self, turn: Turn, plan: Plan, *writes: Write, data: Exchange | None = None) -> None:
        """The same for the version that is live already.

        Raises:
            SteadyError: `deploy_failed` where it does not start that way; nothing is changed.
        """
        try:
            await self.swap(turn, turn.version, plan, *writes, data=data)
        except Failure as failure:
            raise _unchanged(failure, turn.app.name) from failure

    async def exchange(self, turn: Turn, data: Exchange) -> None:
        """Give the live version other data: by a swap, or at rest where it is held.

        Raises:
            SteadyError: `deploy_failed` where it does not start on it; nothing is changed.
        """
        plan = await self._ground.plan(turn.app, turn.version)
        if not turn.app.held:
            await self.swap_live(turn, plan, data=data)
            return
        async with turn.operation.step("switch"), turn.runtime.swap():
            pointing = await self._pointing(turn)
            try:
                await data.put_in()
                await self._ground.link(turn.app, turn.version)
                await turn.operation.commit(*pointing, *data.writes)
            except BaseException:
                await data.put_back()
                raise
            await data.done()
        self.fleet.keeper.pointed()

    async def become(self, turn: Turn, plan: Plan, *writes: Write, fits: bool = False) -> None:
        """Make `writes` true of the live version: at once where nothing runs, or what runs `fits` already; else with a
        fresh instance, made by `plan`. One that was not started since the daemon's start is prepared when it is.

        Raises:
            SteadyError: `deploy_failed` where it does not start that way; nothing is changed.
        """
        if not fits and turn.runtime.state not in AT_REST:
            await self.swap_live(turn, plan, *writes)
            return
        await turn.operation.commit(*await self._pointing(turn), *writes)
        self.fleet.keeper.pointed()
        if turn.runtime.plan is not None:
            turn.runtime.plan = plan

    async def change(
        self, by: Principal, app: App, kind: str, plan: Callable[[App, Version], Awaitable[Plan]], *writes: Write
    ) -> App:
        """Make `writes` true of the live version, with a fresh instance of it, made by `plan`. An app that sleeps is
        started, to see that it still does; one that is held stays so.

        Raises:
            SteadyError: `deploy_failed` where it does not start that way; nothing is changed.
        """

        async def work() -> App:
            async with self.turn(by, app, kind) as turn:
                wanted = await plan(turn.app, turn.version)
                await (self.become if turn.app.held else self.swap_live)(turn, wanted, *writes)
            return await self._changed(turn.app, kind, by)

        return await self.operations.to_the_end(work())

    async def record(self, by: Principal, app: App, kind: str, *writes: Write) -> App:
        """Make `writes` true, without another instance; the routes follow."""

        async def work() -> App:
            async with self.turn(by, app, kind) as turn:
                await turn.operation.commit(*writes)
            await self.fleet.publish_routes()
            return await self._changed(turn.app, kind, by)

        return await self.operations.to_the_end(work())

    async def settle(self, by: Principal, app: App, wish: Callable[[Choices], Choices]) -> App:
        """Change what the owner set: limits and sleep at once, what a running instance cannot take with a fresh one.

        Raises:
            SteadyError: whatever `wish` says, or `deploy_failed` where it does not start that way; nothing is changed.
        """
        if self.fleet.runtime(app.id) is None or not app.version:  # its first deploy reads them at its end
            await self._ground.apps.write(choosing(app.id, wish))
            return await self._ground.apps.by_id(app.id) or app

        async def work() -> App:
            async with self.turn(by, app, "settings") as turn:
                chosen = wish(turn.app.chosen)
                settings = self._ground.apps.policy.settings(chosen, turn.app.shipped, turn.app.owner_kind)
                wanted = replace(turn.app, chosen=chosen, settings=settings)
                await self._settle(turn, wanted, choosing(app.id, wish))
                settle(turn.runtime, settings)
            return await self._ground.apps.by_id(app.id) or app

        return await self.operations.to_the_end(work())

    async def start(self, by: Principal, app: App) -> None:
        """Wake it, after a hold or a failure too; returns when it answers.

        Raises:
            SteadyError: `app_failed` with reason and log lines for its owner.
        """

        async def work() -> None:
            async with self.turn(by, app, "start") as turn, turn.operation.step("start"):
                await _wake(turn)

        await self.operations.to_the_end(work())

    async def stop(self, by: Principal, app: App, hold: bool) -> None:
        """Put it to sleep now; with `hold` it stays down until it is started."""

        async def work() -> None:
            async with self.turn(by, app, "stop") as turn:
                async with turn.operation.step("drain"):
                    await turn.runtime.sleep(hold)
                await turn.operation.commit(*([holding(app.id, True)] if hold else []))

        await self.operations.to_the_end(work())

    async def restart(self, by: Principal, app: App) -> None:
        """A fresh instance of the same version; requests wait at the gate meanwhile.

        Raises:
            SteadyError: `app_failed` with reason and log lines for its owner.
        """

        async def work() -> None:
            async with self.turn(by, app, "restart") as turn:
                turn.operation.cancellable = False
                async with turn.operation.step("drain"), turn.runtime.swap():
                    pass
                async with turn.operation.step("switch"):
                    await _wake(turn)

        await self.operations.to_the_end(work())

    async def suspension(self, by: Principal, app: App, kind: str, *writes: Write) -> App:
        """Take an app out of service (SUSPEND), or put it back, asleep (RESUME): as the records say once `writes` are
        true, since its owner may be suspended too. What is under way for an app that goes is cancelled, where it can
        be: it does not go on serving until a build has ended."""

        async def work() -> App:
            if kind == SUSPEND:
                self.operations.cancel_all(app.id)
            if self.fleet.runtime(app.id) is None:
                await self._ground.apps.write(*writes)
            else:
                async with self.turn(by, app, kind, first=True) as turn, turn.operation.step(kind):
                    await turn.operation.commit(*writes)
                    now = await self._present(app, kind)
                    if now.suspended or turn.runtime.state is AppState.SUSPENDED:
                        await turn.runtime.sleep(now.held, bool(now.suspended))
            now = await self._ground.apps.by_id(app.id) or app
            said = f"Suspended by the operator: {now.suspended}" if now.suspended else "No longer suspended."
            self.fleet.note(app.id, Event(time.time(), kind, said))
            return now

        return await self.operations.to_the_end(work())

    # Private

    async def _present(self, app: App, kind: str) -> App:
        now = await self._ground.apps.by_id(app.id)
        if now is None or now.deleted_at is not None:
            raise SteadyError("not_found", f"“{app.name}” does not exist any more.")
        if now.owner_id != app.owner_id:  # claimed since it was decided who may
            raise SteadyError("not_found", f"“{app.name}” is somebody else's by now.")
        if now.suspended and kind not in (SUSPEND, RESUME):
            raise suspended(now)
        return now

    def _points(self, turn: Turn) -> bool:
        """Whether a restore point goes with it."""
        return turn.operation.kind in POINTED and turn.live is not None

    async def _pointing(self, turn: Turn) -> list[Write]:
        """The restore point that goes with a change after which its owner may want what was before."""
        if not self._points(turn):
            return []
        mark = await self.fleet.keeper.mark(turn.app)
        if mark is None:
            return []
        return [adding(turn.operation.point(POINTED[turn.operation.kind], mark, turn.version.number))]

    async def _settle(self, turn: Turn, wanted: App, write: Write) -> None:
        runtime, plan = turn.runtime, await self._ground.plan(wanted, turn.version)
        same = runtime.plan is None or (runtime.plan.tier, runtime.plan.reach) == (plan.tier, plan.reach)
        await self.become(turn, plan, write, fits=_cap(runtime.instance, wanted.limits) and same)

    async def _changed(self, app: App, kind: str, by: Principal) -> App:
        self.fleet.note(app.id, Event(time.time(), kind, f"Changed by {by.name}: {kind}."))
        return await self._ground.apps.by_id(app.id) or app


def suspended(app: App) -> SteadyError:
    """What the owner of a suspended app is told."""
    return SteadyError("suspended", f"“{app.name}” is suspended: {app.suspended}", {"reason": app.suspended})


# Private


async def _wake(turn: Turn) -> None:
    """Until it answers; one that was held and does not start is held again."""
    try:
        await turn.runtime.wake()
    except SteadyError:
        if turn.app.held:
            await turn.runtime.sleep(hold=True)
        raise
    await turn.operation.commit(holding(turn.app.id, False))


def _unchanged(failure: Failure, name: str) -> SteadyError:
    told = failure.as_error("switch")
    message = f"“{name}” does not start that way, so nothing was changed. {told.message}"
    return SteadyError(told.code, message, told.details)


def _cap(instance: Instance | None, limits: Limits) -> bool:
    """Give a running instance other limits; false if it uses more memory than they allow: then it takes a fresh one."""
    try:
        if instance is not None and instance.group is not None:
            instance.group.cap(caps(limits))
            limit_files(pids_of(instance), limits.disk_bytes)
    except SteadyError:
        return False
    return True
