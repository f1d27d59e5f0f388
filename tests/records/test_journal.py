from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from steadyd.model import App, Event, Principal
from steadyd.records.apps import Apps
from steadyd.records.journal import EVENTS_PER_APP_MAX, Journal
from steadyd.records.people import People
from steadyd.store import Database

NOW = 1_000_000.0
Body = Callable[[Journal, App, Principal], Coroutine[Any, Any, None]]


@pytest.fixture
def run(database: Database) -> Callable[[Body], None]:
    """Runs a test's body with the journal, an app and its owner."""

    async def go(body: Body) -> None:
        owner = await People(database).add_guest(NOW)
        await body(Journal(database), await Apps(database).create("hello", owner, False, NOW), owner)

    return lambda body: asyncio.run(go(body))


def test_an_operation_is_open_until_it_is_finished(run: Callable[[Body], None]) -> None:
    async def body(journal: Journal, app: App, owner: Principal) -> None:
        first = await journal.begin(app.id, "deploy", owner, NOW)
        second = await journal.begin(app.id, "rollback", owner, NOW)
        await journal.step(first, "swap")
        assert [(open.id, open.kind, open.step, open.outcome) for open in await journal.unfinished()] == [
            (first, "deploy", "swap", ""),
            (second, "rollback", "begin", ""),
        ]
        await journal.finish(first, "done", NOW + 1)
        assert [open.id for open in await journal.unfinished()] == [second]

    run(body)


def test_a_deploy_ends_live_or_failed_with_its_reason(run: Callable[[Body], None]) -> None:
    async def body(journal: Journal, app: App, owner: Principal) -> None:
        good = await journal.begin_deploy(app, 1, "create", NOW)
        bad = await journal.begin_deploy(app, 2, "deploy", NOW)
        steps = [{"name": "start", "ms": 12, "ok": False}]
        failed = await journal.finish_deploy(bad, "failed", steps, NOW + 1, "It exited.")
        live = await journal.finish_deploy(good, "live", [], NOW + 1)
        assert (failed.reason, failed.steps, failed.finished_at) == ("It exited.", tuple(steps), NOW + 1)
        assert [deploy.status for deploy in await journal.deploys(app.id)] == ["failed", "live"]
        assert (await journal.deploys(app.id, limit=1))[0].id == failed.id != live.id

    run(body)


def test_after_a_crash_a_deploy_is_what_its_version_says(run: Callable[[Body], None], database: Database) -> None:
    async def body(journal: Journal, app: App, owner: Principal) -> None:
        await journal.begin_deploy(app, 1, "create", NOW)
        await journal.begin_deploy(app, 2, "deploy", NOW)
        await Apps(database).set_live(app, 1, NOW)
        await journal.settle_deploys(app.id, NOW + 9, "The daemon was stopped.")
        assert [(deploy.status, deploy.reason) for deploy in await journal.deploys(app.id)] == [
            ("failed", "The daemon was stopped."),
            ("live", ""),
        ]

    run(body)


def test_events_come_oldest_first_and_can_be_followed(run: Callable[[Body], None]) -> None:
    async def body(journal: Journal, app: App, owner: Principal) -> None:
        for number in range(5):
            await journal.add_event(app.id, Event(NOW + number, "wake", f"number {number}", {"n": number}))
        newest = await journal.events(app.id, limit=2)
        assert [event.message for _, event in newest] == ["number 3", "number 4"]
        assert await journal.events(app.id, after=newest[0][0]) == newest[1:]

    run(body)


def test_only_so_many_events_are_kept(run: Callable[[Body], None], database: Database) -> None:
    async def body(journal: Journal, app: App, owner: Principal) -> None:
        rows = [(app.id, NOW, "wake", str(number)) for number in range(EVENTS_PER_APP_MAX)]
        sql = "INSERT INTO events (app_id, at, kind, message) VALUES (?, ?, ?, ?)"
        await database.write(lambda db: db.executemany(sql, rows))
        await journal.add_event(app.id, Event(NOW, "wake", "one more"))
        kept = await journal.events(app.id, limit=EVENTS_PER_APP_MAX * 2)
        assert (len(kept), kept[0][1].message, kept[-1][1].message) == (EVENTS_PER_APP_MAX, "1", "one more")

    run(body)


def test_an_event_of_a_purged_app_is_dropped(run: Callable[[Body], None]) -> None:
    async def body(journal: Journal, app: App, owner: Principal) -> None:
        await journal.add_event("gone", Event(NOW, "wake", "late"))
        assert await journal.events("gone") == []

    run(body)
