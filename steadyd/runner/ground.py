"""What every app of this host stands on: its place on the disk, its uid, its plan, and the rooms it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.model import App, Network, Settings, Version
from steadyd.reach import Reach
from steadyd.records.apps import Apps
from steadyd.records.journal import Journal
from steadyd.records.library import Library
from steadyd.records.versions import Versions
from steadyd.runner.app import Timing
from steadyd.runner.blobs import Blobs
from steadyd.runner.bundle import find_bundle
from steadyd.runner.errand import CRON_KEY
from steadyd.runner.folder import Folder, Place
from steadyd.runner.install import Installer
from steadyd.runner.logs import Logs
from steadyd.runner.modules import modules_path
from steadyd.runner.reserve import check_reserve
from steadyd.runner.start import Plan, Starter
from steadyd.runner.surplus import surplus
from steadyd.runner.trash import Trash
from steadyd.urls import Urls
from steadyd.variables import PRODUCTION, Context, why_reserved

UID_FIRST = 1_900_000_000
"""Above what containers of systemd-nspawn take (uid ranges: systemd.io/UIDS-GIDS), below 2^31."""
PLUMBER_UID = UID_FIRST - 1
"""Of the apps' plumbing, and of nobody else."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The rooms, and where an app lives in them."""

    folder: Path
    """The parent of every app's folder."""
    blobs: Blobs
    library: Library
    logs: Logs
    starter: Starter
    urls: Urls
    timing: Timing
    trash: Trash
    as_root: bool
    """Each app has a uid of its own."""
    forget: Callable[[str], None] = lambda app_id: None
    """Called from a thread before an app's folder is removed, so that nobody holds a file in it."""
    installer: Installer | None = None
    only_owner: str = ""
    """Where there is no sandbox: the one principal whose apps may run."""

    @property
    def apps(self) -> Apps:
        return self.library.apps

    @property
    def versions(self) -> Versions:
        return self.library.versions

    @property
    def journal(self) -> Journal:
        return self.library.journal

    def place(self, app: App) -> Place:
        """Where the app lives on this host, and as whom."""
        return Place(self.folder / app.id, UID_FIRST + app.number if self.as_root else None)

    def settings(self, app: App, version: Version) -> Settings:
        """What is true of the app while `version` is live."""
        return self.apps.policy.settings(app.chosen, version.shipped, app.owner_kind)

    async def prepare(self, app_id: str) -> Plan:
        """The live version's plan, its folder linked: done once after the daemon's start, by the first request."""
        app = await self.apps.by_id(app_id)
        version = await self.versions.one(app_id, app.version) if app else None
        if app is None or version is None:
            raise SteadyError("internal", "The app's live version is missing from the records.")
        self.check_may_run(app)
        await self.restore(app, version)
        await self.link(app, version)
        return await self.plan(app, version)

    async def restore(self, app: App, version: Version) -> None:
        """Have the dependencies of a kept version in place again, should they be lost.

        Raises:
            SteadyError: `deploy_failed`, if they cannot be had.
        """
        place = self.place(app)
        if self.installer is None or not version.modules or modules_path(place, version.modules).is_dir():
            return
        tree = {file.path: await asyncio.to_thread(self.blobs.get, file.sha256) for file in version.files}
        await self.installer.restore(place, tree, version.modules)

    async def plan(
        self, app: App, version: Version, place: Place | None = None, environment: Context = PRODUCTION
    ) -> Plan:
        """What to start for a version, in the app's own folder or in another place.

        Raises:
            SteadyError: `secrets_locked` if the app's variables cannot be read.
        """
        own = self.place(app)
        place = place or own
        variables = await self.library.environment.values(app.id, environment, app.variables)
        environ = {
            **{name: value for name, value in variables.items() if not why_reserved(name)},
            "STEADY_APP": app.name,
            "STEADY_URL": self.urls.app(app.name),
            "STEADY_VERSION": str(version.number),
            "STEADY_ENV": environment,
        }
        needs = await self.library.crons.needs(app.id, version.number)
        environ |= {CRON_KEY: needs.key} if needs.key else {}
        # A trial may not touch the world: what a candidate sends or changes out there cannot be taken back.
        settings = self.settings(app, version)
        network = Network.NONE if environment == "trial" else settings.network
        modules = modules_path(own, version.modules) if version.modules else None
        read_only = Folder(place, self.blobs).top_level(version.files)
        return Plan(
            app.id,
            version.number,
            version.entry,
            place.app,
            environ,
            place.uid,
            modules,
            read_only,
            bundle=find_bundle(own, version, self.starter.engine) if self.starter.sandboxed else None,
            reach=Reach(network, app.owner_id, app.by_guest),
            limits=settings.limits,
            tier="guests" if app.by_guest else "accounts",
            calls=needs.calls,
        )

    async def link(self, app: App, version: Version, place: Place | None = None) -> list[str]:
        """Make the folder show `version`; returns what was put aside. Only while nothing runs in it."""
        folder = Folder(place or self.place(app), self.blobs)
        bound = self.starter.sandboxed or not version.modules
        modules = None if bound else modules_path(self.place(app), version.modules)
        return await asyncio.to_thread(folder.link, version.files, version.number, app.version, modules)

    def check_room(self) -> None:
        """Raise `disk_full` where nothing new should be put on the disk."""
        check_reserve(self.folder)

    async def tidy(self, app: App) -> None:
        """Let go of installed dependencies and bundles that no version needs any more."""
        versions = await self.versions.all(app.id)
        gone = await asyncio.to_thread(surplus, self.place(app), versions, app.version)
        for path in gone:
            await self.trash.throw(path)
        if gone:
            await self.tidy_modules()

    async def tidy_modules(self) -> None:
        """Let go of installed dependencies that no app needs any more."""
        if self.installer is not None:
            await self.installer.tidy(self.trash)

    def check_may_run(self, app: App) -> None:
        """Without a sandbox only the operator's own apps run.

        Raises:
            SteadyError: `forbidden`, with the way out.
        """
        if self.only_owner and app.owner_id != self.only_owner:
            message = "The sandbox does not work on this machine, so only its operator's apps run. See: steadyd doctor"
            raise SteadyError("forbidden", message)


def nothing_live(app: App) -> SteadyError:
    """What is told where something is asked of an app before its first version is live."""
    return SteadyError("conflict", f"“{app.name}” has no live version. Deploy one first.")
