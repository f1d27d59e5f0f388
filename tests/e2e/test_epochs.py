"""Whose a backup target is, with the real daemon: told at the start, and to everybody once another host has it."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from steadyd.backup.epochs import Epochs
from steadyd.backup.objects import Objects
from steadyd.backup.target import Target, TargetKind
from tests.objectstore import SECRET, Fault, FaultProxy, ObjectStore
from tests.served import Daemon, data_folder, remove

HELLO = 'export default { fetch: () => new Response("hello") };\n'
DEADLINE_SECONDS = 30.0


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with ObjectStore() as server:
        yield server


@pytest.fixture
def proxy(store: ObjectStore) -> Iterator[FaultProxy]:
    with FaultProxy(store.port) as between:
        yield between


@pytest.fixture
def data() -> Iterator[Path]:
    folder = data_folder()
    yield folder
    remove(folder)


def before(store: ObjectStore, port: int) -> list[str]:
    return ["env", *(f"{name}={value}" for name, value in store.environment(port).items())]


def until(condition: Callable[[], bool]) -> None:
    """Wait for what the daemon will do by itself."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def test_a_host_that_is_superseded_stops_its_apps_and_says_so(data: Path) -> None:
    """To visitors, to programs, in its log and to its operator; and again at its next start."""
    daemon = Daemon(data)
    try:
        daemon.create("hello", {"index.ts": HELLO})
        assert daemon.ask("hello").text == "hello"
        objects = Objects(Target(TargetKind.FILE, path=data / "replica"))
        asyncio.run(Epochs(objects, "another host").claim(1, 1_700_000_000.0))
        until(lambda: daemon.ask("hello").headers.get("Steady-Error") == "superseded")
        for restarted in (False, True):
            if restarted:
                daemon.stop()
                daemon.start()
            answer = daemon.ask("hello")
            assert (answer.status_code, answer.headers["Steady-Error"]) == (503, "superseded")
            changed = daemon.api("POST", "/apps", json={"files": {"index.ts": HELLO}})
            assert (changed.status_code, changed.json()["error"]["code"]) == (503, "superseded")
            assert str(data) not in answer.text + changed.text
            assert httpx.get(f"{daemon.url}/healthz").status_code == 503
            host = daemon.api("GET", "/host").json()["host"]
            assert "epoch 2" in host["superseded"]
            until(lambda: daemon.api("GET", "/apps/hello").json()["app"]["state"] == "stopped")
        assert any("superseded" in line for line in daemon.output)
        assert daemon.stop() == 0
    finally:
        daemon.kill()


def test_wrong_credentials_are_said_at_the_start_in_one_line(store: ObjectStore, proxy: FaultProxy, data: Path) -> None:
    """Which holds no secret."""
    proxy.become(Fault.DENIED)
    with pytest.raises(AssertionError) as caught:
        Daemon(data, "--replica", store.url(), before=before(store, proxy.port))
    said = str(caught.value)
    lines = [line for line in said.splitlines() if "refuses to work (InvalidAccessKeyId)" in line]
    assert len(lines) == 1
    assert "Check AWS_ACCESS_KEY_ID" in lines[0]
    assert SECRET not in said
    assert "Traceback" not in said


def test_a_store_that_is_away_does_not_stop_the_daemon(store: ObjectStore, proxy: FaultProxy, data: Path) -> None:
    """That was there before: its apps go on. An empty folder might be one to recover, so it waits for the store."""
    words = ("--replica", store.url("away"))
    proxy.become(Fault.REFUSE)
    with pytest.raises(AssertionError, match=re.escape("does not answer as it should (no connection)")):
        Daemon(data, *words, before=before(store, proxy.port))
    proxy.become(Fault.NONE)
    shutil.rmtree(data)
    data.mkdir(mode=0o711)
    daemon = Daemon(data, *words, before=before(store, proxy.port))
    try:
        daemon.create("hello", {"index.ts": HELLO})
        daemon.stop()
        proxy.become(Fault.REFUSE)
        daemon.start()
        assert daemon.ask("hello").text == "hello"
        proxy.become(Fault.NONE)
        asyncio.run(Epochs(Objects(store.target("away")), "another host").claim(1, 1_700_000_000.0))
        until(lambda: daemon.ask("hello").headers.get("Steady-Error") == "superseded")
    finally:
        daemon.kill()
