"""The control plane over the real rooms: a real database, a real fleet, real Bun processes; only the sandbox is left
out, so that these tests run without root."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from steadyd.backup.changed import Changed
from steadyd.backup.enclosure import Enclosure
from steadyd.backup.litestream import Litestream, Means
from steadyd.backup.objects import Objects
from steadyd.backup.past import Past
from steadyd.backup.room import Backups, Whither, keeper, make_backups, make_replica
from steadyd.backup.target import Target, TargetKind
from steadyd.model import App, Principal
from steadyd.notices import Notices
from steadyd.post import Post
from steadyd.records.library import open_library
from steadyd.records.metrics import Metrics
from steadyd.records.requests import Requests
from steadyd.records.schema import STEADY
from steadyd.runner import engine, process
from steadyd.runner.app import Timing
from steadyd.runner.blobs import Blobs
from steadyd.runner.candidate import Trials
from steadyd.runner.comparison import Comparison
from steadyd.runner.crons import Scheduler
from steadyd.runner.engine import Engine
from steadyd.runner.errand import Errands
from steadyd.runner.fleet import Fleet
from steadyd.runner.ground import Ground
from steadyd.runner.install import Installer
from steadyd.runner.logs import Logs
from steadyd.runner.modules import Modules
from steadyd.runner.query import Databases
from steadyd.runner.registry import Registry
from steadyd.runner.start import Starter
from steadyd.runner.tool import Tools
from steadyd.runner.trash import Trash
from steadyd.runner.workshop import Workshop, open_workshop
from steadyd.runner.writing import Writing
from steadyd.store import Database
from steadyd.urls import Urls
from steadyd.web.app import Rooms, build
from tests.backup.files import Files

CONTROL = "http://localhost:8080"
CLIENT = "203.0.113.9"
HELLO = b"export default { fetch: () => new Response('hello') }\n"
NOISY = b"console.log('up and running');\n" + HELLO
BROKEN = b"export default {\n  fetch( => 1\n}\n"


@dataclass
class Stage:
    """One control plane. `clock` is what it takes for the time, if it is set."""

    rooms: Rooms
    web: Starlette
    operator: Principal
    operator_token: str
    folder: Path
    moments: Files
    """What the replica holds of each app's `data.sqlite`."""

    def client(self, token: str = "", **headers: str) -> httpx.AsyncClient:
        """A program from outside; its cookies are kept like a browser's."""
        sent = {"x-forwarded-for": CLIENT, "accept": "*/*", **headers}
        if token:
            sent["authorization"] = f"Bearer {token}"
        transport = httpx.ASGITransport(self.web, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url=CONTROL, headers=sent)

        async def bring(request: httpx.Request) -> None:
            """Secure cookies too, as browsers do to localhost."""
            if cookies := [f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar]:
                request.headers.setdefault("cookie", "; ".join(cookies))

        client.event_hooks = {"request": [bring]}
        return client

    async def guest(self) -> str:
        """A new guest's token."""
        return await self.rooms.people.add_token(await self.rooms.people.add_guest(0.0), "test", 0.0)

    async def app(self, name: str, token: str = "", content: bytes = HELLO) -> App:
        """A running app, owned by the operator or by whoever has `token`."""
        async with self.client(token or self.operator_token) as client:
            made = await client.put(f"/api/apps/{name}", content=content)
        assert made.status_code == 201, made.text
        found = await self.rooms.apps.by_name(name)
        assert found is not None
        return found

    async def settled(self) -> None:
        """Return when every event so far is in the records."""
        await asyncio.gather(*self.rooms.fleet._notes)

    async def nobody_is_new(self) -> bool:
        """No app, no guest."""
        apps = await self.rooms.apps.everything() + await self.rooms.apps.everything(deleted=True)
        guests = await self.rooms.apps._database.read(
            lambda db: db.execute("SELECT count(*) FROM principals WHERE kind = 'guest'").fetchall()[0][0]
        )
        return not apps and guests == 0

    async def nothing_is_written(self) -> bool:
        """No app, no guest, no content."""
        blobs = [path for path in (self.folder / "blobs").rglob("*") if path.is_file()]
        return await self.nobody_is_new() and not blobs

    def rebuilt(self, **changes: Any) -> Stage:
        """The same rooms behind a control plane that is configured otherwise."""
        rooms = replace(self.rooms, **changes)
        return replace(self, rooms=rooms, web=build(rooms))


