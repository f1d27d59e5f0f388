"""Making a version live: install, stage, check, trial, switch. A failed step changes nothing.

The recipe is `_deploy`; read it aloud. Everything before `switch` happens beside the running version. `switch` holds
requests at the gate, and the row that says which version is live is committed after the new instance listens and
before the gate opens: an app never changes version after having answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from steadyd.errors import SteadyError
from steadyd.manifest import read_manifest
from steadyd.model import App, Deploy, Draft, Event, File, Origin, Principal, Version
from steadyd.runner.app import AppRuntime
from steadyd.runner.blobs import Shelf
from steadyd.runner.candidate import Trials
from steadyd.runner.failure import Failure
from steadyd.runner.fleet import Fleet
from steadyd.runner.install import LOCK, Installed, Installer
from steadyd.runner.reserve import is_full
from steadyd.tree import Tree, check_tree, find_entry

INTERRUPTED = "The daemon stopped while this ran."
PURGE = "purge"
MERGE = Origin("merge")


@dataclass(frozen=True, slots=True)
class Deployed:
    """A version that went live. `notes` are sentences for the user."""

    app: App
    version: Version
    deploy: Deploy
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be made live, and by whom."""

    by: Principal
    kind: str
    """create, deploy or rollback."""
    origin: Origin
    tree: Tree | None = None
    version: Version | None = None
    """An existing version, instead of a tree."""
    trial: bool = True


class Steps:
    """The steps of one deploy with their times, in order."""

    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []
        self.current = ""

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began, ok, self.current = time.perf_counter(), False, name
        try:
            yield
            ok = True
        finally:
            self.done.append({"name": name, "ms": round((time.perf_counter() - began) * 1000, 1), "ok": ok})


