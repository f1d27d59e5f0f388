"""A change of the schema that only real rows stand against: it never reaches them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.served import Daemon

pytestmark = pytest.mark.sandbox

FIRST = """
import { Database } from "bun:sqlite";
const db = new Database("people.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS people (id INTEGER PRIMARY KEY, email TEXT)");
export default {
  async fetch(request) {
    if (request.method === "POST") db.run("INSERT INTO people (email) VALUES (?)", [await request.text()]);
    return Response.json(db.query("SELECT email FROM people ORDER BY id").values().flat());
  },
};
"""
UNIQUE = FIRST + 'db.run("CREATE UNIQUE INDEX IF NOT EXISTS by_email ON people (email)");\n'
REBUILT = (
    FIRST
    + """
db.transaction(() => {
  db.run("CREATE TABLE strict_people (id INTEGER PRIMARY KEY, email TEXT NOT NULL CHECK (email LIKE '%@%'))");
  db.run("INSERT INTO strict_people SELECT * FROM people");
  db.run("DROP TABLE people");
  db.run("ALTER TABLE strict_people RENAME TO people");
})();
"""
)
ROWS = ["ada@example.com", "nobody", "ada@example.com"]


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("unique", UNIQUE, "UNIQUE constraint failed: people.email"),
        ("rebuilt", REBUILT, "CHECK constraint failed: email LIKE '%@%'"),
    ],
)
def test_a_migration_that_fails_on_real_rows_is_refused_with_their_error(
    daemon: Daemon, name: str, source: str, reason: str
) -> None:
    """The old version serves on, with every row; where there are no such rows, the same version goes live."""
    daemon.create(name, {"index.ts": FIRST})
    for row in ROWS:
        assert daemon.ask(name, method="POST", content=row).status_code == 200
    for form in ({}, {"trial": True}):
        answer: Any = daemon.api("POST", f"/apps/{name}/deploys", json={"files": {"index.ts": source}, **form})
        assert answer.status_code == 422, answer.text
        error = answer.json()["error"]
        assert (error["code"], error["details"]["step"]) == ("deploy_failed", "trial")
        assert reason in error["details"]["reason"]
        assert error["details"]["file"] == "index.ts"
        assert "db.run(" in error["details"]["source_line"]
        assert daemon.ask(name, method="POST", content="x@example.com").json()[:3] == ROWS
    assert daemon.api("GET", f"/apps/{name}").json()["app"]["version"] == 1
    daemon.create(f"{name}-empty", {"index.ts": FIRST})
    answer = daemon.api("POST", f"/apps/{name}-empty/deploys", json={"files": {"index.ts": source}})
    assert answer.status_code == 201, answer.text
