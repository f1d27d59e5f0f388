"""What the runner's tests stand on: a real Bun, a real sandbox where this machine has one, and a claim's other side."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop

from steadyd.errors import SteadyError
from steadyd.linux.cgroup import open_cgroups
from steadyd.model import App, Death, Event, Origin, Principal, Settings
from steadyd.proxy.service import Holder, Service, Upstream
from steadyd.records.library import open_library
from steadyd.records.schema import STEADY
from steadyd.runner import engine, sandbox
from steadyd.runner.app import AppRuntime, Tell, Timing
from steadyd.runner.blobs import Blobs
from steadyd.runner.candidate import Trials
from steadyd.runner.deploy import Deployed
from steadyd.runner.engine import Engine
from steadyd.runner.fleet import Fleet, Routes
from steadyd.runner.ground import UID_FIRST, Ground
from steadyd.runner.install import Installer
from steadyd.runner.launcher import Launcher
from steadyd.runner.logs import Logs
from steadyd.runner.modules import Modules
from steadyd.runner.registry import REGISTRY, Registry
from steadyd.runner.start import Plan, Starter
from steadyd.runner.tool import Tools, probe
from steadyd.runner.trash import Trash
from steadyd.runner.workshop import open_workshop
from steadyd.store import Database
from steadyd.urls import Urls

T = TypeVar("T")

DEADLINE_SECONDS = 20.0
AS_ROOT = os.geteuid() == 0
UID = UID_FIRST + 7 if AS_ROOT else None
"""The app's uid on the host; as an ordinary user everything runs as that user."""
HELLO = 'export default { fetch: () => new Response("hello") };\n'
COUNTER = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY, at TEXT)");
const VERSION = 1;
export default {
  async fetch(request: Request) {
    if (request.url.endsWith("/write")) await Bun.write("page.html", "the app's own");
    if (request.method === "POST") db.run("INSERT INTO visits (at) VALUES ('now')");
    const { count } = db.query("SELECT count(*) AS count FROM visits").get() as { count: number };
    return new Response(`${VERSION} ${count}`);
  },
};
"""
WRITES = """
import { Database } from "bun:sqlite";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS notes (text TEXT)");
mkdirSync("files", { recursive: true });
writeFileSync("files/a.txt", "written");
try { symlinkSync("/etc", "files/link"); } catch {}
export default {
  fetch(request: Request) {
    if (request.method === "POST") db.run("INSERT INTO notes VALUES ('x')");
    return Response.json(db.query("SELECT count(*) AS count FROM notes").get());
  },
};
"""
QUICK = Timing(start_seconds=10.0, hold_seconds=5.0, drain_seconds=0.3, grace_seconds=0.5)


def run(body: Coroutine[Any, Any, T]) -> T:
    """Run a test to its end on the loop that we use in production, or fail it after a while."""

    async def bounded() -> T:
        async with asyncio.timeout(2 * DEADLINE_SECONDS):
            return await body

    return uvloop.run(bounded())


async def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Wait for something that another part, or another process, will do."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        await asyncio.sleep(0.005)


def alive(word: str) -> list[int]:
    """Processes of this machine whose command line holds `word`, zombies left out."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit() and word.encode() in Path(f"/proc/{entry}/cmdline").read_bytes():
                found.append(int(entry))
    return found


# ------------------------------------------------------------------------------------------------------- folders


