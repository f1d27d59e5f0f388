"""Files that an app wrote, through a real daemon: captured at points and at sleep, told of, and back with a restore."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.served import Daemon, data_folder, remove, until

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root gives each app a uid of its own"),
]

SOURCE = """
import { Database } from "bun:sqlite";
import { mkdirSync, readdirSync, rmSync, writeFileSync, existsSync, readFileSync } from "node:fs";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS t (x)");
export default { async fetch(request: Request) {
  const name = new URL(request.url).pathname.slice(1), path = `uploads/${name}`;
  mkdirSync("uploads", { recursive: true });
  if (request.method === "POST") writeFileSync(path, await request.text());
  if (request.method === "POST") db.run("INSERT INTO t VALUES (1)");
  if (request.method === "DELETE") rmSync(path);
  if (name && request.method === "GET") return new Response(existsSync(path) ? readFileSync(path) : "none");
  return Response.json(readdirSync("uploads").sort());
} };
"""


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    data = data_folder()
    started = Daemon(data)
    try:
        started.create("gallery", {"index.ts": SOURCE})
        yield started
        assert started.stop() == 0, "".join(started.output)
    finally:
        started.kill()
        remove(data)


def stored(daemon: Daemon) -> int:
    return len(list((daemon.data / "replica").glob("contents/??/*")))


def test_files_are_told_of_and_come_back_with_a_point_at_sleep_and_after_a_crash(daemon: Daemon) -> None:
    assert daemon.ask("gallery", "/a.txt", "POST", content="first").json() == ["a.txt"]
    made = daemon.api("POST", "/apps/gallery/backups", json={"note": "with one file"})
    assert made.status_code == 201, made.text
    point = made.json()["point"]["id"]
    files = daemon.api("GET", "/apps/gallery/backups").json()["files"]
    assert (files["files"], files["bytes"], files["problem"]) == (1, 5, "")
    assert "1 file: as of" in daemon.api("GET", "/apps/gallery/backups").json()["summary"]

    daemon.ask("gallery", "/a.txt", "POST", content="second")
    daemon.ask("gallery", "/b.txt", "POST", content="more")
    assert daemon.api("POST", "/apps/gallery/stop", json={}).status_code == 200
    until(lambda: daemon.api("GET", "/apps/gallery/backups").json()["files"]["files"] == 2, 20)
    until(lambda: stored(daemon) >= 6, 20)

    went = daemon.api("POST", "/apps/gallery/restore", json={"point": point})
    assert went.status_code == 201, went.text
    assert (daemon.ask("gallery", "/a.txt").text, daemon.ask("gallery", "/b.txt").text) == ("first", "none")
    undone = daemon.api("POST", "/apps/gallery/restore", json={"point": went.json()["undo"]})
    assert undone.status_code == 201, undone.text
    assert (daemon.ask("gallery", "/a.txt").text, daemon.ask("gallery", "/b.txt").text) == ("second", "more")
    daemon.ask("gallery", "/a.txt", "DELETE")
    assert daemon.ask("gallery", "/c.txt", "POST", content="last").json() == ["b.txt", "c.txt"]

    daemon.kill()
    daemon.start()
    assert daemon.ask("gallery").json() == ["b.txt", "c.txt"]
    again = daemon.api("POST", "/apps/gallery/restore", json={"point": point})
    assert again.status_code == 201, again.text
    assert daemon.ask("gallery").json() == ["a.txt"]
    assert daemon.ask("gallery", "/a.txt").text == "first"
