"""The apps on this host: which of them run, and the table from host name to app that the data plane looks up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadyd.errors import SteadyError
from steadyd.feed import Feed
from steadyd.model import App, AppState, Death, Event, Version
from steadyd.records.apps import Apps
from steadyd.records.journal import Journal
from steadyd.runner.app import AppRuntime, Tell, Timing
from steadyd.runner.blobs import Blobs
from steadyd.runner.folder import Folder, Place
from steadyd.runner.install import modules_path
from steadyd.runner.logs import Logs
from steadyd.runner.start import Plan, Starter
from steadyd.urls import Urls

UID_FIRST = 1_900_000_000
"""Above what containers of systemd-nspawn take (uid ranges: systemd.io/UIDS-GIDS), below 2^31."""
TICK_SECONDS = 1.0
STOPS_AT_ONCE_MAX = 64

logger = logging.getLogger("steadyd.fleet")

Routes = Mapping[str, AppRuntime]


@dataclass(frozen=True, slots=True)
class Usage:
    """What an app uses now, and how often it was asked since the daemon started."""

    memory_bytes: int
    cpu_seconds: float
    requests: int


@dataclass(frozen=True, slots=True)
class Ground:
    """What the fleet stands on."""

    folder: Path
    """The parent of every app's folder."""
    blobs: Blobs
    apps: Apps
    journal: Journal
    logs: Logs
    starter: Starter
    urls: Urls
    timing: Timing
    idle_seconds: float
    as_root: bool
    """Each app has a uid of its own."""
    forget: Callable[[str], None] = lambda app_id: None
    """Called from a thread before an app's folder is removed, so that nobody holds a file in it."""
    only_owner: str = ""
    """Where there is no sandbox: the one principal whose apps may run."""


