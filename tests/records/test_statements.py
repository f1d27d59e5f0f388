"""The SQL that somebody asked, in the records."""

from __future__ import annotations

import asyncio

import pytest

from steadyd.records import statements
from steadyd.records.people import People
from steadyd.records.statements import Statement, Statements
from steadyd.store import Database
from tests.records.test_targets import an_app

SAID = Statement(1.0, "data.sqlite", "SELECT 1", False, "", 0.5)


def said(sql: str) -> Statement:
    return Statement(2.0, "data.sqlite", sql, True, "sql_error", 1.5)


def test_each_person_sees_their_own_the_newest_first(database: Database) -> None:
    async def body() -> None:
        kept, app_id = Statements(database), await an_app(database)
        operator = await People(database).operator(0.0)
        guest = await People(database).add_guest(0.0)
        await kept.add(app_id, operator.id, SAID)
        await kept.add(app_id, operator.id, said("DELETE"))
        await kept.add(app_id, operator.id, said("DELETE"))
        await kept.add(app_id, guest.id, said("of the guest"))
        assert await kept.of(app_id, operator.id) == [said("DELETE"), SAID]
        assert [each.sql for each in await kept.of(app_id, guest.id)] == ["of the guest"]
        assert await kept.of(await an_app(database, "other"), operator.id) == []
        await kept.forget(app_id, operator.id)
        assert await kept.of(app_id, operator.id) == []
        assert len(await kept.of(app_id, guest.id)) == 1

    asyncio.run(body())


def test_so_many_are_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "STATEMENTS_PER_PERSON_MAX", 3)

    async def body() -> None:
        kept, app_id = Statements(database), await an_app(database)
        operator = await People(database).operator(0.0)
        for number in range(5):
            await kept.add(app_id, operator.id, said(str(number)))
        assert [each.sql for each in await kept.of(app_id, operator.id)] == ["4", "3", "2"]

    asyncio.run(body())
