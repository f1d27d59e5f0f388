"""Death cards are kept, all of them up to a limit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from steadyd.model import Asked, Death, Reached
from steadyd.records import deaths as module
from steadyd.records.apps import Apps
from steadyd.records.deaths import Deaths, card
from steadyd.records.people import People
from steadyd.records.schema import STEADY
from steadyd.store import Connection, Database

NOW = 1_000_000.0
CARD = Death(NOW, 3, "signal", None, "SIGKILL", 1.5, 2, ("last", "lines"), "It was killed.")


def run(body: Coroutine[Any, Any, None]) -> None:
    asyncio.run(body)


async def app_of(database: Database) -> str:
    return (await Apps(database).create("hello", await People(database).operator(NOW), False, NOW)).id


def test_every_card_is_kept_as_it_was(database: Database) -> None:
    async def body() -> None:
        deaths, app_id = Deaths(database), await app_of(database)
        assert (await deaths.last(app_id), await deaths.of(app_id)) == (None, [])
        whole = replace(CARD, requests=(Asked("GET", "/x"),), reached=Reached(memory_refusals=2))
        await deaths.add(app_id, CARD)
        await deaths.add(app_id, whole)
        assert await deaths.of(app_id) == [(2, whole), (1, CARD)]
        assert await deaths.last(app_id) == whole
        await deaths.add("purged", CARD)
        assert await deaths.last("purged") is None

    run(body())


def test_only_so_many_are_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEATHS_PER_APP_MAX", 3)

    async def body() -> None:
        deaths, app_id = Deaths(database), await app_of(database)
        for number in range(5):
            await deaths.add(app_id, replace(CARD, version=number))
        assert [death.version for _, death in await deaths.of(app_id)] == [4, 3, 2]

    run(body())


def test_a_card_of_a_version_that_knew_less_is_read() -> None:
    said = {
        "at": NOW, "version": 1, "cause": "exit", "exit_code": 1, "signal": None, "uptime_seconds": 1.0, "in_flight": 0,
        "log_tail": ["x"], "message": "It ended.",
    }  # fmt: skip
    assert card(said) == Death(NOW, 1, "exit", 1, None, 1.0, 0, ("x",), "It ended.")


def test_the_one_card_that_was_kept_before_is_the_first_of_them(tmp_path: Path) -> None:
    """The schema upgrade takes what an app's row had."""
    before = next(number for number, upgrade in enumerate(STEADY) if "CREATE TABLE deaths" in upgrade)
    path = tmp_path / "steady.db"

    def fill(db: Connection) -> None:
        db.execute("INSERT INTO principals (id, kind, name, created_at) VALUES ('p', 'guest', 'g', 0)")
        sql = (
            "INSERT INTO apps (id, name, owner_id, temporary, created_at, updated_at, last_death) "
            "VALUES (?, ?, 'p', 0, 0, 0, ?)"
        )
        db.executemany(sql, [("a", "died", json.dumps(asdict(CARD))), ("b", "well", None)])

    async def body() -> None:
        old = Database(path, STEADY[:before])
        await old.write(fill)
        old.close()
        now = Database(path, STEADY)
        try:
            assert await Deaths(now).of("a") == [(1, CARD)]
            assert await Deaths(now).of("b") == []
        finally:
            now.close()

    run(body())
