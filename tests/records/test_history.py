"""Events, operations and deaths of an app in one list, a page at a time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.model import Event
from steadyd.records.apps import Apps
from steadyd.records.deaths import Deaths
from steadyd.records.history import PAST_ID, Cursor, Entry, History, parse_cursor
from steadyd.records.journal import WAKE, Journal
from steadyd.records.people import People
from steadyd.store import Database
from tests.records.test_deaths import CARD, NOW


async def past(database: Database, number: int = 4) -> str:
    """An app with so many of each sort, one every second."""
    operator = await People(database).operator(NOW)
    app = await Apps(database).create("hello", operator, False, NOW)
    journal, deaths = Journal(database), Deaths(database)
    for at in (NOW + 10 * round for round in range(number)):
        operation = await journal.begin(app, "deploy", operator, at)
        await journal.begin_deploy(operation, 7)
        await journal.finish(operation, "done", at + 1, [{"name": "check", "ms": 1.0, "ok": True}])
        await journal.add_event(app.id, Event(at + 1.5, "deploy", "Version 7 is live."))
        await journal.add_event(app.id, Event(at + 3, WAKE, "Started.", {"ms": 1.0}))
        await journal.add_event(app.id, Event(at + 4, "limit", "It reached a limit."))
        await deaths.add(app.id, replace(CARD, at=at + 5))
        await journal.add_event(app.id, Event(at + 5, "death", "It was killed."))
    return app.id


async def whole(history: History, app_id: str, limit: int, **wish: object) -> list[Entry]:
    """All pages, one after another."""
    found: list[Entry] = []
    cursor: Cursor | None = Cursor()
    while cursor is not None:
        page = await history.page(app_id, limit, parse_cursor(str(cursor)), **wish)  # type: ignore[arg-type]
        assert len(page.entries) <= limit
        assert page.entries
        found += page.entries
        cursor = page.next
    return found


@pytest.mark.parametrize("limit", [1, 3, 7, 16, 100])
def test_pages_tell_everything_once_newest_first(database: Database, limit: int) -> None:
    async def body() -> None:
        app_id = await past(database)
        found = await whole(History(database), app_id, limit)
        assert [entry.sort for entry in found] == ["death", "event", "wake", "operation"] * 4
        assert [entry.at for entry in found] == sorted((entry.at for entry in found), reverse=True)

    asyncio.run(body())


def test_one_sort_alone(database: Database) -> None:
    async def body() -> None:
        app_id, history = await past(database), History(database)
        for sort in ("death", "event", "wake", "operation"):
            found = await whole(history, app_id, 3, sorts=(sort,))
            assert [entry.sort for entry in found] == [sort] * 4
        assert [entry.version for entry in await whole(history, app_id, 3, sorts=("operation",))] == [7] * 4
        assert await History(database).page("nobody", 5) == await History(database).page(app_id, 5, Cursor(0, 0, 0))

    asyncio.run(body())


def test_a_death_without_a_card_is_told_by_its_event(database: Database) -> None:
    async def body() -> None:
        app_id = await past(database, 1)
        await Journal(database).add_event(app_id, Event(NOW + 60, "death", "Long ago."))
        found = (await History(database).page(app_id, 1)).entries
        assert [(entry.sort, entry.at) for entry in found] == [("event", NOW + 60)]

    asyncio.run(body())


def test_an_event_after_an_operation_of_its_kind_is_one_of_its_own(database: Database) -> None:
    async def body() -> None:
        app_id = await past(database, 1)
        await Journal(database).add_event(app_id, Event(NOW + 9, "deploy", "Something else."))
        assert (await History(database).page(app_id, 1)).entries[0].sort == "event"

    asyncio.run(body())


def test_one_entry_by_its_id(database: Database) -> None:
    async def body() -> None:
        app_id, history = await past(database, 2), History(database)
        found = await history.one(app_id, "death", 1)
        assert found is not None
        assert (found.sort, found.id, found.at) == ("death", 1, NOW + 5)
        assert (await history.one(app_id, "operation", 2)) is not None
        assert (await history.one(app_id, "death", 99), await history.one("other", "death", 1)) == (None, None)

    asyncio.run(body())


@given(st.builds(Cursor, *[st.integers(0, PAST_ID)] * 3))
def test_a_cursor_is_said_and_read(cursor: Cursor) -> None:
    assert parse_cursor(str(cursor)) == cursor


@pytest.mark.parametrize("text", ["1-2", "x", "1-2-3-4", "1-2-x", "-1-2-3", "1" * 17 + "-1-1"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(SteadyError) as caught:
        parse_cursor(text)
    assert caught.value.code == "invalid"
    assert parse_cursor("") == Cursor()


def test_a_range_has_all_of_it_and_nothing_else(database: Database) -> None:
    async def body() -> None:
        app_id, history = await past(database), History(database)
        found = await history.between(app_id, NOW + 10, NOW + 20)
        assert [(entry.sort, entry.at - NOW) for entry in found] == [
            ("death", 15.0), ("event", 14.0), ("wake", 13.0), ("operation", 10.0),
        ]  # fmt: skip

    asyncio.run(body())
