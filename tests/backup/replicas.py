"""A real Litestream, in the sandbox where this machine has one, over apps' folders in which the test itself writes."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from steadyd.backup import layout, registrar
from steadyd.backup.enclosure import Enclosure
from steadyd.backup.litestream import Litestream, Means
from steadyd.backup.replication import Replication, boot_id
from steadyd.backup.tally import Tally
from steadyd.backup.target import Target, TargetKind
from steadyd.model import AppState
from steadyd.records.library import open_library
from steadyd.records.schema import STEADY
from steadyd.runner.engine import find_litestream
from steadyd.runner.folder import FOLDER_MODE, Place
from steadyd.runner.launcher import Launcher
from steadyd.runner.trash import Trash
from steadyd.store import Database
from tests.records.test_targets import an_app
from tests.runner.conftest import AS_ROOT, UID, sandbox_problem

SANDBOXED = not sandbox_problem()


def enclosure(root: Path, **more: object) -> Enclosure:
    for name in ("apps", "replica"):
        (root / name).mkdir(mode=0o711, exist_ok=True)
    said = {"replica": root / "replica", "as_root": AS_ROOT, "sandboxed": SANDBOXED, **more}
    said = {"name": "test", "folder": root / "apps", **said}
    return Enclosure(program=find_litestream(), corner=root / "ls", **said)  # type: ignore[arg-type]


@asynccontextmanager
async def running(enclosed: Enclosure) -> AsyncIterator[Litestream]:
    """Litestream, up."""
    launcher = Launcher()
    await launcher.open()
    litestream = Litestream(enclosed, Means(launcher.spawn, launcher.show if enclosed.as_root else None), 30)
    task = asyncio.create_task(litestream.run())
    try:
        await litestream.until_up()
        yield litestream
    finally:
        task.cancel()
        await asyncio.wait({task})
        await launcher.close()


class Replicas:
    """Replication over `root`/apps, to a folder."""

    def __init__(self, root: Path, litestream: Litestream, database: Database) -> None:
        self.root = root
        self.litestream = litestream
        self.database = database
        self.library = open_library(database)
        self.target = Target(TargetKind.FILE, root / "replica")
        self.slots = asyncio.Semaphore(4)
        self.days = 30.0
        self.tally = Tally()
        self.replication = self.another()

    def another(self) -> Replication:
        """As after another start of the daemon."""
        return Replication(self.means, self.place)

    @property
    def means(self) -> registrar.Means:
        return registrar.Means(
            self.litestream,
            self.library.lines,
            self.library.stands,
            Trash(self.root / "trash"),
            lambda app_id, line: self.target.replica_url(layout.line(app_id, 1, line)),
            1,
            self.slots,
            self.days,
            self.tally.add,
            boot_id(),
        )

    def place(self, app_id: str) -> Place:
        return Place(self.root / "apps" / app_id, UID)

    async def app(self, name: str = "first") -> tuple[str, Path]:
        """A new app; returns its id and its folder."""
        app_id = await an_app(self.database, name)
        folder = self.place(app_id).app
        folder.mkdir(parents=True)
        folder.chmod(FOLDER_MODE)
        if UID is not None:
            os.chown(folder, 0, UID)
        return app_id, folder

    def ltx(self, app_id: str, level: int = 0) -> list[str]:
        """LTX files in the replica: line / last transaction."""
        found = (self.root / "replica" / "apps" / app_id).glob(f"*/*/ltx/{level}/*.ltx")
        return sorted(f"{path.parts[-4]}/{int(path.stem.partition('-')[2], 16)}" for path in found)

    def wake(self, app_id: str) -> None:
        self.replication.turned(app_id, AppState.RUNNING)

    def sleep(self, app_id: str) -> None:
        self.replication.turned(app_id, AppState.STOPPED)


@asynccontextmanager
async def replicas(root: Path, target: Target | None = None) -> AsyncIterator[Replicas]:
    """To a folder, or to that bucket."""
    bucket = {"replica": None, "environ": target.litestream_environment} if target is not None else {}
    async with running(enclosure(root, **bucket)) as litestream:
        with closing(Database(root / "steady.db", STEADY)) as database:
            here = Replicas(root, litestream, database)
            here.target = target or here.target
            ticking = asyncio.create_task(here.replication.run())
            try:
                yield here
                await here.replication.close(5.0)
            finally:
                ticking.cancel()
                await asyncio.wait({ticking})


def write(path: Path, rows: int = 1) -> None:
    """Commit rows in a database as its app would: in WAL mode, and closed again."""
    with closing(opened(path)) as db:
        for _ in range(rows):
            db.execute("INSERT INTO t (at) VALUES (datetime())")
            db.commit()


def opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=10)
    db.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, at TEXT)")
    if UID is not None:
        for suffix in ("", "-wal", "-shm"):
            if Path(f"{path}{suffix}").exists():
                os.chown(f"{path}{suffix}", UID, UID)
    return db
