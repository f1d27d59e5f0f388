"""The daemon is killed before each entry of its journal; the next start is clean, and what was told is true."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from steadyd.appfile import TYPE
from tests.served import Daemon, data_folder, remove, until

COUNTER = """
import { Database } from "bun:sqlite";
import { word } from "./word";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS hits (id INTEGER PRIMARY KEY)");
export default {
  fetch(request: Request) {
    if (request.method === "POST") db.run("INSERT INTO hits DEFAULT VALUES");
    return Response.json({ word, hits: (db.query("SELECT count(*) AS n FROM hits").get() as any).n });
  },
};
"""
FILES = {"index.ts": COUNTER, "word.ts": 'export const word = "one";'}
ENTRIES_MAX = 40
"""Of one operation; more would mean that its end is never seen."""


class Dying(Daemon):
    """A daemon that dies when it is told to."""

    module = "tests.e2e.dying"

    def __init__(self, data: Path) -> None:
        self.order = data.parent / "dies"
        super().__init__(data, before=("env", f"STEADYD_DIES={self.order}"))

    def doomed(self, entry: int, call: Callable[[Daemon], httpx.Response]) -> httpx.Response | None:
        """Make a call, and die before the journal's nth entry; the answer, if there was one. Then start again."""
        self.order.write_text(f"{entry} {uuid.uuid4()}")
        try:
            answer = call(self)
        except httpx.TransportError:
            answer = None
        self.order.unlink()
        if answer is None:
            self.process.wait(timeout=20)
            until(lambda: self.instances() == [])
            self.start()
        return answer


@dataclass(frozen=True)
class Work:
    """An operation, and what is true after it. `again` makes it possible once more."""

    kind: str
    call: Callable[[Daemon], httpx.Response]
    is_true: Callable[[Daemon], bool]
    again: Callable[[Daemon], Any] = lambda daemon: None


@pytest.fixture
def daemon() -> Iterator[Dying]:
    data = data_folder()
    made = Dying(data)
    try:
        yield made
    finally:
        made.kill()
        remove(data)


def app(daemon: Daemon) -> dict[str, Any]:
    return dict(daemon.api("GET", "/apps/hello").json().get("app") or {})


def newest(daemon: Daemon) -> dict[str, Any]:
    return dict(daemon.api("GET", "/operations?limit=1").json()["operations"][0])


def deploy(word: str) -> Callable[[Daemon], httpx.Response]:
    files = {"word.ts": f'export const word = "{word}";'}
    return lambda daemon: daemon.api("POST", "/apps/hello/deploys", json={"merge": True, "files": files})


def post(path: str, body: dict[str, Any] | None = None) -> Callable[[Daemon], httpx.Response]:
    return lambda daemon: daemon.api("POST", f"/apps/hello/{path}", json=body or {})


def network(value: str) -> Callable[[Daemon], httpx.Response]:
    return lambda daemon: daemon.api("PATCH", "/apps/hello/settings", json={"network": value})


def variables(name: str) -> Callable[[Daemon], httpx.Response]:
    return lambda daemon: daemon.api("PUT", "/apps/hello/env", json={name: "1"})


def named(daemon: Daemon) -> list[str]:
    return list(daemon.api("GET", "/apps/hello/env").json()["env"])


def create(daemon: Daemon) -> httpx.Response:
    return daemon.api("POST", "/apps", json={"name": "hello", "files": FILES})


def purge(daemon: Daemon) -> httpx.Response:
    return daemon.api("DELETE", "/apps/hello?purge=1")


def fork(daemon: Daemon) -> httpx.Response:
    return daemon.api("POST", "/apps/hello/fork", json={"name": "branch"})


def forked(daemon: Daemon) -> bool:
    """The whole of it is there, or nothing."""
    if daemon.api("GET", "/apps/branch").status_code == 404:
        return False
    assert daemon.ask("branch").json() == daemon.ask("hello").json()
    return True


WORKS = (
    Work("deploy", deploy("two"), lambda daemon: app(daemon)["version"] > 1, post("rollback", {"version": 1})),
    Work("rollback", post("rollback", {"version": 1}), lambda daemon: app(daemon)["version"] == 1, deploy("two")),
    Work(
        "settings",
        network("none"),
        lambda daemon: app(daemon)["settings"]["network"] == "none",
        network("internet"),
    ),
    Work("environment", variables("B"), lambda daemon: named(daemon) == ["B"], variables("A")),
    Work("restart", post("restart"), lambda daemon: app(daemon)["state"] == "running"),
    Work("stop", post("stop", {"hold": True}), lambda daemon: app(daemon)["state"] == "held", post("start")),
    Work("start", post("start"), lambda daemon: app(daemon)["state"] != "held", post("stop", {"hold": True})),
    Work("fork", fork, forked, lambda daemon: daemon.api("DELETE", "/apps/branch?purge=1")),
    Work("suspend", post("suspend"), lambda daemon: app(daemon)["state"] == "suspended", post("resume")),
    Work("resume", post("resume"), lambda daemon: app(daemon)["state"] != "suspended", post("suspend")),
    Work(
        "delete",
        lambda daemon: daemon.api("DELETE", "/apps/hello"),
        lambda daemon: app(daemon)["state"] == "deleted",
        post("undelete"),
    ),
    Work("undelete", post("undelete"), lambda daemon: app(daemon)["state"] != "deleted"),
    Work("purge", purge, lambda daemon: app(daemon) == {}, create),
    Work("create", create, lambda daemon: app(daemon) != {}, purge),
)


