"""Every preview of this host: a draft started as a candidate is, beside what is live, on a copy of the data.

It is no version: nothing of it is in the records, it runs from source, crons never ask it, and what it says and what it
is asked stand in no log of the app's. Its contents leave the store once its folder has them. It has the app's limits,
its variables of the context `preview`, and the network that the app's trials may have.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from steadyd.errors import SteadyError
from steadyd.model import App, Event, Origin, Version
from steadyd.runner.blobs import Shelf
from steadyd.runner.candidate import Trials
from steadyd.runner.drafts import Drafts, Prepared
from steadyd.runner.failure import Failure, sentence
from steadyd.runner.fleet import Fleet
from steadyd.runner.ground import nothing_live
from steadyd.runner.instance import Instance
from steadyd.runner.lodging import CONTEXT, Lodging
from steadyd.runner.preview import Bounds, Preview, Started
from steadyd.runner.reserve import is_full
from steadyd.runner.scroll import Scrolls
from steadyd.runner.start import Plan

PREVIEWS_MAX = 16
"""Of all apps; one of each."""
PREVIEWS_PER_OWNER_MAX = 4
ORIGIN = Origin("merge")
ENDING = {
    "suspend": "The app was suspended.",
    "rename": "The app has another name.",
    "claim": "The app is somebody else's.",
}
"""Kinds of events → why a preview ends with them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be seen. `fresh`: on a new copy of the data, or as the last preview left its copy; None: a new one
    only where the app's databases have changed since that was made."""

    files: Mapping[str, bytes | None]
    merge: bool = False
    """`files` is what differs from the live version; `None` deletes one."""
    fresh: bool | None = None


