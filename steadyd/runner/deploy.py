"""Making a version live: install, stage, check, trial, switch. A failed step changes nothing.

The recipe is `_deploy`; read it aloud. All of it but its last line happens beside the running version. The last line is
the controller's: hold, drain, swap, release. The row that says which version is live is committed after the new
instance listens and before the gate opens: an app never changes version after having answered.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from steadyd.errors import SteadyError
from steadyd.model import App, AppState, Deploy, Event, File, Origin, Principal, Version
from steadyd.records.apps import going_live
from steadyd.records.versions import went_live
from steadyd.runner.app import settle
from steadyd.runner.candidate import Trials
from steadyd.runner.controller import Controller, Turn
from steadyd.runner.drafts import Drafts
from steadyd.runner.failure import Failure
from steadyd.runner.keeper import Exchange
from steadyd.runner.pack import pack
from steadyd.runner.positions import databases, positions
from steadyd.runner.rehearsal import NO_REHEARSAL, Wish, rehearsed
from steadyd.runner.removal import Removal
from steadyd.runner.reserve import is_full
from steadyd.tree import Tree, check_tree
from steadyd.variables import UNCHANGED, Change

MERGE = Origin("merge")
CREATE = "create"
RETREAT = "auto_rollback"

Preparing = Callable[[Turn], AbstractAsyncContextManager[Exchange]]
"""Makes data ready for an operation, and throws away at its end what is not used."""

logger = logging.getLogger("steadyd.deploy")


@dataclass(frozen=True, slots=True)
class Deployed:
    """A version that went live. `notes` are sentences for the user."""

    app: App
    version: Version
    deploy: Deploy
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a deploy goes, and what goes live with it or not at all."""

    trial: bool = True
    variables: Change = UNCHANGED
    test: bool = False
    """Run the app's own tests, whatever its settings say."""
    rehearsal: Wish = NO_REHEARSAL
    because: str = ""
    """Why, where nobody asked for it."""


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
    manner: Manner = Manner()
    data: Preparing | None = None
    """Other data for it, made ready before its trial."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a deploy made, before its operation has ended."""

    app: App
    version: Version
    record: int
    """The deploy's id in the journal."""
    notes: tuple[str, ...]
    because: str = ""


