"""What is written to an app's data from outside, with a real daemon: under load, killed in the middle, taken back."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.arena import app_folder
from tests.served import Daemon, data_folder, remove, until

SOURCE = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS hits (id INTEGER PRIMARY KEY)");
db.run("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)");
export default {
  fetch(request: Request) {
    if (request.method === "POST") db.run("INSERT INTO hits DEFAULT VALUES");
    return new Response(String((db.query("SELECT count(*) AS n FROM hits").get() as any).n));
  },
};
"""
ONE = "/apps/diary/databases/data.sqlite"
MANY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000)"


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    data = data_folder()
    started = Daemon(data)
    try:
        started.create("diary", {"index.ts": SOURCE, "diary.txt": "its own"})
        yield started
    finally:
        started.kill()
        remove(data)


def write(daemon: Daemon, sql: str) -> dict[str, Any]:
    answer = daemon.api("POST", f"{ONE}/query", json={"sql": sql, "write": True})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def read(daemon: Daemon, sql: str) -> Any:
    return daemon.api("POST", f"{ONE}/query", json={"sql": sql}).json()["rows"]


def state_of(daemon: Daemon, point: int) -> str:
    points = daemon.api("GET", "/apps/diary/backups").json()["points"]
    return next(str(each["state"]) for each in points if each["id"] == point)


def test_no_request_is_lost_while_somebody_writes(daemon: Daemon) -> None:
    """Beside the app with small writes, and with it held for a large import."""
    answers: list[int] = []
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            answers.append(daemon.ask("diary", method="POST").status_code)

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    try:
        for number in range(5):
            write(daemon, f"INSERT INTO notes (text) VALUES ('{number}'); UPDATE notes SET text = text || '!'")
        large = "id,text\n" + "".join(f"{number},{'x' * 90}\n" for number in range(10, 60_000))
        assert len(large) > 4 << 20
        done = daemon.api("POST", f"{ONE}/import?format=csv&table=notes", content=large.encode())
        assert done.status_code == 201, done.text
        steps = [each["name"] for each in daemon.api("GET", "/operations?limit=1").json()["operations"][0]["steps"]]
        assert steps == ["drain", "point", "write"]
    finally:
        over.set()
        for visitor in visitors:
            visitor.join()
    assert set(answers) == {200}
    assert read(daemon, "SELECT count(*) FROM hits") == [[len(answers)]]
    assert read(daemon, "SELECT count(*), max(text) FROM notes WHERE id < 10") == [[5, "4!"]]
    assert read(daemon, "SELECT count(*) FROM notes") == [[5 + 59_990]]


def test_a_write_is_taken_back_by_its_restore_point(daemon: Daemon) -> None:
    assert daemon.ask("diary", method="POST").text == "1"
    write(daemon, "INSERT INTO notes VALUES (1, 'dear diary')")
    point = write(daemon, "DELETE FROM notes; DROP TABLE hits; CREATE TABLE hits (id INTEGER PRIMARY KEY)")["point"]
    assert daemon.ask("diary").text == "0"
    until(lambda: state_of(daemon, point) == "pinned", 20)
    restored = daemon.api("POST", "/apps/diary/restore", json={"point": point})
    assert restored.status_code == 201, restored.text
    assert daemon.ask("diary").text == "1"
    assert read(daemon, "SELECT text FROM notes") == [["dear diary"]]


def test_a_daemon_that_is_killed_leaves_a_write_whole_or_undone(daemon: Daemon) -> None:
    folder = Path(app_folder(daemon, "diary"))
    before = (folder / "data.sqlite-wal").stat().st_size
    asking = threading.Thread(target=lambda: _asked(daemon, f"INSERT INTO notes (text) {MANY} SELECT 'x' || i FROM n"))
    asking.start()
    until(lambda: (folder / "data.sqlite-wal").stat().st_size > before + (1 << 20))
    daemon.kill()
    asking.join()
    until(lambda: daemon.instances() == [])
    daemon.start()
    (operation,) = [
        each for each in daemon.api("GET", "/apps/diary/operations").json()["operations"] if each["kind"] == "sql"
    ]
    assert (operation["status"], "whole, or not at all" in str(operation)) == ("failed", True)
    assert read(daemon, "SELECT count(*) FROM notes") in ([[0]], [[3_000_000]])
    assert daemon.ask("diary", method="POST").text == "1"
    assert daemon.api("GET", f"{ONE}/check?full=1").json()["ok"] is True


def _asked(daemon: Daemon, sql: str) -> None:
    with contextlib.suppress(httpx.HTTPError):
        daemon.api("POST", f"{ONE}/query", json={"sql": sql, "write": True})