class Fleet:
    """Every app of this host by its id. `on_routes` gets the whole new table after each change."""

    def __init__(self, ground: Ground, on_routes: Callable[[Routes], None]) -> None:
        self.events: Feed[Event] = Feed()
        self.ground = ground
        self._on_routes = on_routes
        self._runtimes: dict[str, AppRuntime] = {}
        self._notes: set[asyncio.Task[None]] = set()

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
            tell = Tell(self._happened, self._died)
            runtime = AppRuntime(app.id, app.name, self.ground.starter, self.ground.timing, self._prepare, tell)
            runtime.idle_seconds = self.ground.idle_seconds
            self._runtimes[app.id] = runtime
            if app.held:
                await runtime.sleep(hold=True)
        return runtime

    async def publish_routes(self) -> None:
        """Build the table from the records and hand it over whole. A name without a dot lies under the app domain."""
        table = {}
        for hostname, app_id in (await self.ground.apps.hostnames()).items():
            if app_id in self._runtimes:
                full = hostname if "." in hostname else f"{hostname}.{self.ground.urls.app_domain}"
                table[full] = self._runtimes[app_id]
        self._on_routes(table)

    async def remove(self, app_id: str) -> None:
        """Stop an app and forget it; its routes are the caller's to publish."""
        runtime = self._runtimes.pop(app_id, None)
        if runtime is not None:
            await runtime.close()

    def runtime(self, app_id: str) -> AppRuntime | None:
        return self._runtimes.get(app_id)

    def place(self, app: App) -> Place:
        """Where the app lives on this host, and as whom."""
        return Place(self.ground.folder / app.id, UID_FIRST + app.number if self.ground.as_root else None)

    def state(self, app: App) -> AppState:
        """What the app is doing, for the API."""
        if app.deleted_at is not None:
            return AppState.DELETED
        runtime = self._runtimes.get(app.id)
        return runtime.state if runtime else AppState.STOPPED

    def usage(self, app_id: str) -> Usage:
        """Memory and CPU of the running instance, and requests."""
        runtime = self._runtimes.get(app_id)
        if runtime is None or runtime.instance is None:
            return Usage(0, 0.0, runtime.requests if runtime else 0)
        memory, cpu = runtime.instance.consumption()
        return Usage(memory, cpu, runtime.requests)

    async def start(self, app: App) -> None:
        """Wake it, after a hold or a failure too; returns when it answers.

        Raises:
            SteadyError: `app_failed` with reason and log lines for its owner.
        """
        async with self._operate(app) as runtime:
            await self.ground.apps.set_held(app.id, False)
            await runtime.wake()

    async def stop(self, app: App, hold: bool) -> None:
        """Put it to sleep now; with `hold` it stays down until it is started."""
        async with self._operate(app) as runtime:
            if hold:
                await self.ground.apps.set_held(app.id, True)
            await runtime.sleep(hold)

    async def restart(self, app: App) -> None:
        """A fresh instance of the same version; requests wait at the gate meanwhile."""
        async with self._operate(app) as runtime:
            await self.ground.apps.set_held(app.id, False)
            async with runtime.swap():
                pass
            await runtime.wake()

    async def run(self) -> None:
        """The fleet's only loop: idle apps go to sleep."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            for runtime in list(self._runtimes.values()):
                runtime.tick(now)

    async def close(self) -> None:
        """Stop every app, many at a time."""
        slots = asyncio.Semaphore(STOPS_AT_ONCE_MAX)

        async def stop(runtime: AppRuntime) -> None:
            async with slots:
                await runtime.close()

        await asyncio.gather(*(stop(runtime) for runtime in self._runtimes.values()))
        self.events.close()
        if self._notes:
            await asyncio.gather(*self._notes, return_exceptions=True)

    def plan(self, app: App, version: Version, place: Place | None = None, environment: str = "production") -> Plan:
        """What to start for a version, in the app's own folder or in another place."""
        own = self.place(app)
        place = place or own
        environ = {
            "STEADY_APP": app.name,
            "STEADY_URL": self.ground.urls.app(app.name),
            "STEADY_VERSION": str(version.number),
            "STEADY_ENV": environment,
        }
        modules = modules_path(own, version.modules) if version.modules else None
        read_only = Folder(place, self.ground.blobs).top_level(version.files)
        return Plan(app.id, version.number, version.entry, place.app, environ, place.uid, modules, read_only)

    async def link(self, app: App, version: Version, place: Place | None = None) -> list[str]:
        """Make the folder show `version`; returns what was put aside. Only while nothing runs in it."""
        folder = Folder(place or self.place(app), self.ground.blobs)
        bound = self.ground.starter.sandboxed or not version.modules
        modules = None if bound else modules_path(self.place(app), version.modules)
        return await asyncio.to_thread(folder.link, version.files, version.number, app.version, modules)

    def check_may_run(self, app: App) -> None:
        """Without a sandbox only the operator's own apps run.

        Raises:
            SteadyError: `forbidden`, with the way out.
        """
        if self.ground.only_owner and app.owner_id != self.ground.only_owner:
            message = "The sandbox does not work on this machine, so only its operator's apps run. See: steadyd doctor"
            raise SteadyError("forbidden", message)

    def note(self, app_id: str, event: Event) -> None:
        """Publish an event and remember it; a failure to remember is logged and hurts nothing else."""
        self.events.publish(app_id, event)
        self._later(self.ground.journal.add_event(app_id, event))

    # Private

    def _operate(self, app: App) -> _Operating:
        runtime = self._runtimes.get(app.id)
        if runtime is None:
            raise SteadyError("conflict", f"“{app.name}” has no live version. Deploy one first.")
        return _Operating(runtime)

    async def _prepare(self, app_id: str) -> Plan:
        """The live version's plan, its folder linked: done once after the daemon's start, by the first request."""
        app = await self.ground.apps.by_id(app_id)
        version = await self.ground.apps.version(app_id, app.version) if app else None
        if app is None or version is None:
            raise SteadyError("internal", "The app's live version is missing from the records.")
        self.check_may_run(app)
        await self.link(app, version)
        return self.plan(app, version)

    def _happened(self, app_id: str, kind: str, message: str) -> None:
        runtime = self._runtimes.get(app_id)
        version = runtime.plan.version if runtime and runtime.plan else 0
        self.ground.logs.say(app_id, version, message)
        self.note(app_id, Event(time.time(), kind, message))

    def _died(self, app_id: str, death: Death) -> None:
        self.ground.logs.say(app_id, death.version, death.message)
        self.note(app_id, Event(death.at, "death", death.message, {"cause": death.cause}))
        self._later(self.ground.apps.set_death(app_id, death))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._notes.add(task)
        task.add_done_callback(self._noted)

    def _noted(self, task: asyncio.Task[None]) -> None:
        self._notes.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("an event was not recorded: %s", error)


class _Operating:
    """`async with`: the app's operations one at a time."""

    def __init__(self, runtime: AppRuntime) -> None:
        self._runtime = runtime

    async def __aenter__(self) -> AppRuntime:
        await self._runtime.operation.acquire()
        if self._runtime.closed:  # deleted while this waited for its turn
            self._runtime.operation.release()
            raise SteadyError("not_found", f"“{self._runtime.name}” does not exist any more.")
        return self._runtime

    async def __aexit__(self, *_: object) -> None:
        self._runtime.operation.release()