class Deployer:
    """Creates, deploys and rolls back apps."""

    def __init__(self, controller: Controller, drafts: Drafts, trials: Trials, removal: Removal) -> None:
        self.drafts = drafts
        self._controller = controller
        self._fleet = controller.fleet
        self._ground = controller.fleet.ground
        self._trials = trials
        self._removal = removal
        self._shelf = removal.shelf

    async def create(
        self,
        by: Principal,
        name: str | None,
        tree: Tree,
        origin: Origin,
        temporary: bool,
        manner: Manner = Manner(),
    ) -> Deployed:
        """A new app that answers.

        Raises:
            SteadyError: `name_taken`, `disk_full`, `deploy_failed` or anything `check_tree` says; nothing is kept.
        """
        check_tree(tree, self._ground.apps.policy.tree)
        self._ground.check_room()
        request = Request(by, CREATE, origin, tree, manner=manner)
        return await self._finish(self._create(by, name, temporary, lambda turn: _ready(request)))

    async def bring(
        self, by: Principal, name: str, temporary: bool, unpack: Callable[[Turn], Awaitable[Request]]
    ) -> Deployed:
        """A new app that answers, of what `unpack` puts into its place and its records before anything runs.

        Raises:
            SteadyError: `name_taken`, `app_limit`, `disk_full`, `deploy_failed`, what `unpack` raises; nothing is kept.
        """
        self._ground.check_room()
        return await self._finish(self._create(by, name, temporary, unpack))

    async def deploy(
        self,
        by: Principal,
        app: App,
        tree: Tree,
        origin: Origin,
        base_version: int | None = None,
        manner: Manner = Manner(),
    ) -> Deployed:
        """The next version, from a whole tree.

        Raises:
            SteadyError: `version_conflict`, `disk_full`, `deploy_failed` or anything `check_tree` says; the old version
                serves on.
        """
        check_tree(tree, self._ground.apps.policy.tree)
        self._ground.check_room()
        request = Request(by, "deploy", origin, tree, manner=manner)
        return await self._finish(self._change(app, "deploy", by, base_version, lambda live: _ready(request)))

    async def replace(
        self, by: Principal, app: App, tree: Tree, origin: Origin, data: Preparing, manner: Manner = Manner()
    ) -> Deployed:
        """The next version, from a whole tree, with other data, on which it is tried. What was live becomes a restore
        point.

        Raises:
            SteadyError: as `deploy`, and what `data` raises; the old version serves on, with the old data.
        """
        check_tree(tree, self._ground.apps.policy.tree)
        self._ground.check_room()
        request = Request(by, "deploy", origin, tree, manner=manner, data=data)
        return await self._finish(self._change(app, "deploy", by, None, lambda live: _ready(request)))

    async def merge(
        self,
        by: Principal,
        app: App,
        changes: Mapping[str, bytes | None],
        origin: Origin = MERGE,
        base_version: int | None = None,
        manner: Manner = Manner(),
    ) -> Deployed:
        """The next version, from the live one with some files changed, added or (`None`) deleted."""
        self._ground.check_room()

        async def merged(live: Version) -> Request:
            return Request(by, "deploy", origin, await self.drafts.merged(live, changes), manner=manner)

        return await self._finish(self._change(app, "deploy", by, base_version, merged))

    async def rollback(
        self, by: Principal, app: App, version: int, variables: bool = False, data: Preparing | None = None
    ) -> Deployed:
        """Make an earlier (or later) version live again, as a deploy of its own; with `variables` those too with which
        it ran, with `data` what that makes ready.

        Raises:
            SteadyError: `not_found` if it, or they, are not kept; `deploy_failed`.
        """

        async def request(live: Version) -> Request:
            """Asked again once it is its turn: deploys before it may have let the version go."""
            target = await self._kept(app, version)
            change = await self._ground.library.environment.back_to(app.id, version) if variables else UNCHANGED
            manner = Manner(variables=change)
            return Request(by, "rollback", target.origin, version=target, manner=manner, data=data)

        await self._kept(app, version)
        return await self._finish(self._change(app, "rollback", by, None, request))

    async def retreat(self, by: Principal, app: App, failed: int, back_to: int, manner: Manner) -> Deployed:
        """Leave a version that is given up for an earlier one.

        Raises:
            SteadyError: `version_conflict` or `conflict` if it is not, `not_found` or `deploy_failed`.
        """

        async def request(live: Version) -> Request:
            runtime = self._fleet.runtime(app.id)
            if runtime is None or runtime.state is not AppState.FAILED:
                raise SteadyError("conflict", f"“{app.name}” is no longer given up.")
            target = await self._kept(app, back_to)
            return Request(by, RETREAT, target.origin, version=target, manner=manner)

        return await self._finish(self._change(app, RETREAT, by, failed, request))

    async def content(self, file: File) -> bytes:
        """One file of a version."""
        return await self.drafts.content(file)

    async def archive(self, version: Version) -> AsyncIterator[bytes]:
        """A version's files as a tar.gz, in pieces."""
        pieces = pack(version.files, self._ground.blobs, version.created_at)
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece

    # Private

    async def _finish(self, work: Coroutine[Any, Any, Deployed]) -> Deployed:
        return await self._controller.operations.to_the_end(self._shelf.tidied(work))

    async def _create(
        self, by: Principal, name: str | None, temporary: bool, request: Callable[[Turn], Awaitable[Request]]
    ) -> Deployed:
        app = await self._ground.apps.create(name, by, temporary, time.time())
        runtime = await self._fleet.add(app)
        try:
            async with self._controller.turn(by, app, CREATE, first=True) as turn:
                wanted = await request(turn)  # which may set what the app is like
                turn = replace(turn, app=await self._ground.apps.by_id(app.id) or app)
                made = await self._deploy(turn, wanted)
        except BaseException:
            async with runtime.operation:
                await self._removal.forget(app)
            raise
        await self._fleet.publish_routes()
        return await self._deployed(made)

    async def _change(
        self, app: App, kind: str, by: Principal, base_version: int | None,
        request: Callable[[Version], Awaitable[Request]],
    ) -> Deployed:  # fmt: skip
        """Deploy to an existing app, judged by what is live once it is this deploy's turn."""
        async with self._controller.turn(by, app, kind) as turn:
            live = turn.version
            if base_version is not None and base_version != live.number:
                message = f"Version {live.number} is live, not {base_version}: somebody deployed meanwhile."
                raise SteadyError("version_conflict", message, {"live": live.number, "base_version": base_version})
            made = await self._deploy(turn, await request(live))
        return await self._deployed(made)

    async def _kept(self, app: App, number: int) -> Version:
        version = await self._ground.versions.one(app.id, number)
        if version is None:
            raise SteadyError("not_found", f"“{app.name}” has no version {number}.", {"version": number})
        return version

    async def _deploy(self, turn: Turn, request: Request) -> Made:
        self._ground.check_may_run(turn.app)
        operation, environment, change = turn.operation, self._ground.library.environment, request.manner.variables
        app = replace(turn.app, variables=change)
        try:
            await environment.differs(app.id, change)  # whether it may have so many
            version, notes = await self._stage(turn, request)
            record = await self._ground.journal.begin_deploy(operation.id, version.number)
            manner = request.manner
            async with _ready_data(turn, request) as data:
                source = data.scratch if data is not None else None
                async with self._trials.of(app, turn.live, version, manner.trial, manner.test, source) as candidate:
                    async with operation.step("check"):
                        await candidate.check()
                    if candidate.tried:
                        async with operation.step("trial") as told:
                            told["hosts"] = candidate.hosts
                            notes += await candidate.run()
                notes += await rehearsed(self._trials, turn, version, manner.rehearsal)
                plan = await self._ground.plan(app, version)
                now, folder = time.time(), self._ground.place(app).app
                stood = partial(positions, folder, await asyncio.to_thread(databases, folder))
                aside = await self._controller.swap(
                    turn, version, plan, going_live(app, version.number, now, self._ground.apps.terms),
                    environment.change(app.id, change, request.by, now), environment.went_live(app.id, version.number),
                    went_live(app.id, version.number, now, stood), data=data,
                )  # fmt: skip
        except BaseException as error:
            failed = _as_error(error, operation.current)
            await self._ground.versions.drop_never_live(app.id)
            self._fleet.note(app.id, Event(time.time(), "deploy_failed", failed.message))
            await self._ground.tidy(app)
            raise failed from error
        settle(turn.runtime, self._ground.settings(app, version))
        notes += tuple(_put_aside(path) for path in aside)
        return Made(app, version, record, notes, request.manner.because)

    async def _deployed(self, made: Made) -> Deployed:
        """What is told of a deploy whose operation has ended well."""
        deploy = await self._ground.journal.deploy(made.record)
        app = await self._ground.apps.by_id(made.app.id) or made.app
        assert deploy is not None
        because = f": {made.because}" if made.because else ""
        said = f"Version {made.version.number} is live{because}."
        self._fleet.note(app.id, Event(time.time(), deploy.kind, said))
        await self._retire(app)
        return Deployed(app, made.version, deploy, made.notes)

    async def _retire(self, app: App) -> None:
        """Let go of what is too old to be kept. The deploy is true already, whatever comes of this."""
        try:
            contents = await self._ground.versions.retire(app.id, self._ground.apps.terms.versions_kept)
            await self._shelf.let_go(contents)
            await self._ground.tidy(app)
        except (SteadyError, OSError):
            logger.exception("old versions of %s stay until its next deploy", app.id)

    async def _stage(self, turn: Turn, request: Request) -> tuple[Version, tuple[str, ...]]:
        """Keep the files and have the dependencies in place; nothing is live yet."""
        app, operation = turn.app, turn.operation
        if request.version is not None:
            async with operation.step("install"):
                await self._ground.restore(app, request.version)
            return request.version, ()
        assert request.tree is not None
        manifest, drafts = self.drafts.read(app, request.tree), self.drafts
        async with operation.step("install"):
            pinned = b"" if turn.live is None or request.origin.source == "merge" else await drafts.lock(turn.live)
            prepared = await drafts.prepare(app, request.tree, manifest, pinned, operation.tell)
        async with operation.step("stage"), self._shelf.kept():
            draft = await drafts.keep(prepared, request.origin)
            version = await self._ground.versions.add(app, request.by, draft, time.time())
        return version, prepared.notes


# Private


async def _ready(request: Request) -> Request:
    return request


@asynccontextmanager
async def _ready_data(turn: Turn, request: Request) -> AsyncIterator[Exchange | None]:
    """What the app will find instead of its own data, if that was asked for."""
    if request.data is None:
        yield None
        return
    async with request.data(turn) as data:
        yield data


def _put_aside(path: str) -> str:
    return f"“{path}”, which the app had written, was put aside: this version ships one."


def _as_error(error: BaseException, step: str) -> SteadyError:
    if isinstance(error, SteadyError):
        if error.code == "deploy_failed":
            # What failed before anything was started has no log, and says so.
            error.details = {"step": step, "reason": error.message, "logs": [], **error.details}
        return error
    if isinstance(error, Failure):
        return error.as_error(step)
    if is_full(error):
        return SteadyError("disk_full", f"The deploy failed at “{step}”: the server's disk is full. Free some space.")
    if isinstance(error, Exception):
        return SteadyError(
            "deploy_failed",
            f"The deploy failed at “{step}”: {error}",
            {"step": step, "reason": str(error), "logs": []},
        )
    details = {"step": step, "reason": "interrupted", "logs": []}
    return SteadyError("deploy_failed", "The deploy was interrupted.", details)
