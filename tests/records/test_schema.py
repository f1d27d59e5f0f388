from __future__ import annotations

from pathlib import Path

import pytest

from steadyd.records import schema
from steadyd.store import Connection, Database

LAYOUTS = [schema.STEADY, schema.TELEMETRY]


def tables(db: Connection) -> list[tuple[str, bool]]:
    """Name and strictness of each table."""
    rows = db.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'")
    return [(str(name), bool(strict)) for name, strict in rows]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_table_is_strict(layout: tuple[str, ...], tmp_path: Path) -> None:
    database = Database(tmp_path / "x.db", layout)
    found = database.write_now(tables)
    database.close()
    assert found
    assert [name for name, strict in found if not strict] == []


def test_everything_that_belongs_to_an_app_refers_to_its_id_and_goes_with_it(tmp_path: Path) -> None:
    def references(db: Connection) -> dict[str, set[tuple[str, str]]]:
        found = {}
        for name, _ in tables(db):
            rows = db.execute('SELECT "table", "to", on_delete FROM pragma_foreign_key_list(?)', (name,)).fetchall()
            found[name] = {(str(row[1]), str(row[2])) for row in rows if row[0] == "apps"}
        return found

    database = Database(tmp_path / "x.db", schema.STEADY)
    found = database.write_now(references)
    database.close()
    owned = ("hostnames", "versions", "deploys", "events")
    assert {name: found[name] for name in owned} == {name: {("id", "CASCADE")} for name in owned}