Body = Callable[[Stage], Awaitable[None]]
Web = Callable[[Body], None]


@pytest.fixture(scope="session")
def built_engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return engine.prepare(tmp_path_factory.mktemp("engine"))


@pytest.fixture
def web(tmp_path: Path, built_engine: Engine) -> Web:
    """Run an async test body against a fresh control plane."""

    def run(body: Body) -> None:
        async def main() -> None:
            async with stage(tmp_path, built_engine) as made:
                await body(made)

        asyncio.run(main())

    return run


@asynccontextmanager
async def stage(folder: Path, built: Engine) -> AsyncIterator[Stage]:
    for name in ("apps", "blobs", "run"):
        (folder / name).mkdir()
    database = Database(folder / "steady.db", STEADY)
    library = open_library(database)
    people = library.people
    urls = Urls("localhost", "localhost", 8080)
    logs = Logs(lambda app_id: folder / "apps" / app_id / "logs", 1 << 20)
    requests = Requests(lambda app_id: folder / "apps" / app_id)
    starter = Starter(built, folder / "run", logs, sandboxed=False)
    timing = Timing(start_seconds=10.0)
    ground = Ground(
        folder=folder / "apps", blobs=Blobs(folder / "blobs"), library=library, logs=logs, starter=starter,
        urls=urls, timing=timing, trash=Trash(folder / "trash"), as_root=False, forget=requests.forget,
    )  # fmt: skip
    metrics = Metrics(requests)
    fleet = Fleet(ground, lambda routes: None)
    tools = Tools(built, sandboxed=False)
    workshop = open_workshop(
        fleet,
        Installer(tools, Registry(folder / "run"), Modules(folder / "modules", folder / "apps")),
        Trials(fleet, tools),
    )
    notices = Notices(library.apps, people, urls, Post(), "test-host", lambda app_id, text: logs.say(app_id, 0, text))
    told = (library, requests, metrics, logs)
    errands = Errands(fleet.runtime, urls.app, lambda told: None, logs.say, library.crons.key)
    crons = Scheduler(library.crons, errands.run, fleet.note)
    (folder / "moments").mkdir()
    moments = Files(folder / "moments")
    past = Past(ground, moments.at, moments)
    changed = Changed(past, Comparison(ground, tools), Writing(workshop.controller))
    backups = kept(folder, fleet, workshop, tools)
    more: dict[str, Any] = {
        "databases": Databases(ground, tools), "crons": crons, "changed": changed, "backups": backups,
    }  # fmt: skip
    rooms = Rooms(*told, fleet, workshop, notices, urls, True, "test-host", **more)
    operator = await people.operator(0.0)
    token = await people.add_token(operator, "test", 0.0)
    try:
        yield Stage(rooms, build(rooms), operator, token, folder, moments)
    finally:
        await past.close()
        await notices.close()
        await crons.close()
        await workshop.close()
        await fleet.close()
        requests.close()
        await logs.close()
        database.close()


def kept(folder: Path, fleet: Fleet, workshop: Workshop, tools: Tools) -> Backups:
    """The rooms that keep data, at rest: nothing is replicated."""
    target = Target(TargetKind.FILE, folder / "replica")
    nobody = Enclosure("apps", Path("/nowhere"), folder / "litestream", folder / "apps", as_root=False, sandboxed=False)
    apart = Litestream(nobody, Means(process.spawn), 30.0)
    replica = make_replica(fleet.ground, Whither(Objects(target), 1, folder / "steady.db", 30.0, 100, 5.0), apart)
    return make_backups(replica, keeper(replica, fleet), workshop, tools)


def code(response: httpx.Response) -> str:
    """The error code, which header and body must agree on."""
    said = response.json()["error"]
    assert set(said) == {"code", "message", "details"}
    assert response.headers["steady-error"] == said["code"]
    assert response.text.endswith("}\n")
    return str(said["code"])


def form_token(page: str) -> str:
    """The token that a page's forms carry."""
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
    assert found, page
    return found[1]
