"""The apps on this host: which of them run, and the table from host name to app that the data plane looks up."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psutil

from steadyd.errors import SteadyError, plain
from steadyd.feed import Feed
from steadyd.model import App, AppState, Death, Durability, Event
from steadyd.proxy.service import Service
from steadyd.records.journal import WAKE
from steadyd.records.metrics import Reading
from steadyd.runner.app import AppRuntime, Tell, settle
from steadyd.runner.core import Core
from steadyd.runner.folder import Place
from steadyd.runner.ground import Ground, nothing_live
from steadyd.runner.instance import Instance
from steadyd.runner.keeper import Keeper, NoKeeper
from steadyd.runner.networks import Networks
from steadyd.runner.pressure import Resting, is_short, to_stop
from steadyd.runner.start import Plan

TICK_SECONDS = 1.0
STOPS_AT_ONCE_MAX = 64

logger = logging.getLogger("steadyd.fleet")


@dataclass(frozen=True, slots=True)
class Routes:
    """What every host name leads to, whole."""

    apps: Mapping[str, AppRuntime]
    moved: Mapping[str, str]
    """Host name that an app gave up → the app's origin now."""
    previews: Mapping[str, Service] = field(default_factory=dict)
    """Those of drafts, which are no app's."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What an app uses now, and how often it was asked since the daemon started."""

    memory_bytes: int
    cpu_seconds: float
    requests: int


