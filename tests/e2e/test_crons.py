"""Crons of a real daemon: of sleeping apps, across deploys, restarts and kills. What is due is made so in the records,
while the daemon is down, instead of waiting for it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.served import Daemon, data_folder, remove, until

APP = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS asked (run TEXT, attempt TEXT)");
if (process.env.STEADY_ENV === "production") await Bun.sleep(START_MS);
export function nightly(event: any) {
  db.run("INSERT INTO asked VALUES (?, ?)", [String(event.run), `call ${event.attempt}`]);
}
export default {
  async fetch(request: Request) {
    const { pathname } = new URL(request.url);
    const cron = request.headers.get("steady-cron");
    if (pathname === "/asked") return Response.json(db.query("SELECT run, attempt FROM asked").values());
    if (pathname === "/forged") return new Response(String(cron));
    if (!cron) return new Response("hello");
    const told = ["", "-scheduled-at", "-run", "-attempt"].map((word) => request.headers.get(`steady-cron${word}`));
    const hasher = new Bun.CryptoHasher("sha256", process.env.STEADY_CRON_KEY!);
    const signed = hasher.update(told.join("\\n")).digest("hex") === request.headers.get("steady-cron-signature");
    if (!signed) return new Response("forged", { status: 403 });
    const attempt = request.headers.get("steady-cron-attempt")!;
    db.run("INSERT INTO asked VALUES (?, ?)", [request.headers.get("steady-cron-run"), `${cron} ${attempt}`]);
    if (pathname === "/stuck" && attempt === "1") await new Promise(() => {});
    return new Response();
  },
};
"""
CRONS = [
    {"schedule": "0 0 1 1 *", "path": "/tick"},
    {"schedule": "0 0 1 1 *", "path": "/stuck"},
    {"schedule": "0 0 1 1 *", "export": "nightly"},
]


def files(start_ms: int = 0, crons: list[dict[str, str]] = CRONS) -> dict[str, str]:
    return {"index.ts": APP.replace("START_MS", str(start_ms)), "steady.json": json.dumps({"crons": crons})}


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    data = data_folder()
    made = Daemon(data)
    try:
        yield made
    finally:
        made.stop()
        remove(data)


def runs(daemon: Daemon, cron: str) -> list[dict[str, Any]]:
    """Oldest first."""
    found: list[dict[str, Any]] = daemon.api("GET", f"/apps/hello/crons/{cron}/runs").json()["runs"]
    return found[::-1]


def planned(daemon: Daemon) -> bool:
    """Whether the scheduler has seen them."""
    with contextlib.closing(sqlite3.connect(daemon.data / "steady.db")) as db:
        return bool(db.execute("SELECT count(*) = 3 FROM crons WHERE next_at IS NOT NULL").fetchone()[0])


def make_due(daemon: Daemon, cron: str) -> None:
    """As if its moment had come while the daemon was down."""
    with contextlib.closing(sqlite3.connect(daemon.data / "steady.db")) as db, db:
        moment = float(int(time.time()) - 5)
        assert db.execute("UPDATE crons SET next_at = ? WHERE id = ?", (moment, cron)).rowcount == 1


def test_what_came_due_while_the_daemon_was_down_wakes_the_app(daemon: Daemon) -> None:
    daemon.create("hello", files())
    until(lambda: planned(daemon))
    daemon.stop()
    make_due(daemon, "nightly")
    daemon.start()
    until(lambda: any(run["finished_at"] for run in runs(daemon, "nightly")))
    (run,) = runs(daemon, "nightly")
    assert (run["outcome"], run["status"], run["attempt"], run["by_hand"]) == ("ok", 204, 1, False)
    assert daemon.ask("hello", "/asked").json() == [[str(run["id"]), "call 1"]]


