"""`steadyd run --trial`: the third composition root. All of a deploy but its switch, here, as a server would do it: a
version made of the folder, checked, and tried on a copy of the folder's data in the sandbox, where there is one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import uvloop

from steadyd.errors import SteadyError
from steadyd.linux.cgroup import Cgroups, open_cgroups
from steadyd.manifest import read_manifest
from steadyd.model import App, Draft, Origin, Version
from steadyd.records.library import open_library
from steadyd.records.schema import STEADY
from steadyd.runner import engine, process, sandbox
from steadyd.runner.app import Timing
from steadyd.runner.blobs import Blobs
from steadyd.runner.candidate import Trials
from steadyd.runner.failure import Failure
from steadyd.runner.fleet import Fleet
from steadyd.runner.folder import Place, make_root
from steadyd.runner.ground import PLUMBER_UID, UID_FIRST, Ground
from steadyd.runner.install import Installer
from steadyd.runner.launcher import Launcher
from steadyd.runner.lockfile import LOCK
from steadyd.runner.logs import Logs
from steadyd.runner.modules import Modules
from steadyd.runner.networks import Networks
from steadyd.runner.plumbing import Plumbing
from steadyd.runner.process import Spawn, settle_descriptors
from steadyd.runner.registry import Registry
from steadyd.runner.start import Starter
from steadyd.runner.tool import SCRIPT, Tools, probe
from steadyd.runner.trash import Trash
from steadyd.store import Database
from steadyd.tree import NO_LIMITS, Tree, check_tree, find_entry
from steadyd.urls import Urls
from steadyd.variables import PRODUCTION, Change, Value

SCRATCH = "/tmp"
"""Short: sockets lie in it (unix(7))."""
COPY_SECONDS_MAX = 60.0
COPY_BYTES_MAX = 1 << 30
COPY_FILES_MAX = 100_000
LOG_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """What would be deployed, and on which data."""

    name: str
    tree: Tree
    folder: Path
    """Whose files are the data, but for those of the tree and `not_data` (paths in it)."""
    not_data: Sequence[str]
    variables: Mapping[str, str]


@dataclass(slots=True)
class Tried:
    """What came of it. `steps` are names and milliseconds, in order."""

    steps: list[tuple[str, float]] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    unconfined: str = ""
    """Why there was no sandbox; "" if there was one."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.steps.append((name, (time.monotonic() - began) * 1000))


def run_trial(candidate: Candidate) -> Tried:
    """Try it; nothing in the folder is changed.

    Raises:
        SteadyError: what the deploy would be refused with, with its step and the last log lines.
    """
    return uvloop.run(_run(candidate))


# Private


async def _run(candidate: Candidate) -> Tried:
    check_tree(candidate.tree, NO_LIMITS)
    settle_descriptors()
    tried = Tried()
    with tempfile.TemporaryDirectory(prefix="steadyd-trial-", dir=SCRATCH, ignore_cleanup_errors=True) as scratch:
        os.chmod(scratch, 0o711)
        async with _ground(Path(scratch), tried) as (ground, trials, tools):
            try:
                await _try(candidate, ground, trials, tools, tried)
            except Failure as failure:
                raise failure.as_error("trial") from failure
            finally:
                await trials.settled()
                await ground.trash.close()
    return tried


@asynccontextmanager
async def _ground(scratch: Path, tried: Tried) -> AsyncIterator[tuple[Ground, Trials, Tools]]:
    """What apps stand on, for one app, in a folder that goes."""
    async with contextlib.AsyncExitStack() as stack:
        for name in ("apps", "sockets"):
            (scratch / name).mkdir(mode=0o711)
        database = stack.enter_context(contextlib.closing(Database(scratch / "steady.db", STEADY, durable=False)))
        launcher = Launcher() if sys.platform == "linux" else None
        if launcher is not None:
            stack.push_async_callback(launcher.close)
            await launcher.open()
        spawn = launcher.spawn if launcher is not None else process.spawn
        built = engine.prepare(scratch / "engine")
        tried.unconfined = await _problem(Tools(built, True, spawn), scratch)
        sandboxed = not tried.unconfined
        cgroups = _cgroups(stack) if sandboxed else None
        logs = Logs(lambda app_id: scratch / "apps" / app_id / "logs", LOG_BYTES_MAX)
        stack.push_async_callback(logs.close)
        starter = Starter(built, scratch / "sockets", logs, sandboxed, spawn, cgroups)
        starter.networks = await _networks(stack, spawn, logs) if sandboxed else None
        tools = Tools(built, sandboxed, spawn, cgroups)
        ground = Ground(
            folder=scratch / "apps",
            blobs=Blobs(scratch / "blobs"),
            library=open_library(database),
            logs=logs,
            starter=starter,
            urls=Urls("localhost", "localhost", 8080),
            timing=Timing(),
            trash=Trash(scratch / "trash", spawn),
            as_root=os.geteuid() == 0,
            installer=Installer(tools, Registry(scratch / "sockets"), Modules(scratch / "modules", scratch / "apps")),
        )
        yield ground, Trials(Fleet(ground, lambda routes: None), tools), tools