class Fleet:
    """Every app of this host by its id. `on_routes` gets the whole new table after each change, `on_event` what happens
    to an app; neither may block."""

    def __init__(
        self,
        ground: Ground,
        on_routes: Callable[[Routes], None],
        on_event: Callable[[str, Event], None] = lambda app_id, event: None,
        memory: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        self.events: Feed[Event] = Feed()
        self.ground = ground
        self._on_routes = on_routes
        self._on_event = on_event
        self._memory = memory or host_memory
        self.on_failed: Callable[[str], None] = lambda app_id: None
        """Told the id of an app that is given up."""
        self.prepare: Callable[[str], Awaitable[Plan]] = ground.prepare
        """What goes before an app's first start."""
        self.present: Callable[[str], Awaitable[None]] = _present
        """What goes before any operation on an app: its data is on this host."""
        self.part: Callable[[str], Awaitable[None]] = _present
        """What goes with an app that is deleted, before it is stopped."""
        self.on_note: Callable[[str, Event], None] = lambda app_id, event: None
        """Told what `note` is."""
        self.on_short: Callable[[], None] = lambda: None
        """Called about once a second while this machine is short of memory."""
        self.keeper: Keeper = NoKeeper()
        """Whoever keeps what apps write. Assigned before any app is known."""
        self.core: Core | None = None
        """The daemon itself, which runs as long as anybody can ask."""
        self._routes = Routes({}, {})
        self._runtimes: dict[str, AppRuntime] = {}
        self._places: dict[str, Place] = {}
        self._notes: set[asyncio.Task[None]] = set()
        self._cards: dict[str, Death] = {}
        """Those that are not in the records yet."""
        if ground.starter.networks is not None:
            ground.starter.networks.on_spent = lambda app_id, told: self.note(app_id, _spent(told))

    async def load(self) -> None:
        """Know every app that exists; nothing is started."""
        for app in await self.ground.apps.everything():
            if app.version:
                await self.add(app)
        await self.publish_routes()

    async def add(self, app: App) -> AppRuntime:
        """Know one more app (or find it again)."""
        runtime = self._runtimes.get(app.id)
        if runtime is None:
            tell = Tell(self._happened, self._died, lambda app_id, seconds: self.note(app_id, _woken(seconds)))
            runtime = AppRuntime(app.id, app.name, self.ground.starter, self.ground.timing, self.prepare, tell)
            runtime.keeper = self.keeper
            settle(runtime, app.settings)
            self._runtimes[app.id], self._places[app.id] = runtime, self.ground.place(app)
            if app.held or app.suspended:
                await runtime.sleep(app.held, bool(app.suspended))
        return runtime

    async def publish_routes(self) -> None:
        """Build the table from the records and hand it over whole. A name without a dot lies under the app domain."""
        names, urls = self.ground.library.names, self.ground.urls
        table = {}
        owners = await self.ground.apps.owners()
        for hostname, app_id in (await names.hostnames()).items():
            if (runtime := self._runtimes.get(app_id)) is not None:
                runtime.owner_id = owners.get(app_id, "")
                runtime.name = hostname if "." not in hostname else runtime.name
                table[urls.host(hostname)] = runtime
        moved = {urls.host(name): urls.app(now) for name, now in (await names.redirects(time.time())).items()}
        self._routes = replace(self._routes, apps=table, moved=moved)
        self._on_routes(self._routes)

    def show(self, previews: Mapping[str, Service]) -> None:
        """These are all host names that drafts have."""
        self._routes = replace(self._routes, previews=previews)
        self._on_routes(self._routes)

    async def remove(self, app_id: str) -> None:
        """Stop an app and forget it; its routes are the caller's to publish."""
        await self.part(app_id)
        self._places.pop(app_id, None)
        runtime = self._runtimes.pop(app_id, None)
        if runtime is not None:
            await runtime.close()
            runtime.barrier = self.keeper.barrier(app_id, Durability.HOST)

    def places(self, owner_id: str) -> dict[str, Place]:
        """App id → where it lives, of one owner's apps."""
        return {
            app_id: self._places[app_id] for app_id, runtime in self._runtimes.items() if runtime.owner_id == owner_id
        }

    def runtime(self, app_id: str) -> AppRuntime | None:
        return self._runtimes.get(app_id)

    def state(self, app: App) -> AppState:
        """What the app is doing, for the API."""
        if app.deleted_at is not None:
            return AppState.DELETED
        if app.suspended:
            return AppState.SUSPENDED
        if self.core is not None and app.id == self.core.app.id:
            return AppState.RUNNING
        runtime = self._runtimes.get(app.id)
        return runtime.state if runtime else AppState.STOPPED

    def usage(self, app_id: str) -> Usage:
        """Memory and CPU of the running instance, and requests."""
        if self.core is not None and app_id == self.core.app.id:
            now = self.core.reading()
            return Usage(now.memory_bytes if now else 0, now.cpu_seconds if now else 0.0, self.core.asked())
        runtime = self._runtimes.get(app_id)
        if runtime is None or runtime.instance is None:
            return Usage(0, 0.0, runtime.requests if runtime else 0)
        memory, cpu = runtime.instance.consumption()
        return Usage(memory, cpu, runtime.requests)

    def readings(self, frozen: bool = False) -> dict[str, Callable[[], Reading | None]]:
        """App id → how to read what its instance uses (from any thread; None: it just ended), for those that run, and
        on wish those that are frozen."""
        states = (AppState.RUNNING, AppState.FROZEN) if frozen else (AppState.RUNNING,)
        running = (runtime for runtime in self._runtimes.values() if runtime.state in states)
        networks = self.ground.starter.networks
        own = {self.core.app.id: self.core.reading} if self.core is not None else {}
        return own | {
            runtime.id: functools.partial(_reading, runtime.id, runtime.instance, networks)
            for runtime in running
            if runtime.instance is not None
        }

    @asynccontextmanager
    async def turn(self, app: App) -> AsyncIterator[AppRuntime]:
        """The app's operations one at a time.

        Raises:
            SteadyError: `conflict` if nothing of it is live, `not_found` if it was deleted while this waited.
        """
        runtime = self._runtimes.get(app.id)
        if runtime is None:
            raise nothing_live(app)
        await self.present(app.id)
        async with runtime.operation:
            if runtime.closed:
                raise SteadyError("not_found", f"“{app.name}” does not exist any more.")
            yield runtime

    async def run(self) -> None:
        """The fleet's only loop: idle apps go to sleep."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            for runtime in list(self._runtimes.values()):
                runtime.tick(now)
            available, total = self._memory()
            _relieve(self._runtimes, available, total)
            if is_short(available, total):
                self.on_short()

    async def close(self, farewell: SteadyError | None = None) -> None:
        """Stop every app, many at a time. With `farewell`, which whoever still asks is told, they can be looked at."""
        slots = asyncio.Semaphore(STOPS_AT_ONCE_MAX)

        async def stop(runtime: AppRuntime) -> None:
            async with slots:
                await runtime.close(farewell)

        await asyncio.gather(*(stop(runtime) for runtime in self._runtimes.values()))
        if farewell is None:
            self.events.close()
        if self._notes:
            await asyncio.gather(*self._notes, return_exceptions=True)

    def note(self, app_id: str, event: Event) -> None:
        """Tell it in the app's log, publish and remember it; a failure to remember hurts nothing else."""
        runtime = self._runtimes.get(app_id)
        version = runtime.plan.version if runtime and runtime.plan else 0
        event = replace(event, message=plain(event.message))
        self.ground.logs.say(app_id, version, event.message)
        self.events.publish(app_id, event)
        self._on_event(app_id, event)
        self.on_note(app_id, event)
        self.keeper.happened(app_id, event)
        self._later(self.ground.journal.add_event(app_id, event))

    async def last_death(self, app_id: str) -> Death | None:
        """The app's newest death card: whoever was told 502 finds it, before it is in the records too."""
        return self._cards.get(app_id) or await self.ground.library.deaths.last(app_id)

    # Private

    def _happened(self, app_id: str, kind: str, message: str) -> None:
        self.note(app_id, Event(time.time(), kind, message))
        if kind == "failed":
            self.on_failed(app_id)

    def _died(self, app_id: str, death: Death) -> None:
        self._cards[app_id] = death
        self._later(self._record(app_id, death))
        self.note(app_id, Event(death.at, "death", death.message, _short(death)))

    async def _record(self, app_id: str, death: Death) -> None:
        await self.ground.library.deaths.add(app_id, death)
        if self._cards.get(app_id) is death:
            del self._cards[app_id]

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)
        task.add_done_callback(_warn)