@contextlib.contextmanager
def passable_folder() -> Iterator[Path]:
    """A short path that every app's uid can pass through; pytest's own are 0700 and too long for sockets."""
    path = Path(tempfile.mkdtemp(prefix="steady-", dir="/tmp"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture
def root() -> Iterator[Path]:
    with passable_folder() as path:
        yield path


@pytest.fixture(scope="session")
def bun() -> Iterator[Engine]:
    """The engine folder, made once."""
    with passable_folder() as path:
        yield engine.prepare(path / "engine")


# ------------------------------------------------------------------------------------------------------- sandbox


@cache
def sandbox_problem() -> str:
    """Why no sandbox can be made here; "" if one can: decided by really starting a program in it."""

    async def body() -> None:
        with passable_folder() as path:
            built = engine.prepare(path / "engine")
            folder = path / "app"
            folder.mkdir(mode=0o755)
            room = sandbox.Room(folder, built.folder, UID, {"PATH": "/usr/bin:/bin"}, folder_read_only=True)
            await probe(Tools(built, sandboxed=True), room)

    try:
        run(body())
    except (SteadyError, OSError) as error:
        return str(error)
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("sandbox") and (problem := sandbox_problem()):
        pytest.skip(f"no sandbox on this machine: {problem}")


BOTH = pytest.mark.parametrize("sandboxed", [pytest.param(True, marks=pytest.mark.sandbox), False])
"""Runs a test in the sandbox and without."""
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root can give each app a uid of its own")


# ------------------------------------------------------------------------------------------------------- claims


class Visitor:
    """One request's side of a claim, as the data plane is one."""

    def __init__(self) -> None:
        self.upstream: Upstream | None = None
        self.error: SteadyError | None = None
        self.settled = asyncio.Event()
        self.wound_down = False
        self.was_cut = False
        self.leaves_when_cut = True
        self.path = "/"

    def granted(self, upstream: Upstream) -> None:
        assert not self.settled.is_set()
        self.upstream = upstream
        self.settled.set()

    def refused(self, error: SteadyError) -> None:
        assert not self.settled.is_set()
        self.error = error
        self.settled.set()

    def describe(self) -> tuple[str, str]:
        return "GET", self.path

    def wind_down(self) -> None:
        self.wound_down = True

    def cut(self) -> None:
        self.was_cut = True
        if self.leaves_when_cut:
            self.leave()

    def leave(self) -> None:
        """Give the claim back, once."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.release(self)

    async def arrive(self, service: Service) -> Upstream:
        """Claim, and wait for the answer; a refusal is raised."""
        service.claim(self)
        await self.settled.wait()
        if self.error is not None:
            raise self.error
        assert self.upstream is not None
        return self.upstream


_: type[Holder] = Visitor


async def ask(service: Service, target: str = "/", method: str = "GET") -> tuple[int, str]:
    """One request from the claim to the release: status and body."""
    visitor = Visitor()
    upstream = await visitor.arrive(service)
    try:
        return await exchange(upstream.address, target, method)
    finally:
        visitor.leave()


async def exchange(address: str, target: str = "/", method: str = "GET") -> tuple[int, str]:
    """One real HTTP exchange over a Unix socket."""
    reader, writer = await asyncio.open_unix_connection(address)
    try:
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body.decode()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


# ------------------------------------------------------------------------------------------------------- apps


@asynccontextmanager
async def limits() -> AsyncIterator[dict[str, Any]]:
    """What a starter takes to set limits: this machine's cgroups, and a launcher, whose children join them."""
    launcher = Launcher()
    await launcher.open()
    cgroups = open_cgroups(f"steadyd-test-{os.getpid()}")
    try:
        yield {"spawn": launcher.spawn, "cgroups": cgroups}
    finally:
        await launcher.close()
        cgroups.close()


@cache
def cgroups_problem() -> str:
    """Why no limit can be set here; "" if one can."""
    try:
        open_cgroups(f"steadyd-test-{os.getpid()}").close()
    except SteadyError as error:
        return str(error)
    return ""


needs_cgroups = pytest.mark.skipif(bool(cgroups_problem()), reason=f"no cgroups here: {cgroups_problem()}")


class Stage:
    """A starter on a folder of its own, and what its apps told."""

    def __init__(self, root: Path, built: Engine, sandboxed: bool = True, **more: Any) -> None:
        self.root = root
        self.sockets = root / "i"
        self.sockets.mkdir(mode=0o711)
        (root / "logs").mkdir()
        self.logs = Logs(lambda app_id: root / "logs" / app_id, 64 << 20)
        self.starter = Starter(built, self.sockets, self.logs, sandboxed, **more)
        self.events: list[tuple[str, str]] = []
        self.deaths: list[Death] = []
        self.runtimes: list[AppRuntime] = []
        self.uid = UID

    def plan(self, files: Mapping[str, str] | str, entry: str = "index.ts", **more: Any) -> Plan:
        """A folder with these files (or this index.ts), which the app owns."""
        folder = self.root / f"app-{len(list(self.root.iterdir()))}"
        folder.mkdir()
        written = {"index.ts": files} if isinstance(files, str) else files
        for name, text in written.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        for path in (folder, *folder.rglob("*")):
            if self.uid is not None:
                os.chown(path, self.uid, self.uid)
        return Plan("a", 1, entry, folder, {"STEADY_APP": "a", "STEADY_ENV": "production"}, self.uid, **more)

    def runtime(self, plan: Plan, timing: Timing = QUICK) -> AppRuntime:
        async def prepare(app_id: str) -> Plan:
            return plan

        tell = Tell(
            lambda _, kind, text: self.events.append((kind, text)),
            lambda _, death: self.deaths.append(death),
            lambda _, seconds: self.events.append(("wake", f"{seconds}")),
        )
        runtime = AppRuntime("a", "a", self.starter, timing, prepare, tell)
        runtime.settings = Settings(limits=plan.limits)
        self.runtimes.append(runtime)
        return runtime

    @property
    def starts(self) -> int:
        return [kind for kind, _ in self.events].count("wake")


@asynccontextmanager
async def stage(root: Path, built: Engine, sandboxed: bool = True, **more: Any) -> AsyncIterator[Stage]:
    """A stage whose apps are gone afterwards, without a trace."""
    made = Stage(root, built, sandboxed, **more)
    try:
        yield made
    finally:
        for runtime in made.runtimes:
            await runtime.close()
        await made.logs.close()
    assert alive(str(root)) == []
    assert list(made.sockets.iterdir()) == []


# ------------------------------------------------------------------------------------------------------- the whole


class World:
    """Everything from the records to the instances, without a listener: what deploys work on."""

    def __init__(self, root: Path, built: Engine, sandboxed: bool, timing: Timing, **starter: Any) -> None:
        self.root = root
        self.sockets = root / "i"
        self.sockets.mkdir(mode=0o711, exist_ok=True)
        (root / "apps").mkdir(mode=0o711, exist_ok=True)
        self.database = Database(root / "steady.db", STEADY)
        self.library = open_library(self.database)
        self.apps, self.journal, self.people = self.library.apps, self.library.journal, self.library.people
        self.versions = self.library.versions
        self.blobs = Blobs(root / "blobs")
        self.logs = Logs(lambda app_id: root / "apps" / app_id / "logs", 10 << 20)
        self.routes: dict[str, AppRuntime] = {}
        self.moved: dict[str, str] = {}
        self.previews: dict[str, Service] = {}
        self.tools = Tools(built, sandboxed)
        registry = starter.pop("registry", REGISTRY)
        registry = registry if isinstance(registry, Registry) else Registry(self.sockets, registry)
        installer = Installer(self.tools, registry, Modules(root / "modules", root / "apps"))
        ground = Ground(
            folder=root / "apps",
            blobs=self.blobs,
            library=self.library,
            logs=self.logs,
            starter=Starter(built, self.sockets, self.logs, sandboxed, **starter),
            urls=Urls("localhost", "localhost", 8080),
            timing=timing,
            trash=Trash(root / "trash"),
            as_root=AS_ROOT,
            installer=installer,
        )
        self.heard: list[tuple[str, Event]] = []
        self.fleet = Fleet(ground, self._set_routes, lambda app_id, event: self.heard.append((app_id, event)))
        self.trials = Trials(self.fleet, self.tools)
        self.workshop = open_workshop(self.fleet, installer, self.trials)
        self.deployer, self.controller = self.workshop.deployer, self.workshop.controller
        self.removal = self.workshop.removal

    def _set_routes(self, routes: Routes) -> None:
        self.routes, self.moved, self.previews = dict(routes.apps), dict(routes.moved), dict(routes.previews)

    async def create(self, files: Mapping[str, str | bytes] | str, name: str = "hello", **more: Any) -> Deployed:
        return await self.deployer.create(await self.operator(), name, tree(files), Origin("paste"), False, **more)

    async def deploy(self, files: Mapping[str, str | bytes] | str, name: str = "hello", **more: Any) -> Deployed:
        return await self.deployer.deploy(
            await self.operator(), await self.app(name), tree(files), Origin("paste"), **more
        )

    async def operator(self) -> Principal:
        return await self.people.operator(1.0)

    async def app(self, name: str = "hello") -> App:
        found = await self.apps.by_name(name)
        assert found is not None
        return found

    async def ask(self, target: str = "/", method: str = "GET", name: str = "hello") -> str:
        """A request by host name; its answer must be a 200."""
        status, body = await ask(self.routes[f"{name}.localhost"], target, method)
        assert status == 200, body
        return body

    async def rows(self, sql: str) -> list[Any]:
        return await self.database.read(lambda db: db.execute(sql).fetchall())


def tree(files: Mapping[str, str | bytes] | str) -> dict[str, bytes]:
    written = {"index.ts": files} if isinstance(files, str) else files
    return {path: text.encode() if isinstance(text, str) else text for path, text in written.items()}


@asynccontextmanager
async def world(
    root: Path, built: Engine, sandboxed: bool = True, timing: Timing = QUICK, **starter: Any
) -> AsyncIterator[World]:
    """A daemon's inside, started like one. May be entered again on the same folder: a restart."""
    made = World(root, built, sandboxed, timing, **starter)
    try:
        await made.workshop.recover()
        await made.fleet.load()
        yield made
    finally:
        await made.workshop.close()
        await made.fleet.close()
        await made.logs.close()
        made.database.close()
    assert alive(str(root)) == []
    assert list(made.sockets.iterdir()) == []
