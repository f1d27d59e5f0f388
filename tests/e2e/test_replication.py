"""What replicates is killed, hangs, or finds no store: apps notice nothing, and everything is there afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from steadyd.backup import layout
from steadyd.backup.enclosure import LATE
from steadyd.runner.engine import find_litestream
from tests.objectstore import Fault, FaultProxy, ObjectStore
from tests.served import Daemon, data_folder, remove, until

WRITES = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, at TEXT)");
export default { fetch(request) {
  if (request.method === "POST") db.run("INSERT INTO t (at) VALUES (datetime())");
  return new Response(String(db.query("SELECT count(*) AS count FROM t").get().count));
} };
"""
WRITERS = 3


@contextmanager
def served(*options: str, **environment: str) -> Iterator[Daemon]:
    data = data_folder()
    before = ("env", *(f"{name}={value}" for name, value in environment.items())) if environment else ()
    daemon = Daemon(data, *options, before=before)
    try:
        yield daemon
    finally:
        daemon.stop()
        remove(data)


@contextmanager
def writing(daemon: Daemon, failed: list[Any]) -> Iterator[None]:
    """Clients that write until the end of the block; answers that were none are collected."""
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            try:
                answer = daemon.ask("writes", method="POST")
                if answer.status_code != 200:
                    failed.append(answer.text)
            except Exception as error:
                failed.append(error)
            time.sleep(0.01)

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def litestreams(daemon: Daemon) -> list[int]:
    """Those of the apps of this daemon."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            ours = name.isdigit() and Path(f"/proc/{name}/cmdline").read_bytes().startswith(b"/litestream\0")
            if ours and f"{daemon.data}/apps {LATE} " in Path(f"/proc/{name}/mountinfo").read_text():
                found.append(int(name))
    return found


def metric(daemon: Daemon, name: str) -> str:
    with daemon.client as client:
        lines = client.get("/metrics").text.splitlines()
    return next(line for line in lines if line.startswith(name) and "writes" in line)


def is_fine(daemon: Daemon) -> bool:
    return 'state="ok"' in metric(daemon, "steadyd_app_replica_state")


def restored(url: str, folder: Path, **environment: str) -> int:
    """Rows in what Litestream's own command brings back."""
    target = folder / f"restored-{time.monotonic_ns()}.sqlite"
    command = [str(find_litestream()), "restore", "-o", str(target), url]
    done = subprocess.run(
        command, check=False, capture_output=True, env={"PATH": "/usr/bin", **environment}, timeout=60
    )
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(target)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(db.execute("SELECT count(*) FROM t").fetchone()[0])


@pytest.mark.sandbox
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_litestream_dies_or_hangs_while_an_app_writes_and_no_request_fails(
    number: signal.Signals, tmp_path: Path
) -> None:
    with served() as daemon:
        daemon.create("writes", {"index.ts": WRITES})
        daemon.ask("writes", method="POST")
        until(lambda: is_fine(daemon))
        [before] = litestreams(daemon)
        failed: list[Any] = []
        with writing(daemon, failed):
            os.kill(before, number)
            if number is signal.SIGSTOP:
                until(lambda: not is_fine(daemon), 30.0)
                assert float(metric(daemon, "steadyd_app_replica_lag_seconds").rpartition(" ")[2]) > 0
            until(lambda: litestreams(daemon) not in ([], [before]), 40.0)
        assert failed == []
        until(lambda: is_fine(daemon), 30.0)
        rows = int(daemon.ask("writes").text)
        [line] = (daemon.data / "replica" / "apps").glob("*/*/*")
        until(lambda: restored(f"file://{line}", tmp_path) == rows, 30.0)


def test_the_store_goes_away_while_an_app_writes_and_no_request_fails(tmp_path: Path) -> None:
    with ObjectStore() as store, FaultProxy(store.port) as proxy:
        environment = store.environment(proxy.port)
        with served("--replica", store.url(), **environment) as daemon:
            daemon.create("writes", {"index.ts": WRITES})
            daemon.ask("writes", method="POST")
            until(lambda: is_fine(daemon), 30.0)
            failed: list[Any] = []
            with writing(daemon, failed):
                proxy.become(Fault.DENIED)
                until(lambda: "lag_seconds" in metric(daemon, "steadyd_app_replica_lag") and not is_fine(daemon), 30.0)
                [host] = [daemon.api("GET", "/host").json()["host"]["backup"]]
                assert host["behind"] + host["failing"] >= 1
                until(lambda: float(metric(daemon, "steadyd_app_replica_waiting_bytes").rpartition(" ")[2]) > 0, 30.0)
                proxy.become(Fault.NONE)
                time.sleep(0.5)
            assert failed == []
            until(lambda: is_fine(daemon), 90.0)
            rows = int(daemon.ask("writes").text)
            app_id = next((daemon.data / "apps").iterdir()).name
            target = store.target()
            url = target.replica_url(layout.line(app_id, 1, 1))
            until(lambda: restored(url, tmp_path, **target.litestream_environment) == rows, 30.0)