@pytest.mark.slow
def test_killed_before_every_second_entry_of_each_operation(daemon: Dying) -> None:
    """The first, third … of one operation, the second, fourth … of the next."""
    die(daemon, every=2)


@pytest.mark.soak
def test_killed_before_each_entry_of_each_operation(daemon: Dying) -> None:
    die(daemon, every=1)


def die(daemon: Dying, every: int) -> None:
    create(daemon)
    hits = 0
    for number, work in enumerate(WORKS):
        if work.kind in ("start", "resume", "undelete"):
            WORKS[number - 1].call(daemon)
        for entry in range(1 + number % every, ENTRIES_MAX, every):
            answer = daemon.doomed(entry, work.call)
            if answer is not None:
                assert answer.status_code in (200, 201, 204), answer.text
                assert work.is_true(daemon)
                break
            hits = _look(daemon, work, hits)
        else:
            raise AssertionError(f"{work.kind} has more than {ENTRIES_MAX} entries")
        assert entry > 2, f"{work.kind} is not in the journal"
    assert daemon.ask("hello").json() == {"word": "one", "hits": 0}


@pytest.mark.slow
def test_an_app_that_arrives_is_whole_or_not_there(daemon: Dying) -> None:
    create(daemon)
    daemon.ask("hello", method="POST")
    content = daemon.api("GET", "/apps/hello/archive?data=1").content

    def arrive(daemon: Daemon) -> httpx.Response:
        return daemon.api("PUT", "/apps/moved", content=content, headers={"Content-Type": TYPE})

    for entry in range(2, ENTRIES_MAX, 3):
        answer = daemon.doomed(entry, arrive)
        there = daemon.api("GET", "/apps/moved").status_code == 200
        assert len(list((daemon.data / "apps").iterdir())) == 1 + there
        if there:
            assert daemon.ask("moved").json() == {"word": "one", "hits": 1}
        if answer is not None:
            assert answer.status_code == 201, answer.text
            break
        daemon.api("DELETE", "/apps/moved?purge=1")
    assert entry > 6


def _look(daemon: Dying, work: Work, hits: int) -> int:
    """After the next start: the journal is settled and says what is true, and no row is lost."""
    found = newest(daemon)
    if found["kind"] == work.kind:  # else it died before this one was begun
        assert found["status"] in ("done", "undone"), found
        if work.kind != "restart":
            assert work.is_true(daemon) is (found["status"] == "done"), found
    if work.is_true(daemon):
        work.again(daemon)
        hits = 0 if work.kind in ("purge", "create") else hits
    now = app(daemon)
    if not now or now["state"] in ("held", "suspended", "deleted"):
        return hits
    answer = daemon.ask("hello", method="POST").json()
    assert answer["hits"] == hits + 1
    assert answer["word"] == ("one" if now["version"] == 1 else "two")
    return hits + 1


@pytest.mark.slow
def test_a_restore_is_done_or_not_and_loses_nothing(daemon: Dying) -> None:
    """With two rows live and a restore point of one; each row that was there stays reachable, whenever it dies."""
    create(daemon)
    daemon.ask("hello", method="POST")
    point = post("backups", {"note": "one row"})(daemon).json()["point"]["id"]

    def pinned() -> bool:
        points = daemon.api("GET", "/apps/hello/backups").json()["points"]
        return all(one["state"] == "pinned" for one in points)

    until(pinned, 20.0)
    for entry in range(2, ENTRIES_MAX):
        while (hits := daemon.ask("hello").json()["hits"]) < 2:
            daemon.ask("hello", method="POST")
        assert hits == 2
        answer = daemon.doomed(entry, post("restore", {"point": point}))
        if answer is not None:
            assert answer.status_code == 201, answer.text
            break
        done = newest(daemon)
        assert done["status"] in ("done", "undone"), done
        assert daemon.ask("hello").json()["hits"] == (1 if done["status"] == "done" else 2)
        assert not list((daemon.data / "apps").glob("*/exchange.json"))
        until(pinned, 20.0)
    assert entry > 5
    undo = answer.json()["undo"] if answer is not None else 0
    assert post("restore", {"point": undo})(daemon).status_code == 201
    assert daemon.ask("hello").json()["hits"] == 2