def _warn(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.warning("an event was not recorded: %s", error)


async def _present(app_id: str) -> None:
    """It always was."""


def _short(death: Death) -> dict[str, Any]:
    """What stays of a card in the app's history, when the next one has taken its place."""
    kept = "version", "cause", "exit_code", "signal", "uptime_seconds", "in_flight", "memory_peak_bytes"
    return {name: getattr(death, name) for name in kept}


def _reading(app_id: str, instance: Instance, networks: Networks | None) -> Reading | None:
    sent = networks.sent(app_id) if networks else 0
    with contextlib.suppress(OSError):  # it ends at this moment
        return replace(instance.reading(), sent_bytes=sent)
    return None


def _spent(told: str) -> Event:
    return Event(time.time(), "limit", told, {"limit": "network"})


def _woken(seconds: float) -> Event:
    ms = seconds * 1000
    return Event(time.time(), WAKE, f"Started in {ms:.0f} ms.", {"ms": round(ms, 1)})


def host_memory() -> tuple[int, int]:
    """Bytes of memory that this host has available, and has."""
    memory = psutil.virtual_memory()
    return memory.available, memory.total


def _relieve(runtimes: Mapping[str, AppRuntime], available: int, total: int) -> None:
    """Under memory pressure, put idle apps to sleep. Bytes that this host has available, and has."""
    if not is_short(available, total):
        return
    idle = [
        Resting(runtime.id, instance.last_used, instance.frozen)
        for runtime in runtimes.values()
        if (instance := runtime.idle) is not None and runtime.settings.idle_seconds > 0
    ]
    for app_id in to_stop(available, total, idle):
        runtimes[app_id].sleep_early()
