"""Apps at rest, many at a time, under a real daemon: frozen, killed with it, and woken all at once."""

from __future__ import annotations

import concurrent.futures
import http.client
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.neighbour import Neighbour
from tests.runner.conftest import needs_cgroups, passable_folder
from tests.served import Daemon, until

pytestmark = [pytest.mark.slow, pytest.mark.sandbox, needs_cgroups]

APPS = 12
WOKEN_AT_ONCE = 25
COUNTER = "let n = 0; export default { fetch: () => new Response(`${process.pid} ${++n}`) };"


@pytest.fixture
def data() -> Iterator[Path]:
    with passable_folder() as folder:
        yield folder / "data"


def create(daemon: Daemon, names: list[str]) -> None:
    for name in names:
        daemon.create(name, {"index.ts": COUNTER})


def states(daemon: Daemon) -> list[str]:
    return [app["state"] for app in daemon.api("GET", "/apps").json()["apps"]]


def status(daemon: Daemon, name: str) -> int:
    """Asked by a client that costs this machine next to nothing: it is busy enough."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    try:
        connection.request("GET", "/", headers={"Host": f"{name}.localhost"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_frozen_apps_answer_at_once_and_die_with_the_daemon(data: Path) -> None:
    """A kill -9 leaves no process after a second, and the next start nothing of what limited them."""
    names = [f"rest-{number}" for number in range(APPS)]
    daemon = Daemon(data, "--freeze", "1s")
    try:
        create(daemon, names)
        until(lambda: states(daemon).count("frozen") == APPS, 30)
        before = daemon.ask(names[0]).text
        until(lambda: states(daemon).count("frozen") == APPS, 30)
        pid, asked = daemon.ask(names[0]).text.split()
        assert (pid, int(asked)) == (before.split()[0], int(before.split()[1]) + 1), "the same process, where it was"
        assert len(daemon.instances()) >= APPS
        daemon.kill()
        until(lambda: not daemon.instances(), 1)
        daemon.start()
        assert daemon.ask(names[0]).text.endswith(" 1")
    finally:
        daemon.stop()
    assert daemon.instances() == []


def test_many_that_wake_at_once_are_all_answered_and_nobody_else_waits(data: Path) -> None:
    names = [f"rest-{number}" for number in range(WOKEN_AT_ONCE)]
    daemon = Daemon(data)
    try:
        create(daemon, names)
        for name in names:
            assert daemon.api("POST", f"/apps/{name}/stop").status_code == 200
        with Neighbour(daemon), concurrent.futures.ThreadPoolExecutor(WOKEN_AT_ONCE) as pool:
            began = time.monotonic()
            answers = list(pool.map(lambda name: status(daemon, name), names))
            assert time.monotonic() - began < 30
        assert answers == [200] * WOKEN_AT_ONCE
    finally:
        daemon.stop()