class Previews:
    """Starts and ends them."""

    def __init__(self, fleet: Fleet, trials: Trials, drafts: Drafts, shelf: Shelf) -> None:
        self.scrolls = Scrolls()
        """What they say, also after their end."""
        self._fleet = fleet
        self._ground = fleet.ground
        self._trials = trials
        self._drafts = drafts
        self._lodging = Lodging(fleet, trials, drafts)
        self._shelf = shelf
        self.bounds = Bounds()
        self._open: dict[str, Preview] = {}
        self._starting: dict[str, asyncio.Task[Preview]] = {}
        self._wanted: dict[str, App] = {}
        """Those that start."""
        self._leaving: dict[str, asyncio.Future[None]] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._closed = False

    def of(self, app_id: str) -> Preview | None:
        """The preview that an app has."""
        return self._open.get(app_id)

    def serves(self, host: str) -> bool:
        """Whether a host name is a preview's."""
        return any(self._ground.urls.host(preview.label) == host for preview in self._open.values())

    def url(self, preview: Preview) -> str:
        return self._ground.urls.app(preview.label)

    async def start(self, app: App, wish: Wish) -> Preview:
        """Start a draft of `app`; the one that ran before ends, and keeps its host name.

        Raises:
            SteadyError: `deploy_failed` with step, reason, place and lines; `conflict`, `overloaded`, `disk_full`,
                `forbidden`, or anything that says that the files are no app.
        """
        self._check(app)
        self._wanted[app.id] = app
        task = self._starting[app.id] = asyncio.ensure_future(self._start(app, wish))
        try:
            return await task
        except asyncio.CancelledError:
            if not _ended(task):
                raise
            raise SteadyError("cancelled", "The preview was ended while it started.") from None
        except Failure as failure:
            raise failure.as_error("start") from failure
        except OSError as error:
            if not is_full(error):
                raise
            raise SteadyError("disk_full", "The server's disk is full. Free some space.") from error
        finally:
            del self._starting[app.id], self._wanted[app.id]

    async def end(self, app_id: str, why: str = "It was ended.") -> None:
        """Nothing of the app's preview is left when this returns, whether it runs or starts."""
        task = self._starting.get(app_id)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        self._let_go(app_id, why)
        if (leaving := self._leaving.get(app_id)) is not None:
            await asyncio.wait({leaving})

    def heard(self, app_id: str, event: Event) -> None:
        """Something happened to an app."""
        if event.kind in ENDING and (app_id in self._open or app_id in self._starting):
            self._later(self.end(app_id, ENDING[event.kind]))

    def relieve(self) -> None:
        """This machine is short of memory: end the one that nobody has asked for longest."""
        resting = [shown for shown in self._open.values() if shown.instance is not None and not shown.instance.claims]
        if resting:
            first = min(resting, key=lambda shown: shown.ends_at)
            self._later(self.end(first.app.id, "This machine is short of memory."))

    async def clear(self) -> None:
        """Let go of what an earlier daemon's previews left."""
        for left in await asyncio.to_thread(lambda: list(self._ground.folder.glob(f"*/scratch/{CONTEXT}-*"))):
            await self._ground.trash.throw(left)

    async def close(self) -> None:
        """The daemon ends: nothing starts any more."""
        self._closed = True
        for app_id in {*self._starting, *self._open}:
            await self.end(app_id, "This server stops.")
        while waits := {*self._work, *self._leaving.values()}:
            await asyncio.wait(waits)
        self.scrolls.feed.close()

    # Private

    def _check(self, app: App) -> None:
        """Whether one may be started now."""
        self._ground.check_may_run(app)
        self._ground.check_room()
        if self._closed:
            raise SteadyError("shutting_down", "This server is stopping. Try again soon.", retry_after=2)
        if app.id in self._starting:
            raise SteadyError("conflict", f"A preview of “{app.name}” is being started. Try again when it is there.")
        there = self._wanted | {app_id: preview.app for app_id, preview in self._open.items()}
        there.pop(app.id, None)
        if len(there) >= PREVIEWS_MAX:
            message = f"There are {PREVIEWS_MAX} previews on this host already. One ends when nobody looks at it."
            raise SteadyError("overloaded", message, retry_after=60)
        mine = sorted(other.name for other in there.values() if other.owner_id == app.owner_id)
        if len(mine) >= PREVIEWS_PER_OWNER_MAX:
            message = f"{PREVIEWS_PER_OWNER_MAX} apps of yours have a preview already: {', '.join(mine)}. End one."
            raise SteadyError("overloaded", message, retry_after=60)

    async def _start(self, app: App, wish: Wish) -> Preview:
        began = time.monotonic()
        live = await self._ground.versions.one(app.id, app.version)
        if live is None:
            raise nothing_live(app)
        said = self.scrolls.of(app.id) or self.scrolls.renew(app.id)
        tree, pinned = await self._drafts.tree(live, wish.files, wish.merge)
        tell = partial(said.say, app.id, 0)
        prepared = await self._drafts.prepare(app, tree, self._drafts.read(app, tree), pinned, tell)
        try:
            preview, plan, fresh = await self._settle(app, live, prepared, wish.fresh)
            instance = await self._ground.starter.start(plan, self._ground.timing.start_seconds)
        except BaseException:
            await self._give_up(app.id)
            raise
        settings = self._ground.settings(app, replace(live, shipped=prepared.manifest.choices))
        notes = (*prepared.notes, *_told(fresh, plan.reach.network is settings.network))
        preview.run(instance, Started(live.number, (time.monotonic() - began) * 1000, fresh, notes))
        self._later(self._watch(preview, instance, plan))
        return preview

    async def _settle(
        self, app: App, live: Version, prepared: Prepared, fresh: bool | None
    ) -> tuple[Preview, Plan, bool]:
        """The preview with its folder filled, and what to start in it; whether its data is a new copy."""
        contents: list[str] = []
        try:
            async with self._shelf.kept():
                draft = await self._drafts.keep(prepared, ORIGIN)
                contents += [file.sha256 for file in draft.files]
                version = Version(
                    app.id, 0, draft.entry, ORIGIN, draft.files, time.time(), app.owner_id, draft.modules,
                    draft.shipped, draft.bun,
                )  # fmt: skip
                checking = partial(self._trials.check, app, live, version, keep=False)
                preview, is_fresh = await self._stage(app, version, fresh, checking)
                return preview, await self._lodging.plan(preview, version, live.number, self.url(preview)), is_fresh
        finally:
            await self._shelf.let_go(contents)

    async def _stage(
        self, app: App, version: Version, fresh: bool | None, checking: Callable[[], Awaitable[None]]
    ) -> tuple[Preview, bool]:
        """The preview with its folder filled, and whether its data is a new copy. Whoever asks it waits from now on;
        what `checking` refuses leaves it as it was.

        Raises:
            SteadyError: as `Lodging.make`, or as `checking`.
        """
        former, lodging = self._open.get(app.id), self._lodging
        held = former.data if former is not None else None
        if held is not None and fresh is None:
            fresh = await lodging.differs(app, held)
        if former is not None and held is not None and not fresh:
            await checking()
            former.scroll = self.scrolls.renew(app.id)
            await former.hold()
            await lodging.link(app, version, held.staged.scratch)
            return former, False
        data, timing = await lodging.make_while(app, version, checking()), self._ground.timing
        scroll = self.scrolls.renew(app.id)
        preview = former or Preview(app, scroll, self.bounds, timing.waiters_max, timing.start_seconds)
        preview.scroll = scroll
        await preview.hold()
        preview.data = data
        self._open[app.id] = preview
        self._publish()
        if held is not None:
            await self._trials.throw(held.staged)
        return preview, True

    async def _give_up(self, app_id: str) -> None:
        """What waits for a draft that does not start waits no more; one that runs or has died stays as it is."""
        preview = self._open.get(app_id)
        if preview is None or preview.instance is not None or preview.death:
            return
        self._let_go(app_id, "It did not start.")
        await asyncio.wait({self._leaving[app_id]})

    def _let_go(self, app_id: str, why: str) -> None:
        """Nobody reaches it any more; the rest takes a moment, whoever waits for it."""
        preview = self._open.pop(app_id, None)
        if preview is None:
            return
        self._publish()
        leaving = self._leaving[app_id] = asyncio.ensure_future(_leave(self._trials, preview, why))
        leaving.add_done_callback(lambda done: self._leaving.pop(app_id) if self._leaving[app_id] is done else None)

    async def _watch(self, preview: Preview, instance: Instance, plan: Plan) -> None:
        """Notice its end, and end the preview when nobody asks it any more."""
        ended, renewed = instance.process.ended, preview.renewed
        waits: set[asyncio.Future[Any]] = {ended, renewed}
        while not renewed.done() and (left := preview.ends_at - time.monotonic()) > 0:
            await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if ended in waits and ended.done() and not renewed.done():
                waits.discard(ended)
                await self._bury(preview, instance, plan)
        if not renewed.done():
            await self.end(plan.app_id, "Nobody looked at it any more.")

    async def _bury(self, preview: Preview, instance: Instance, plan: Plan) -> None:
        uptime = instance.uptime_seconds or 0.0
        await instance.gone()
        if preview.instance is instance:
            preview.died(_why(instance, plan, uptime))
            preview.scroll.say(plan.app_id, 0, f"The draft ended: {preview.death}")

    def _publish(self) -> None:
        self._fleet.show({self._ground.urls.host(preview.label): preview for preview in self._open.values()})

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)


# Private


def _ended(task: asyncio.Task[Preview]) -> bool:
    """Whether it was cancelled by `end`, and not with whoever waits for it."""
    current = asyncio.current_task()
    return task.cancelled() and current is not None and not current.cancelling()


async def _leave(trials: Trials, preview: Preview, why: str) -> None:
    await preview.end(why)
    if preview.data is not None:
        await trials.throw(preview.data.staged)


def _why(instance: Instance, plan: Plan, uptime: float) -> str:
    """One sentence."""
    ended = instance.process.ended.result()
    cause = "exit" if ended.signal is None else "signal"
    lines, evidence = list(instance.pump.recent), instance.evidence(plan.limits)
    failure = Failure(cause, f"it ended with {ended}.", uptime, ended, None, lines, evidence)
    return sentence(failure, "")


def _told(fresh: bool, own_network: bool) -> list[str]:
    said = "a copy of the data, as of now" if fresh else "the copy of the data that the last preview left"
    told = [f"It runs on {said}."]
    return told if own_network else [*told, "It reaches no network: that is how this app's trials are set."]
