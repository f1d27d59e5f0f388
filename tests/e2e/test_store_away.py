"""The object store is slow, cuts, resets, is gone, never answers, is full: apps do not notice, it is told, and all
is there once it is back. With a real daemon, moto, and our proxy of faults between."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.objectstore import Fault, FaultProxy, ObjectStore
from tests.served import Daemon, data_folder, remove

APP = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite", { create: true });
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY)");
export default {
  async fetch(request: Request) {
    if (request.method === "POST") {
      db.run("INSERT INTO rows DEFAULT VALUES");
      await Bun.write("last.txt", String(Date.now()));
    }
    return Response.json(db.query("SELECT count(*) AS rows FROM rows").get());
  },
};
"""
NAMES = ("one", "two", "three")
FAULTS = (
    Fault.SLOW,
    Fault.CUT,
    Fault.RESET,
    Fault.REFUSE,
    Fault.HALF_OPEN,
    Fault.FULL,
    Fault.BUSY,
)
CATCH_UP_SECONDS = 120.0


@pytest.fixture
def data() -> Iterator[Path]:
    folder = data_folder()
    yield folder
    remove(folder)


@dataclass
class Writers:
    """One client for each app, which writes and reads all the time. `failures` are answers that were not 200."""

    daemon: Daemon
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(name,), daemon=True) for name in NAMES]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def _write(self, name: str) -> None:
        with httpx.Client(base_url=self.daemon.url, headers={"Host": f"{name}.localhost"}, timeout=60) as client:
            while not self._ended.wait(0.05):
                began = time.monotonic()
                try:
                    answer = client.post("/")
                except httpx.HTTPError as error:
                    self.failures.append(f"{name}: {error!r}")
                    continue
                self.slowest = max(self.slowest, time.monotonic() - began)
                if answer.status_code == 200:
                    self.rows[name] += 1
                else:
                    self.failures.append(f"{name}: {answer.status_code} {answer.text}")


def until(condition: Callable[[], bool], what: str, seconds: float = CATCH_UP_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)


def is_current(daemon: Daemon, name: str) -> bool:
    """Whether every database of the app is in the replica up to now."""
    answer = daemon.api("GET", f"/apps/{name}/backups")
    found = answer.json().get("databases", [])
    return bool(found) and all(not each["problem"] and each["lag_seconds"] == 0 for each in found)


def is_told(daemon: Daemon, name: str) -> bool:
    answer = daemon.api("GET", f"/apps/{name}/backups")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return found["state"] != "ok" and any(each["problem"] or each["lag_seconds"] > 1 for each in found["databases"])


def through_every_fault(store: ObjectStore, proxy: FaultProxy, data: Path, seconds: float) -> None:
    """Each fault for so long, while clients write; then the machine is lost, and everything that was answered is
    there."""
    variables = [f"{name}={value}" for name, value in store.environment(proxy.port).items()]
    daemon = Daemon(data, "--replica", store.url(f"away-{seconds:g}"), before=["env", *variables])
    try:
        for name in NAMES:
            daemon.create(name, {"index.ts": APP})
        writers = Writers(daemon)
        for fault in FAULTS:
            proxy.become(fault, delay_seconds=0.7, cut_bytes=60)
            began = time.monotonic()
            if fault is Fault.REFUSE:
                until(lambda: is_told(daemon, "one"), "the fault to be told", 30.0)
                deployed = daemon.api("POST", "/apps/two/deploys", json={"files": {"index.ts": APP + "// again\n"}})
                assert deployed.status_code == 201, deployed.text
            time.sleep(max(0.0, seconds - (time.monotonic() - began)))
        proxy.become(Fault.NONE)
        writers.end()
        assert writers.failures == []
        assert min(writers.rows.values()) > 0
        back = time.monotonic()
        until(lambda: all(is_current(daemon, name) for name in NAMES), "the replica to catch up")
        caught_up = time.monotonic() - back
        assert daemon.stop() == 0
        for path in data.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        daemon.start()
        assert {name: daemon.ask(name).json()["rows"] for name in NAMES} == writers.rows
        print(f"{sum(writers.rows.values())} writes, slowest {writers.slowest:.2f} s, caught up in {caught_up:.1f} s")
    finally:
        daemon.kill()
        print("".join(daemon.output))


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    with ObjectStore() as server:
        yield server


@pytest.fixture
def proxy(store: ObjectStore) -> Iterator[FaultProxy]:
    with FaultProxy(store.port) as between:
        yield between


def test_apps_go_on_and_nothing_is_lost(store: ObjectStore, proxy: FaultProxy, data: Path) -> None:
    through_every_fault(store, proxy, data, 0.8)


@pytest.mark.soak
def test_apps_go_on_for_five_minutes_of_faults(store: ObjectStore, proxy: FaultProxy, data: Path) -> None:
    through_every_fault(store, proxy, data, 300 / len(FAULTS))