async def _problem(tools: Tools, scratch: Path) -> str:
    """Why there is no sandbox here; "" if there is one."""
    folder = scratch / "probe"
    folder.mkdir(mode=0o755)
    uid = UID_FIRST if os.geteuid() == 0 else None
    room = sandbox.Room(folder, tools.engine.folder, uid, {"PATH": "/usr/bin:/bin"}, folder_read_only=True)
    try:
        await probe(tools, room)
    except SteadyError as error:
        return error.message
    return ""


async def _networks(stack: contextlib.AsyncExitStack, spawn: Spawn, logs: Logs) -> Networks:
    """None for the trial itself, which tells whom the candidate asked for; the app's own, if it needs one."""
    plumbing = Plumbing(spawn, PLUMBER_UID if os.geteuid() == 0 else None)
    stack.push_async_callback(plumbing.close)
    await plumbing.open()
    networks = Networks(plumbing, logs)
    stack.callback(networks.close)
    stack.callback(asyncio.create_task(networks.run()).cancel)
    return networks


def _cgroups(stack: contextlib.AsyncExitStack) -> Cgroups | None:
    try:
        cgroups = open_cgroups(f"steadyd-trial-{os.getpid()}")
    except SteadyError:
        return None
    stack.callback(cgroups.close)
    return cgroups


async def _try(candidate: Candidate, ground: Ground, trials: Trials, tools: Tools, tried: Tried) -> None:
    """As `runner/deploy.py` does, to before the switch."""
    library, now = ground.library, time.time()
    operator = await library.people.operator(now)
    app = await library.apps.create(candidate.name, operator, False, now)
    values = {(PRODUCTION, name): Value(text) for name, text in candidate.variables.items()}
    app = replace(app, variables=Change(values))
    nothing = await library.versions.add(app, operator, Draft("", Origin("folder"), ()), now)
    with tried.step("data"):
        await _copy_data(candidate, ground.place(app), tools)
    version, notes = await _stage(candidate, ground, app, tried)
    async with trials.of(app, nothing, version) as tested:
        with tried.step("check"):
            await tested.check()
        if tested.tried:
            with tried.step("trial"):
                notes += await tested.run()
    tried.notes = notes


async def _stage(candidate: Candidate, ground: Ground, app: App, tried: Tried) -> tuple[Version, tuple[str, ...]]:
    tree = dict(candidate.tree)
    manifest = read_manifest(tree, ground.apps.policy, app.owner_kind)
    assert ground.installer is not None
    with tried.step("install"):
        installed = await ground.installer.install(ground.place(app), tree)
    if installed.lock is not None:
        tree[LOCK] = installed.lock
    files = tuple(await asyncio.to_thread(ground.blobs.put, tree))
    wishes = (manifest.choices, ground.starter.engine.bun_version, manifest.crons)
    draft = Draft(find_entry(tree), Origin("folder"), files, installed.modules, *wishes)
    operator = await ground.library.people.operator(time.time())
    version = await ground.versions.add(app, operator, draft, time.time())
    return version, (*manifest.notes, *installed.notes)


async def _copy_data(candidate: Candidate, place: Place, tools: Tools) -> None:
    """Everything in the folder that is no part of the version, databases consistently while they are written."""
    make_root(place)
    listing = place.root / "list"
    for folder in (place.app, listing):
        folder.mkdir()
    (listing / "shipped.json").write_text(json.dumps([*candidate.tree, *candidate.not_data]))
    extra = {"/copy": place.app, "/list": listing}
    room = sandbox.Room(candidate.folder, tools.engine.folder, None, {"PATH": "/usr/bin:/bin"}, extra=extra)
    words = [*SCRIPT, "{engine}/snapshot.ts", "{copy}", "--shipped", "{list}/shipped.json"]
    words += ["--max-bytes", str(COPY_BYTES_MAX), "--max-files", str(COPY_FILES_MAX)]
    result = await Tools(tools.engine, False, tools.spawn).run(room, words, COPY_SECONDS_MAX)
    if not result.ok:
        raise SteadyError("deploy_failed", f"The data cannot be copied: {' '.join(result.last_lines(1))}")
    await asyncio.to_thread(_give, place)


def _give(place: Place) -> None:
    """What was copied is the app's own."""
    if place.uid is None:
        return
    os.chown(place.app, 0, place.uid)
    place.app.chmod(0o1775)
    for here, folders, files in os.walk(place.app):
        for name in (*folders, *files):
            os.chown(os.path.join(here, name), place.uid, place.uid, follow_symlinks=False)
