"""POST to live through the real daemon, step by step, beside bare Bun, in one interleaved run.

    python -m bench.deploy [ROUNDS]

Each round does, in turn: start bare `bun index.ts` until the first answer; deploy a changed file to an app without
dependencies; the same to an app with a small database, with one of 200 MB that was written to, and with one that was
not; create an app. Every deploy has its trial. Prints p50 and p95, those
of each step as the answers tell them, and the CPU of the daemon with all that it started, which is the figure to judge
by where others use the machine too. The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from bench.isolation import bar
from bench.runtimes import BUN, contestants, interleaved, start
from tests.served import Daemon, data_folder, remove

LIVE_MS_MAX = 80.0
DATABASE = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS visits (at TEXT)");
db.run("INSERT INTO visits VALUES ('now')");
export default { fetch: () => Response.json(db.query("SELECT count(*) AS count FROM visits").get()) };
"""
LARGE = """
import { Database } from "bun:sqlite";
const db = new Database("large.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS rows (x BLOB)");
const fill = () => { for (let n = 0; n < 200; n++) db.run("INSERT INTO rows VALUES (randomblob(1e6))"); };
export default {
  fetch(request) {
    if (request.method === "PUT") { fill(); db.run("PRAGMA wal_checkpoint(TRUNCATE)"); }
    if (request.method === "POST") db.run("INSERT INTO rows VALUES (1)");
    return new Response("written");
  },
};
"""
DEPLOY, DEPLOY_DATABASE, CREATE = "deploy", "deploy with a database", "create"
WRITTEN, UNWRITTEN = "200 MB, written to", "200 MB, not written to"


class Posts:
    """The calls that are measured, and what they said of their steps."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._number = 0
        self.steps: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def deploy(self, kind: str, name: str) -> float:
        self._number += 1
        merge = {"merge": True, "files": {"n.ts": f"export const n = {self._number};"}}
        return self._post(kind, f"/api/apps/{name}/deploys", merge)

    def create(self) -> float:
        return self._post(CREATE, "/api/apps", {"files": {"index.ts": BUN}})

    # Private

    def _post(self, kind: str, path: str, body: dict[str, Any]) -> float:
        began = time.perf_counter()
        answer = self._client.post(path, json=body)
        took = (time.perf_counter() - began) * 1000
        answer.raise_for_status()
        for step in answer.json()["deploy"]["steps"]:
            self.steps[kind][step["name"]].append(step["ms"])
        return took


def measure(daemon: Daemon, client: httpx.Client, folder: Path, rounds: int) -> tuple[dict[str, list[float]], Posts]:
    """Milliseconds of every round, and the posts' steps."""
    client.put("/api/apps/plain", json={"files": {"index.ts": BUN}}).raise_for_status()
    client.put("/api/apps/data", json={"files": {"index.ts": DATABASE}}).raise_for_status()
    for name in ("written", "unwritten"):
        client.put(f"/api/apps/{name}", json={"files": {"index.ts": LARGE}}).raise_for_status()
        daemon.ask(name, method="PUT").raise_for_status()
    bare, posts = contestants(folder)["bare bun"], Posts(client)
    steps: dict[str, Callable[[], float]] = {
        "bare bun": lambda: start(bare, folder),
        DEPLOY: lambda: posts.deploy(DEPLOY, "plain"),
        DEPLOY_DATABASE: lambda: posts.deploy(DEPLOY_DATABASE, "data"),
        WRITTEN: lambda: after(daemon.ask("written", method="POST"), lambda: posts.deploy(WRITTEN, "written")),
        UNWRITTEN: lambda: posts.deploy(UNWRITTEN, "unwritten"),
        CREATE: posts.create,
    }
    return interleaved(steps, rounds), posts


def after(answer: httpx.Response, step: Callable[[], float]) -> float:
    answer.raise_for_status()
    return step()


def report(figures: dict[str, list[float]], posts: Posts) -> None:
    for name, values in figures.items():
        print(f"{name:24} {_line(values)}   x{statistics.median(values) / statistics.median(figures['bare bun']):.2f}")
        for step, took in posts.steps[name].items():
            print(f"    {step:20} {_line(took)}")


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    data = data_folder()
    daemon = Daemon(data)
    try:
        with tempfile.TemporaryDirectory(prefix="steadyd-bench-") as folder, daemon.client as client:
            figures, posts = measure(daemon, client, Path(folder), rounds)
    finally:
        daemon.stop()
        remove(data)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{rounds} rounds; CPU of the daemon and everything started: {usage.ru_utime + usage.ru_stime:.2f} s")
    report(figures, posts)
    return bar("deploy without dependencies, p50", statistics.median(figures[DEPLOY]), LIVE_MS_MAX, "ms") + bar(
        "create, p50", statistics.median(figures[CREATE]), LIVE_MS_MAX, "ms"
    )


# Private


def _line(values: Sequence[float]) -> str:
    late = statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]
    return f"p50 {statistics.median(values):7.1f} ms   p95 {late:7.1f} ms   min {min(values):7.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