def test_a_kill_in_its_middle_is_told_and_it_is_tried_again(daemon: Daemon) -> None:
    daemon.create("hello", files())
    until(lambda: planned(daemon))
    daemon.stop()
    make_due(daemon, "stuck")
    daemon.start()
    until(lambda: [run["outcome"] for run in runs(daemon, "stuck")] == ["running"])
    until(lambda: daemon.ask("hello", "/asked").json())
    daemon.kill()
    daemon.start()
    until(lambda: [run["outcome"] for run in runs(daemon, "stuck")] == ["interrupted", "ok"], 20)
    first, second = runs(daemon, "stuck")
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert first["scheduled_at"] == second["scheduled_at"]
    assert daemon.ask("hello", "/asked").json() == [[str(first["id"]), "stuck 1"], [str(second["id"]), "stuck 2"]]


def test_it_is_run_at_the_version_that_is_live_then_and_waits_for_a_deploy(daemon: Daemon) -> None:
    daemon.create("hello", files())
    assert daemon.api("POST", "/apps/hello/crons/tick/run").json()["run"]["version"] == 1
    done = threading.Event()

    def deploy() -> None:
        answer = daemon.api("PUT", "/apps/hello", json={"files": files(start_ms=1500)})
        assert answer.status_code == 201, answer.text
        done.set()

    thread = threading.Thread(target=deploy)
    thread.start()
    seen = []
    while not done.is_set():
        run = daemon.api("POST", "/apps/hello/crons/tick/run").json()["run"]
        assert run["outcome"] == "ok", run
        seen.append((run["version"], run["ms"]))
    thread.join()
    versions = [version for version, _ in seen]
    assert versions == sorted(versions)
    assert max(ms for _, ms in seen) > 1000  # one of them waited at the gate
    assert daemon.api("POST", "/apps/hello/crons/nightly/run").json()["run"]["version"] == 2
    answer = daemon.api("PUT", "/apps/hello", json={"files": files(crons=[])})
    assert answer.status_code == 201
    assert daemon.api("GET", "/apps/hello/crons").json() == {"crons": []}
    daemon.api("POST", "/apps/hello/rollback", json={"version": 1})
    assert len(daemon.api("GET", "/apps/hello/crons").json()["crons"]) == 3
    told = daemon.api("GET", "/apps/hello/requests", headers={"Accept": "application/json"})
    crons = [item for item in told.json()["requests"] if item["client"] == "cron"]
    assert {(item["method"], item["path"], item["status"]) for item in crons} == {
        ("POST", "/tick", 200),
        ("CALL", "nightly()", 204),
    }


def test_nobody_outside_can_pretend_to_be_a_cron(daemon: Daemon) -> None:
    daemon.create("hello", files())
    headers = {"Steady-Cron": "tick", "Steady-Cron-Run": "1", "Steady-Cron-Attempt": "1"}
    assert daemon.ask("hello", "/forged", headers=headers).text == "null"
    daemon.ask("hello", "/tick", "POST", headers=headers)
    assert daemon.ask("hello", "/asked").json() == []


def test_a_function_of_a_bundled_app_is_the_running_ones(daemon: Daemon) -> None:
    """An app that is large enough runs as bytecode; what is called there is the module that answers requests."""
    lines = "".join(f"  'line {number} of something that takes its time to read',\n" for number in range(3_000))
    source = """
    import { lines } from "./lines.ts";
    let called = 0;
    export function nightly() { called++; }
    export default { fetch: () => new Response(`${called} ${lines.length}`), scheduled() { called += 10; } };
    """
    crons = [{"schedule": "@daily", "export": "nightly"}, {"schedule": "@daily"}]
    said = {"index.ts": source, "lines.ts": f"export const lines = [\n{lines}];\n"}
    daemon.create("hello", {**said, "steady.json": json.dumps({"crons": crons})})
    assert list((daemon.data / "apps").glob("*/bundles/*/index.js.jsc"))
    for cron in ("nightly", "scheduled"):
        assert daemon.api("POST", f"/apps/hello/crons/{cron}/run").json()["run"]["outcome"] == "ok"
    assert daemon.ask("hello").text == "11 3000"
