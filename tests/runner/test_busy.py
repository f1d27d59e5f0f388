"""Apps' databases wait for a lock: whoever replicates one takes its write lock for moments, and Bun's default is to
fail at once."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from steadyd.runner.engine import Engine, find_bun
from steadyd.runner.repls import Repls
from tests.runner.bun_app import BunApp, write_files
from tests.runner.conftest import COUNTER, ask, needs_cgroups, needs_root, run, world
from tests.runner.test_repl import ask as evaluate
from tests.runner.test_zygote import nursed

HELD_SECONDS = 0.3
WRITES = """
import { Database } from "bun:sqlite";
import { DatabaseSync } from "node:sqlite";
const opened = {
  bun: new Database("data.sqlite"), static: Database.open("data.sqlite"), node: new DatabaseSync("data.sqlite"),
  mine: new (class Mine extends Database {})("data.sqlite"),
};
const write = (db) => (db.run ?? db.exec).call(db, "INSERT INTO t VALUES (1)");
const tried = () => Object.entries(opened).map(([name, db]) => {
  try { write(db); return [name, "written"]; } catch (error) { return [name, String(error.message)]; }
});
const asked = (db) => db.prepare("PRAGMA busy_timeout").get().timeout;
const pages = (db) => db.prepare("PRAGMA wal_autocheckpoint").get().wal_autocheckpoint;
const own = new Database("data.sqlite");
own.run("PRAGMA busy_timeout = 7");
const unseen = [
  new Database(":memory:") instanceof Database, Database.deserialize(opened.bun.serialize()) instanceof Database,
  Database.name, opened.mine.constructor.name, Bun.inspect(opened.bun).split(" ")[0],
  ...Object.values(opened).map(pages),
  asked(own), ...[8, 0].map((timeout) => asked(new DatabaseSync("data.sqlite", { timeout }))),
];
let failed = "";
try { new Database("nowhere/data.sqlite"); } catch (error) { failed = error.stack; }
"""
SERVES = WRITES + "export default { fetch: () => Response.json({ tried: tried(), unseen, failed }) };\n"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else's write lock, given back after a moment."""
    began, ended = threading.Event(), threading.Event()

    def hold() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            began.set()
            ended.wait(HELD_SECONDS)
            db.execute("ROLLBACK")

    thread = threading.Thread(target=hold)
    thread.start()
    assert began.wait(10)
    try:
        yield
    finally:
        ended.set()
        thread.join()


def table(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (a)")
        db.commit()
    return path


def test_every_database_waits_for_a_lock_and_nothing_else_is_seen_of_that(tmp_path: Path) -> None:
    table(tmp_path / "data.sqlite")
    write_files(tmp_path, {"index.ts": SERVES})
    with BunApp(tmp_path) as app:
        app.wait("ready")
        with locked(tmp_path / "data.sqlite"):
            said = app.get().json
    assert {outcome for _, outcome in said["tried"]} == {"written"}
    assert said["unseen"] == [True, True, "Database", "Mine", "Database", *[10_000] * 4, 7, 8, 0]
    assert "index.ts" in said["failed"].split("\n")[1] + said["failed"].split("\n")[2]
    assert "sqlite.ts" not in said["failed"]


def test_without_that_it_fails_at_once(tmp_path: Path) -> None:
    """What this is for: if Bun's own default changes one day, the harness need not."""
    path = table(tmp_path / "data.sqlite")
    (tmp_path / "index.ts").write_text(WRITES + "console.log(JSON.stringify(tried()));")
    with locked(path):
        command = [str(find_bun()), "--no-install", "index.ts"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=20)
    assert {outcome for _, outcome in json.loads(done.stdout)} == {"database is locked"}


@needs_cgroups
@needs_root
@pytest.mark.sandbox
def test_one_from_a_zygote_waits_too(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with nursed(root, bun) as (here, nursery):
            plan = here.plan(SERVES)
            table(plan.folder / "data.sqlite")
            assert plan.uid is not None
            for path in plan.folder.glob("data.sqlite*"):
                os.chown(path, plan.uid, plan.uid)
            assert nursery.ready
            runtime = here.runtime(plan)
            await ask(runtime)
            with locked(plan.folder / "data.sqlite"):
                said = json.loads((await asyncio.wait_for(ask(runtime), 10))[1])
            assert {outcome for _, outcome in said["tried"]} == {"written"}

    run(body())


def test_one_in_the_repl_waits_too(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(COUNTER)
            await here.ask("/", "POST")
            session = await Repls(here.fleet).open(await here.app(), "somebody")
            await evaluate(session, 'import { Database } from "bun:sqlite"; const db = new Database("data.sqlite")')
            path = here.fleet.ground.place(await here.app()).app / "data.sqlite"
            with locked(path):
                wrote = await evaluate(session, "db.run(\"INSERT INTO visits (at) VALUES ('repl')\").changes")
            assert wrote[1:] == ("value", "1")

    run(body())


@pytest.mark.parametrize("ending", ["", "process.exit(0)", "process.on('exit', () => first.run(ADD)); process.exit(0)"])
@pytest.mark.parametrize("made", ["new Database('data.sqlite')", "new DatabaseSync('data.sqlite')"])
def test_the_log_stays_when_an_app_ends_by_itself(tmp_path: Path, made: str, ending: str) -> None:
    """Whoever replicates a database has it open and reads its log. Bun empties that at its own end, at any price."""
    source = (
        'import { Database } from "bun:sqlite"; import { DatabaseSync } from "node:sqlite";'
        f"const ADD = 'INSERT INTO t VALUES (1)'; const first = {made}; first.run ??= first.exec;"
        f"first.run(ADD); {ending}"
    )
    (tmp_path / "index.ts").write_text(source)
    table(tmp_path / "data.sqlite")
    with closing(sqlite3.connect(tmp_path / "data.sqlite")) as replicator:
        replicator.execute("SELECT * FROM t").fetchall()
        preload = Path("steadyd/runner/harness/sqlite.ts").resolve()
        command = [str(find_bun()), "--no-install", "--preload", str(preload), "index.ts"]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=20)
        assert (tmp_path / "data.sqlite-wal").stat().st_size > 0
        assert len(replicator.execute("SELECT * FROM t").fetchall()) == 1 + ("first.run(ADD))" in ending)
