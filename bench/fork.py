"""A fork of an app with 10 MB of data, through the real daemon, beside `cp` of the same folder and beside Litestream's
own restore of the same database, in one interleaved run.

    python -m bench.fork [ROUNDS]

Each round does, in turn: `cp -a` of the folder, and a sync of its files, as a fork has one; `litestream restore` of the
app's replica; a fork; the same while a client writes to the app; and the first request to a fork. Prints
p50 and p95, the steps of a fork, and exits with 1 if the bar is missed.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx

from bench.isolation import bar
from bench.runtimes import interleaved
from steadyd.runner.engine import find_litestream
from tests.served import Daemon, data_folder, remove, until

FORK_MS_MAX = 500.0
"""Well under a second."""
SOURCE = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS rows (x BLOB)");
export default {
  fetch(request) {
    if (request.method === "PUT") {
      for (let n = 0; n < 100; n++) db.run("INSERT INTO rows VALUES (randomblob(1e5))");
      db.run("PRAGMA wal_checkpoint(TRUNCATE)");
    }
    if (request.method === "POST") db.run("INSERT INTO rows VALUES (randomblob(100))");
    return new Response("well");
  },
};
"""
FORK, BUSY, CP, RESTORE, FIRST = (
    "fork",
    "fork, under a writer",
    "cp -a, and sync",
    "litestream restore",
    "first request",
)


class Forks:
    """The calls that are measured, and how long their steps took."""

    def __init__(self, daemon: Daemon, client: httpx.Client, folder: Path) -> None:
        self._daemon = daemon
        self._client = client
        self._folder = folder
        self._number = 0
        self.steps: dict[str, list[float]] = defaultdict(list)

    def fork(self) -> float:
        name, took = self._fork()
        self._drop(name)
        return took

    def busy(self) -> float:
        """The same while somebody writes without a pause."""
        stopping = threading.Event()
        writer = threading.Thread(target=self._write, args=(stopping,))
        writer.start()
        try:
            return self.fork()
        finally:
            stopping.set()
            writer.join()

    def first_request(self) -> float:
        """To a fork that was never started."""
        name, _ = self._fork()
        began = time.perf_counter()
        self._daemon.ask(name).raise_for_status()
        took = (time.perf_counter() - began) * 1000
        self._drop(name)
        return took

    def cp(self, source: Path) -> float:
        target = self._folder / "cp"
        began = time.perf_counter()
        subprocess.run(["cp", "-a", str(source), str(target)], check=True)
        for path in target.rglob("*"):
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        took = (time.perf_counter() - began) * 1000
        shutil.rmtree(target)
        return took

    def restore(self, replica: Path) -> float:
        target = self._folder / "restored.sqlite"
        began = time.perf_counter()
        words = [str(find_litestream()), "restore", "-o", str(target), f"file://{replica}"]
        subprocess.run(words, check=True, capture_output=True)
        took = (time.perf_counter() - began) * 1000
        target.unlink()
        return took

    # Private

    def _fork(self) -> tuple[str, float]:
        self._number += 1
        name = f"fork-{self._number}"
        began = time.perf_counter()
        answer = self._client.post("/api/apps/shop/fork", json={"name": name})
        took = (time.perf_counter() - began) * 1000
        answer.raise_for_status()
        operation = self._client.get("/api/apps/shop/operations?limit=1").json()["operations"][0]
        for step in operation["steps"]:
            self.steps[step["name"]].append(step["ms"])
        return name, took

    def _drop(self, name: str) -> None:
        self._client.delete(f"/api/apps/{name}?purge=1").raise_for_status()

    def _write(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self._daemon.ask("shop", method="POST").raise_for_status()


def places(daemon: Daemon) -> tuple[Path, Path]:
    """The app's folder, and where its database's replica is."""
    with closing(sqlite3.connect(f"file:{daemon.data}/steady.db?mode=ro", uri=True)) as db:
        (app_id,) = db.execute("SELECT id FROM apps WHERE name = 'shop'").fetchone()
    replica = daemon.data / "replica" / "apps" / str(app_id)
    found: list[Path] = until(lambda: list(replica.glob("*/*/ltx")), 30.0)
    return daemon.data / "apps" / str(app_id) / "app", found[0].parent


def measure(daemon: Daemon, client: httpx.Client, scratch: Path, rounds: int) -> tuple[dict[str, list[float]], Forks]:
    client.put("/api/apps/shop", json={"files": {"index.ts": SOURCE}}).raise_for_status()
    daemon.ask("shop", method="PUT").raise_for_status()
    folder, replica = places(daemon)
    forks = Forks(daemon, client, scratch)
    steps: dict[str, Callable[[], float]] = {
        CP: lambda: forks.cp(folder),
        RESTORE: lambda: forks.restore(replica),
        FORK: forks.fork,
        BUSY: forks.busy,
        FIRST: forks.first_request,
    }
    return interleaved(steps, rounds), forks


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    data = data_folder()
    daemon = Daemon(data)
    try:
        with tempfile.TemporaryDirectory(prefix="steadyd-bench-", dir=data.parent) as scratch, daemon.client as client:
            figures, forks = measure(daemon, client, Path(scratch), rounds)
    finally:
        daemon.stop()
        remove(data)
    for name, values in [*figures.items(), *((f"    {step}", took) for step, took in forks.steps.items())]:
        late = statistics.quantiles(values, n=20)[-1]
        print(f"{name:24} p50 {statistics.median(values):7.1f} ms   p95 {late:7.1f} ms   min {min(values):7.1f} ms")
    return bar("fork of 10 MB, p50", statistics.median(figures[FORK]), FORK_MS_MAX, "ms")


if __name__ == "__main__":
    sys.exit(main())
