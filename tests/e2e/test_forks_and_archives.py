"""An app that goes elsewhere, and one that becomes two: real daemons, the real command line, writers all the time."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.served import Daemon, data_folder, remove, until

APP = """
import { Database } from "bun:sqlite";
import { mkdirSync, writeFileSync } from "node:fs";
const open = (path: string) => {
  const db = new Database(path);
  db.run("PRAGMA journal_mode = WAL");
  db.run("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY AUTOINCREMENT, client TEXT, n INTEGER)");
  return db;
};
mkdirSync("sub", { recursive: true });
const [one, two] = [open("data.sqlite"), open("sub/two.sqlite")];
export default {
  fetch(request: Request) {
    const query = new URL(request.url).searchParams;
    if (request.method === "POST") {
      const values = [query.get("client"), Number(query.get("n"))] as [string, number];
      one.run("INSERT INTO rows (client, n) VALUES (?, ?)", values);
      two.run("INSERT INTO rows (client, n) VALUES (?, ?)", values);
      if (query.has("file")) writeFileSync(`sub/${values[1]}.txt`, "mine");
    }
    return Response.json(one.query("SELECT client, n FROM rows ORDER BY id").all());
  },
};
"""
PACKAGE = '{"steady": {"crons": [{"id": "tick", "schedule": "@hourly", "path": "/"}]}}'
WRITERS = 8
WRITE_SECONDS = 1.5
DATABASES = ("data.sqlite", "sub/two.sqlite")


@pytest.fixture(scope="module")
def daemons() -> Iterator[tuple[Daemon, Daemon]]:
    folders = (data_folder(), data_folder())
    made: list[Daemon] = []
    try:
        made = [Daemon(data) for data in folders]
        yield made[0], made[1]
    finally:
        for daemon in made:
            daemon.kill()
        for data in folders:
            remove(data)


def steadyd(home: Path, *words: str, daemon: Daemon | None = None) -> str:
    """The command line, as a user has it; what it prints."""
    there = [] if daemon is None else ["--server", daemon.url, "--token", daemon.token]
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-m", "steadyd", *words, *there],
        env=environ, cwd=home, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def folder_of(daemon: Daemon, name: str) -> Path:
    with closing(sqlite3.connect(f"file:{daemon.data}/steady.db?mode=ro", uri=True)) as db:
        (app_id,) = db.execute("SELECT id FROM apps WHERE name = ?", (name,)).fetchone()
    return daemon.data / "apps" / str(app_id) / "app"


def rows_of(folder: Path, path: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return db.execute("SELECT id, client, n FROM rows ORDER BY id").fetchall()


def shown(daemon: Daemon, name: str) -> dict[str, Any]:
    """What is told of an app that does not depend on where it is."""
    versions = daemon.api("GET", f"/apps/{name}/versions").json()["versions"]
    for version in versions:
        version["files"] = daemon.api("GET", f"/apps/{name}/versions/{version['version']}/files").json()["files"]
        for where in ("author", "live_at", "env", "databases"):
            version.pop(where, None)
    app = daemon.api("GET", f"/apps/{name}").json()["app"]
    return {"versions": versions, "settings": app["settings"], "limits": app["limits"], "version": app["version"]}


@pytest.mark.slow
def test_an_app_goes_to_a_laptop_and_to_another_host(daemons: tuple[Daemon, Daemon], tmp_path: Path) -> None:
    one, other = daemons
    one.create("shop", {"index.ts": APP, "package.json": PACKAGE, "old.txt": "old"})
    one.api(
        "POST", "/apps/shop/deploys", json={"files": {"index.ts": APP, "package.json": PACKAGE}, "message": "Less."}
    )
    one.api("POST", "/apps/shop/deploys", json={"merge": True, "files": {"later.txt": "later"}})
    assert one.api("POST", "/apps/shop/rollback", json={"version": 2}).status_code == 201
    one.api("PATCH", "/apps/shop/settings", json={"memory": "192MiB", "idle": "30s", "trial": {"health": False}})
    one.api("PUT", "/apps/shop/env", json={"TOKEN": "s3cr3t"})
    for n in range(20):
        one.ask("shop", f"/?client=c&n={n}&file=1", "POST")
    said = one.ask("shop").json()

    steadyd(tmp_path, "pull", "shop", "--data", daemon=one)
    assert b"s3cr3t" not in (tmp_path / "shop.steady").read_bytes()
    assert one.ask("shop", "/?client=c&n=99", "POST").status_code == 200, "which is not in it"

    process = subprocess.Popen(
        [sys.executable, "-m", "steadyd", "run", "shop.steady", "--port", "0"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        found = next(match for line in process.stdout if (match := re.search(r"http://localhost:(\d+)", line)))
        assert httpx.get(found[0], timeout=20).json() == said
    finally:
        process.kill()
        process.communicate()

    steadyd(tmp_path, "deploy", "shop.steady", "--name", "store", daemon=other)
    assert other.ask("store").json() == said
    assert shown(other, "store") == shown(one, "shop")
    here, there = folder_of(other, "store"), tmp_path / "shop"
    for path in DATABASES:
        assert rows_of(here, path) == rows_of(there, path)
        assert len(rows_of(here, path)) == 20
    assert sorted(path.name for path in (here / "sub").glob("*.txt")) == sorted(f"{n}.txt" for n in range(20))
    crons = other.api("GET", "/apps/store/crons").json()["crons"]
    assert [(cron["id"], cron["enabled"]) for cron in crons] == [("tick", False)]
    assert list(other.api("GET", "/apps/store/env").json()["env"]) == ["TOKEN"]
    rolled = other.api("POST", "/apps/store/rollback", json={"version": 1})
    assert rolled.status_code == 201, rolled.text
    assert other.ask("store").json() == said

    other.ask("store", "/?client=c&n=100&file=1", "POST").raise_for_status()
    steadyd(tmp_path, "deploy", "shop.steady", "--name", "store", "--replace-data", daemon=other)
    assert other.ask("store").json() == said
    assert not (here / "sub/100.txt").exists()
    point = other.api("GET", "/apps/store/backups").json()["points"][0]
    assert point["kind"] == "deploy"
    back = other.api("POST", "/apps/store/restore", json={"point": point["id"]})
    assert back.status_code == 201, back.text
    assert other.ask("store").json()[-1]["n"] == 100
    assert (here / "sub/100.txt").read_text() == "mine"


@dataclass
class Writer:
    """One client that writes 1, 2, 3, …, each when the one before was acknowledged."""

    daemon: Daemon
    name: str
    app: str = "busy"
    acknowledged: int = 0
    failures: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with httpx.Client(headers={"Host": f"{self.app}.localhost"}, timeout=30) as client:
            while not self.stopping.is_set():
                n = self.acknowledged + 1
                answer = client.post(f"{self.daemon.url}/?client={self.name}&n={n}")
                if answer.status_code != 200:
                    self.failures.append(answer.text)
                    return
                self.acknowledged = n


@pytest.mark.slow
def test_a_fork_under_writers_is_exactly_a_committed_prefix(daemons: tuple[Daemon, Daemon]) -> None:
    daemon, _ = daemons
    daemon.create("busy", {"index.ts": APP})
    writers = [Writer(daemon, f"w{number}") for number in range(WRITERS)]
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    bounds: dict[str, tuple[dict[str, int], dict[str, int]]] = {}
    end = time.monotonic() + WRITE_SECONDS
    while time.monotonic() < end or len(bounds) < 3:
        name = f"fork-{len(bounds)}"
        before = {writer.name: writer.acknowledged for writer in writers}
        made = daemon.api("POST", "/apps/busy/fork", json={"name": name})
        assert made.status_code == 201, made.text
        bounds[name] = before, {writer.name: writer.acknowledged + 1 for writer in writers}
    daemon.ask(name, "/?client=fork&n=1", "POST").raise_for_status()
    for writer, thread in zip(writers, threads, strict=True):
        writer.stopping.set()
        thread.join()
        assert writer.failures == []
    whole = [(client, n) for _, client, n in rows_of(folder_of(daemon, "busy"), "data.sqlite")]
    assert len(whole) == sum(writer.acknowledged for writer in writers), "neither lost nor doubled"

    def pinned() -> bool:
        points = daemon.api("GET", "/apps/busy/backups").json()["points"]
        return [point["kind"] for point in points if point["state"] == "pinned"] == ["fork"] * len(bounds)

    until(pinned, 20.0)
    for name, (before, after) in bounds.items():
        folder = folder_of(daemon, name)
        for path in DATABASES:
            rows = [row for row in rows_of(folder, path) if row[1] != "fork"]
            assert [row[0] for row in rows] == list(range(1, len(rows) + 1)), "no row is missing before the last"
            counted = {writer.name: [n for _, client, n in rows if client == writer.name] for writer in writers}
            for client, ns in counted.items():
                assert ns == list(range(1, len(ns) + 1))
                assert before[client] <= len(ns) <= after[client], (name, path, client)
        first = [(client, n) for _, client, n in rows_of(folder, "data.sqlite") if client != "fork"]
        assert first == whole[: len(first)]


@pytest.mark.slow
def test_an_earlier_moment_becomes_a_fork_and_an_archive(daemons: tuple[Daemon, Daemon], tmp_path: Path) -> None:
    """With the version, the rows and the files of then."""
    daemon, _ = daemons
    daemon.create("mart", {"index.ts": APP, "then.txt": "then"})
    for n in range(5):
        daemon.ask("mart", f"/?client=c&n={n}&file=1", "POST").raise_for_status()
    made = daemon.api("POST", "/apps/mart/backups", json={"note": "five"})
    assert made.status_code == 201, made.text
    point = made.json()["point"]["id"]
    assert daemon.api("POST", "/apps/mart/deploys", json={"files": {"index.ts": APP}}).status_code == 201
    daemon.ask("mart", "/?client=c&n=99&file=1", "POST").raise_for_status()
    forked = json.loads(steadyd(tmp_path, "fork", "mart", "before", "--at", f"{point}", "--json", daemon=daemon))
    assert forked["at"] == made.json()["point"]["at"]
    assert [row["n"] for row in daemon.ask("before").json()] == [0, 1, 2, 3, 4]
    assert sorted(path.name for path in (folder_of(daemon, "before") / "sub").glob("*.txt")) == [
        f"{n}.txt" for n in range(5)
    ]
    assert (folder_of(daemon, "before") / "then.txt").read_text() == "then"
    steadyd(tmp_path, "pull", "mart", "--data", "--at", f"{point}", "--into", "then", daemon=daemon)
    for path in DATABASES:
        assert rows_of(tmp_path / "then", path) == rows_of(folder_of(daemon, "before"), path)
    assert (tmp_path / "then/then.txt").read_text() == "then"

    daemon.ask("before", "/?client=c&n=7", "POST").raise_for_status()
    own = daemon.api("POST", "/apps/before/backups", json={}).json()["point"]["id"]
    daemon.ask("before", "/?client=c&n=8", "POST").raise_for_status()
    back = daemon.api("POST", "/apps/before/restore", json={"point": own})
    assert back.status_code == 201, back.text + daemon.api("GET", "/apps/before/logs").text
    assert [row["n"] for row in daemon.ask("before").json()] == [0, 1, 2, 3, 4, 7], "a history of its own"