class Deployer:
    """Creates, deploys, rolls back and deletes apps; one operation at a time for each app."""

    def __init__(self, fleet: Fleet, installer: Installer, trials: Trials) -> None:
        self._fleet = fleet
        self._installer = installer
        self._trials = trials
        self._apps = fleet.ground.apps
        self._versions = fleet.ground.versions
        self._journal = fleet.ground.journal
        self._blobs = fleet.ground.blobs
        self._running: set[asyncio.Task[Deployed]] = set()
        self._shelf = Shelf(self._blobs, self._versions.contents_in_use)

    async def create(
        self, by: Principal, name: str | None, tree: Tree, origin: Origin, temporary: bool, trial: bool = True
    ) -> Deployed:
        """A new app that answers.

        Raises:
            SteadyError: `name_taken`, `disk_full`, `deploy_failed` or anything `check_tree` says; nothing is kept.
        """
        check_tree(tree)
        self._fleet.ground.check_room()
        return await self._finish(self._create(Request(by, "create", origin, tree, trial=trial), name, temporary))

    async def deploy(
        self, by: Principal, app: App, tree: Tree, origin: Origin, base_version: int | None = None, trial: bool = True
    ) -> Deployed:
        """The next version, from a whole tree.

        Raises:
            SteadyError: `version_conflict`, `disk_full`, `deploy_failed` or anything `check_tree` says; the old version
                serves on.
        """
        check_tree(tree)
        self._fleet.ground.check_room()
        request = Request(by, "deploy", origin, tree, trial=trial)
        return await self._finish(self._change(app, base_version, lambda live: _ready(request)))

    async def merge(
        self,
        by: Principal,
        app: App,
        changes: Mapping[str, bytes | None],
        origin: Origin = MERGE,
        base_version: int | None = None,
        trial: bool = True,
    ) -> Deployed:
        """The next version, from the live one with some files changed, added or (`None`) deleted."""
        self._fleet.ground.check_room()

        async def merged(live: Version) -> Request:
            tree = {file.path: await self.content(file) for file in live.files if file.path not in changes}
            for path, content in changes.items():
                if content is None and path not in {file.path for file in live.files}:
                    raise SteadyError(
                        "invalid_path", f"“{path}” cannot be deleted: version {live.number} has no such file."
                    )
                if content is not None:
                    tree[path] = content
            return Request(by, "deploy", origin, check_tree(tree), trial=trial)

        return await self._finish(self._change(app, base_version, merged))

    async def rollback(self, by: Principal, app: App, version: int) -> Deployed:
        """Make an earlier (or later) version live again, as a deploy of its own.

        Raises:
            SteadyError: `not_found` or `deploy_failed`.
        """
        target = await self._versions.one(app.id, version)
        if target is None:
            raise SteadyError("not_found", f"“{app.name}” has no version {version}.")
        request = Request(by, "rollback", target.origin, version=target)
        return await self._finish(self._change(app, None, lambda live: _ready(request)))

    async def delete(self, by: Principal, app: App, purge: bool) -> None:
        """Stop it at once. Code, data and name stay for an undelete, or go now with `purge`."""
        runtime = await self._fleet.add(app)
        async with runtime.operation:
            await self._apps.set_deleted(app.id, time.time())
            await self._fleet.remove(app.id)
            await self._fleet.publish_routes()
        if purge:
            await self._journal.begin(app.id, PURGE, by, time.time())
            await self._forget(app)
            await self._shelf.tidy()
        else:
            self._fleet.note(app.id, Event(time.time(), "delete", f"Deleted by {by.name}."))

    async def undelete(self, by: Principal, app: App) -> None:
        """Bring a deleted app back, asleep."""
        await self._apps.set_deleted(app.id, None)
        await self._fleet.add(replace(app, deleted_at=None))
        await self._fleet.publish_routes()
        self._fleet.note(app.id, Event(time.time(), "undelete", f"Brought back by {by.name}."))

    async def content(self, file: File) -> bytes:
        """One file of a version."""
        return await asyncio.to_thread(self._blobs.get, file.sha256)

    async def recover(self) -> None:
        """After a start: undo what the last daemon left half done. The live versions are what the rows say."""
        apps = {app.id: app for deleted in (False, True) for app in await self._apps.everything(deleted)}
        for app in apps.values():
            if app.version == 0:
                await self._forget(app)
        for operation in await self._journal.unfinished():
            app = apps[operation.app_id]
            if operation.kind == PURGE:
                await self._forget(app)
                continue
            await self._fleet.ground.trash.throw(self._fleet.ground.place(app).scratch)
            now = time.time()
            await self._journal.settle_deploys(operation.app_id, now, INTERRUPTED)
            await self._versions.drop_never_live(operation.app_id)
            await self._journal.finish(operation.id, "undone", now)
        await self._shelf.tidy()
        self._fleet.ground.trash.empty()

    async def close(self) -> None:
        """Wait for the deploys under way."""
        while self._running:
            await asyncio.wait(self._running)
        await self._trials.settled()
        await self._fleet.ground.trash.close()

    # Private

    async def _finish(self, work: Coroutine[Any, Any, Deployed]) -> Deployed:
        """Run a deploy to its end even if whoever asked for it goes away."""
        task = asyncio.ensure_future(self._shelf.tidied(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _create(self, request: Request, name: str | None, temporary: bool) -> Deployed:
        app = await self._apps.create(name, request.by, temporary, time.time())
        runtime = await self._fleet.add(app)
        async with runtime.operation:
            try:
                done = await self._deploy(app, request)
            except BaseException:
                await self._forget(app)
                raise
            await self._fleet.publish_routes()
        return done

    async def _change(
        self, app: App, base_version: int | None, request: Callable[[Version], Awaitable[Request]]
    ) -> Deployed:
        """Deploy to an existing app, judged by what is live once it is this deploy's turn."""
        runtime = await self._fleet.add(app)
        async with runtime.operation:
            now = await self._apps.by_id(app.id)
            live = await self._versions.one(app.id, now.version) if now else None
            if now is None or live is None or now.deleted_at is not None:
                raise SteadyError("not_found", f"“{app.name}” does not exist any more.")
            if base_version is not None and base_version != now.version:
                message = f"Version {now.version} is live, not {base_version}: somebody deployed meanwhile."
                raise SteadyError("version_conflict", message, {"live": now.version, "base_version": base_version})
            return await self._deploy(now, await request(live), live)

    async def _deploy(self, app: App, request: Request, live: Version | None = None) -> Deployed:
        steps = Steps()
        self._fleet.ground.check_may_run(app)
        runtime = await self._fleet.add(app)
        operation = await self._journal.begin(app.id, request.kind, request.by, time.time())
        record = 0
        try:
            version, notes = await self._stage(app, request, steps, operation, live)
            record = await self._journal.begin_deploy(app, version.number, request.kind, time.time())
            async with self._trials.of(app, live, version, request.trial) as candidate:
                await self._journal.step(operation, "check")
                with steps("check"):
                    await candidate.check()
                if request.trial:
                    await self._journal.step(operation, "trial")
                    with steps("trial"):
                        await candidate.run()
            await self._journal.step(operation, "switch")
            with steps("switch"):
                notes += await self._switch(runtime, app, version, live)
        except BaseException as error:
            failed = _as_error(error, steps.current)
            await self._record_failure(app, operation, record, steps, failed)
            await self._fleet.ground.tidy(app)
            raise failed from error
        deploy = await self._journal.finish_deploy(record, "live", steps.done, time.time())
        await self._journal.finish(operation, "done", time.time())
        self._fleet.note(app.id, Event(time.time(), request.kind, f"Version {version.number} is live."))
        app = await self._apps.by_id(app.id) or app
        await self._fleet.ground.tidy(app)
        return Deployed(app, version, deploy, notes)

    async def _stage(
        self, app: App, request: Request, steps: Steps, operation: int, live: Version | None
    ) -> tuple[Version, tuple[str, ...]]:
        """Keep the files and have the dependencies in place; nothing is live yet."""
        if request.version is not None:
            with steps("install"):
                await self._fleet.ground.restore(app, request.version)
            return request.version, ()
        assert request.tree is not None
        tree, place = dict(request.tree), self._fleet.ground.place(app)
        manifest = read_manifest(tree, self._apps.policy, app.owner_kind)
        await self._journal.step(operation, "install")
        with steps("install"):
            pinned = b"" if live is None or request.origin.source == "merge" else await self._lock(live)
            installed = await self._installer.install(place, tree, pinned)
        _add_lock(tree, installed)
        await self._journal.step(operation, "stage")
        with steps("stage"):
            async with self._shelf.kept():
                files = await asyncio.to_thread(self._blobs.put, tree)
                entry = find_entry(tree)
                bun = self._fleet.ground.starter.engine.bun_version
                draft = Draft(entry, request.origin, tuple(files), installed.modules, manifest.choices, bun)
                version = await self._versions.add(app, request.by, draft, time.time())
        return version, (*manifest.notes, *installed.notes)

    async def _lock(self, live: Version) -> bytes:
        """What pins the live version's dependencies: a whole tree without a lock keeps them, a merge can remove it."""
        found = [file for file in live.files if file.path == LOCK]
        return await self.content(found[0]) if found else b""

    async def _switch(self, runtime: AppRuntime, app: App, version: Version, live: Version | None) -> tuple[str, ...]:
        """Hold, drain, swap, release."""
        async with runtime.swap():
            aside = await self._fleet.ground.link(app, version)
            try:
                await runtime.adopt(self._fleet.ground.plan(app, version))
                await self._apps.set_live(app, version.number, time.time())
                runtime.settings = self._fleet.ground.settings(app, version)
            except BaseException:
                await self._put_back(runtime, app, live)
                raise
        return tuple(f"“{path}”, which the app had written, was put aside: this version ships one." for path in aside)

    async def _put_back(self, runtime: AppRuntime, app: App, live: Version | None) -> None:
        """Inside a swap that failed: the folder and the plan are the old version's again."""
        await runtime.sleep()
        if live is not None:
            await self._fleet.ground.link(app, live)
            runtime.plan = self._fleet.ground.plan(app, live)

    async def _record_failure(self, app: App, operation: int, record: int, steps: Steps, error: SteadyError) -> None:
        now = time.time()
        if record:
            await self._journal.finish_deploy(record, "failed", steps.done, now, error.message)
        await self._versions.drop_never_live(app.id)
        await self._journal.finish(operation, "failed", now)
        self._fleet.note(app.id, Event(now, "deploy_failed", error.message))

    async def _forget(self, app: App) -> None:
        """Nothing is kept of the app; its row goes last, so that an interrupted end is found and finished."""
        await self._fleet.remove(app.id)
        await self._fleet.ground.logs.flush()  # its last lines, or they would come while the folder goes
        await asyncio.to_thread(self._fleet.ground.forget, app.id)
        await self._fleet.ground.trash.throw(self._fleet.ground.place(app).root)
        await self._apps.remove(app.id, time.time())


# Private


async def _ready(request: Request) -> Request:
    return request


def _add_lock(tree: dict[str, bytes], installed: Installed) -> None:
    """The lock travels with the version, so that it installs the same for ever."""
    if installed.lock is not None:
        tree[LOCK] = installed.lock


def _as_error(error: BaseException, step: str) -> SteadyError:
    if isinstance(error, SteadyError):
        return error
    if isinstance(error, Failure):
        return error.as_error(step)
    if is_full(error):
        return SteadyError("disk_full", f"The deploy failed at “{step}”: the server's disk is full. Free some space.")
    if isinstance(error, Exception):
        return SteadyError(
            "deploy_failed", f"The deploy failed at “{step}”: {error}", {"step": step, "reason": str(error)}
        )
    return SteadyError("deploy_failed", "The deploy was interrupted.", {"step": step, "reason": "interrupted"})
