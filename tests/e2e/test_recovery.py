"""A lost host, from moto, with real daemons: everything comes back, before the first answer of each app; and a start
after a crash goes on."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.objectstore import ObjectStore
from tests.served import Daemon, data_folder, remove

APP = """
import { Database } from "bun:sqlite";
import { existsSync, writeFileSync } from "node:fs";
const db = new Database("data.sqlite", { create: true });
db.run("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY)");
export default {
  fetch(request: Request) {
    if (request.method === "POST") {
      db.run("INSERT INTO rows DEFAULT VALUES");
      writeFileSync("note.txt", new URL(request.url).pathname);
    }
    const rows = (db.query("SELECT count(*) AS rows FROM rows").get() as { rows: number }).rows;
    const note = existsSync("note.txt") ? require("node:fs").readFileSync("note.txt", "utf8") : "";
    return Response.json({ rows, note, secret: process.env.SECRET ?? "" });
  },
};
"""
APPS = 4
MANY = 200
ROWS = 3


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with ObjectStore() as server:
        yield server


@pytest.fixture
def data() -> Iterator[Path]:
    folder = data_folder()
    yield folder
    remove(folder)


def served(store: ObjectStore, data: Path, prefix: str, *options: str) -> Daemon:
    variables = [f"{name}={value}" for name, value in store.environment().items()]
    return Daemon(data, "--replica", store.url(prefix), *options, before=["env", *variables])


def live(store: ObjectStore, data: Path, prefix: str, apps: int = APPS) -> None:
    """A host with apps that have written something, which stops; then its disk is lost, but for the secrets' key."""
    daemon = served(store, data, prefix)
    try:
        for number in range(apps):
            daemon.create(f"app-{number}", {"index.ts": APP})
            for row in range(ROWS):
                assert daemon.ask(f"app-{number}", f"/{number}/{row}", "POST").status_code == 200
        daemon.api("PATCH", "/apps/app-0/env", json={"SECRET": "hush"})
        user = {"username": "ada", "password": "correct horse battery"}
        assert daemon.api("POST", "/users", json=user).status_code in (200, 201)
        for number in range(apps):
            until_it_is_kept(daemon, f"app-{number}")
        assert daemon.stop() == 0, "".join(daemon.output)
    finally:
        daemon.kill()
    key = (data / "secrets.key").read_bytes()
    lose(data)
    (data.parent / "secrets.key").write_bytes(key)


def lose(data: Path) -> None:
    for path in data.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def until_it_is_kept(daemon: Daemon, name: str) -> None:
    """Whatever the app committed is in the replica, as far as its owner is told."""
    deadline = time.monotonic() + 90
    while True:
        found = daemon.api("GET", f"/apps/{name}/backups").json()["databases"]
        if found and all(not each["problem"] and each["lag_seconds"] == 0 for each in found):
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def until_all_are_here(daemon: Daemon) -> None:
    deadline = time.monotonic() + 60
    while daemon.api("GET", "/host").json()["host"]["absent"]:
        assert time.monotonic() < deadline, "".join(daemon.output)
        time.sleep(0.1)


def answers(daemon: Daemon, number: int) -> dict[str, object]:
    return dict(daemon.ask(f"app-{number}").json())


def test_everything_comes_back_and_a_crash_in_between_changes_nothing(store: ObjectStore, data: Path) -> None:
    """Apps, rows, files, versions, variables, people; the app that is asked for first answers first."""
    live(store, data, "everything")
    shutil.copy(data.parent / "secrets.key", data / "secrets.key")
    daemon = served(store, data, "everything")
    try:
        assert any(line.startswith("recovered epoch 1 as epoch 2: 4 apps") for line in daemon.output)
        assert answers(daemon, 3) == {"rows": ROWS, "note": f"/3/{ROWS - 1}", "secret": ""}
        daemon.kill()
        daemon.start()
        for number in range(APPS):
            wanted = {"rows": ROWS, "note": f"/{number}/{ROWS - 1}", "secret": "hush" if number == 0 else ""}
            assert answers(daemon, number) == wanted
        until_all_are_here(daemon)
        assert daemon.api("GET", "/apps/app-0/versions/1/files/index.ts").status_code == 200
        daemon.ask("app-1", "/more", "POST")
        assert answers(daemon, 1)["rows"] == ROWS + 1
        assert daemon.stop() == 0
        # Once more, from what the second host wrote.
        lose(data)
        daemon.start()
        assert any(line.startswith("recovered epoch 2 as epoch 3: 4 apps") for line in daemon.output)
        assert answers(daemon, 1) == {"rows": ROWS + 1, "note": "/more", "secret": ""}
        assert answers(daemon, 2)["rows"] == ROWS
    finally:
        daemon.kill()


def test_without_the_secrets_key_apps_that_need_none_run(store: ObjectStore, data: Path) -> None:
    """The others say why they do not, and start once it is back."""
    live(store, data, "keyless", 2)
    daemon = served(store, data, "keyless")
    try:
        assert answers(daemon, 1)["rows"] == ROWS
        locked = daemon.ask("app-0")
        assert (locked.status_code, locked.headers["Steady-Error"]) == (503, "secrets_locked")
        assert daemon.api("GET", "/host").json()["host"]["locked"] == ["app-0"]
        daemon.stop()
        shutil.copy(data.parent / "secrets.key", data / "secrets.key")
        daemon.start()
        assert answers(daemon, 0) == {"rows": ROWS, "note": f"/0/{ROWS - 1}", "secret": "hush"}
    finally:
        daemon.kill()


@pytest.mark.soak
def test_two_hundred_apps_come_back(store: ObjectStore, data: Path) -> None:
    """The first one answers within two seconds of the daemon's start, and then each of them."""
    live(store, data, "many", MANY)
    began = time.monotonic()
    daemon = served(store, data, "many", "--idle", "20s", "--freeze", "2s")
    try:
        ready = time.monotonic() - began
        assert answers(daemon, MANY - 1)["rows"] == ROWS
        first, slowest = time.monotonic() - began, 0.0
        for number in random.sample(range(1, MANY), MANY - 1):
            asked = time.monotonic()
            assert answers(daemon, number) == {"rows": ROWS, "note": f"/{number}/{ROWS - 1}", "secret": ""}
            slowest = max(slowest, time.monotonic() - asked)
        answered = time.monotonic() - began
        until_all_are_here(daemon)
        print(
            f"{MANY} apps: ready in {ready:.2f} s, first answer in {first:.2f} s, each answered in {answered:.0f} s "
            f"(slowest {slowest:.2f} s), all here in {time.monotonic() - began:.0f} s"
        )
        assert first < 2.0
    finally:
        daemon.kill()
