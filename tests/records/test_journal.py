from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from steadyd.model import App, Event, Principal
from steadyd.records.apps import Apps, going_live
from steadyd.records.journal import (
    DEPLOYS_PER_APP_MAX,
    EVENTS_PER_APP_MAX,
    OPERATION_DAYS_MAX,
    OPERATIONS_PER_APP_MAX,
    Journal,
)
from steadyd.records.people import People
from steadyd.store import Connection, Database
from steadyd.terms import Terms

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
        first = await journal.begin(app, "deploy", owner, NOW)
        second = await journal.begin(app, "rollback", owner, NOW)
        done = [{"name": "stage", "ms": 3.0, "ok": True}]
        await journal.step(first, "switch", done)
        assert [(open.id, open.kind, open.step, open.outcome) for open in await journal.unfinished()] == [
            (first, "deploy", "switch", ""),
            (second, "rollback", "begin", ""),
        ]
        await journal.finish(first, "done", NOW + 1)
        assert [open.id for open in await journal.unfinished()] == [second]
        ended = await journal.operation(first)
        assert ended is not None
        assert (ended.steps, ended.outcome, ended.finished_at, ended.error) == (tuple(done), "done", NOW + 1, None)
        assert (ended.app_name, ended.principal_id) == ("hello", owner.id)
        assert await journal.operation(second + 1) is None

    run(body)


def test_what_an_operation_is_for_and_that_it_is_committed_are_one(
    run: Callable[[Body], None], database: Database
) -> None:
    def failing(db: Connection) -> None:
        raise ValueError("no")

    async def body(journal: Journal, app: App, owner: Principal) -> None:
        operation = await journal.begin(app, "deploy", owner, NOW)
        with pytest.raises(ValueError, match="no"):
            await journal.commit(operation, [going_live(app, 7, NOW, Terms()), failing])
        found = await journal.operation(operation)
        assert found is not None
        assert not found.committed
        before = await Apps(database).by_id(app.id)
        assert before is not None
        assert before.version == 0
        await journal.commit(operation, [going_live(app, 7, NOW, Terms())])
        (open,) = await journal.unfinished()
        after = await Apps(database).by_id(app.id)
        assert after is not None
        assert (open.committed, after.version) == (True, 7)

    run(body)


def test_a_deploy_ends_with_its_operation(run: Callable[[Body], None]) -> None:
    async def body(journal: Journal, app: App, owner: Principal) -> None:
        steps = [{"name": "switch", "ms": 12, "ok": False}]
        good = await journal.begin(app, "create", owner, NOW)
        bad = await journal.begin(app, "deploy", owner, NOW)
        ids = [await journal.begin_deploy(good, 1), await journal.begin_deploy(bad, 2)]
        assert [deploy.status for deploy in await journal.deploys(app.id)] == ["running", "running"]
        await journal.finish(bad, "failed", NOW + 1, steps, {"code": "deploy_failed", "message": "It exited."})
        await journal.finish(good, "done", NOW + 1, [])
        live, failed = await journal.deploy(ids[0]), await journal.deploy(ids[1])
        assert live is not None
        assert failed is not None
        assert (live.status, live.kind, live.version, live.reason) == ("live", "create", 1, "")
        assert (failed.status, failed.reason, failed.steps) == ("failed", "It exited.", tuple(steps))
        assert (await journal.deploys(app.id, limit=1))[0].id == failed.id
        assert await journal.deploy(ids[1] + 1) is None

    run(body)


def test_an_error_may_name_a_file_that_is_no_text(run: Callable[[Body], None]) -> None:
    async def body(journal: Journal, app: App, owner: Principal) -> None:
        number = await journal.begin(app, "deploy", owner, NOW)
        await journal.finish(number, "failed", NOW, [], {"code": "conflict", "message": "“\udcff”", "details": {}})
        found = await journal.operation(number)
        assert found is not None
        assert found.outcome == "failed"

    run(body)


def test_operations_are_listed_by_app_and_by_who_asked(run: Callable[[Body], None], database: Database) -> None:
    async def body(journal: Journal, app: App, owner: Principal) -> None:
        other = await People(database).add_guest(NOW)
        first = await journal.begin(app, "deploy", owner, NOW)
        second = await journal.begin(app, "restart", other, NOW)
        assert [found.id for found in await journal.operations(app_id=app.id)] == [second, first]
        assert [found.id for found in await journal.operations(principal_id=owner.id)] == [first]
        assert [found.id for found in await journal.operations(app.id, other.id)] == [second]
        assert [found.id for found in await journal.operations(limit=1)] == [second]

    run(body)


def test_only_so_many_deploys_of_an_app_are_kept(run: Callable[[Body], None], database: Database) -> None:
    async def body(journal: Journal, app: App, owner: Principal) -> None:
        rows = [(app.id, number, "deploy", "live", NOW) for number in range(DEPLOYS_PER_APP_MAX + 5)]
        sql = "INSERT INTO deploys (app_id, version, kind, status, started_at) VALUES (?, ?, ?, ?, ?)"
        await database.write(lambda db: db.executemany(sql, rows))
        await journal.finish(await journal.begin(app, "deploy", owner, NOW), "done", NOW)
        kept = await journal.deploys(app.id, limit=DEPLOYS_PER_APP_MAX * 2)
        assert (len(kept), kept[-1].version) == (DEPLOYS_PER_APP_MAX, 5)

    run(body)


def test_only_so_many_operations_of_an_app_are_kept(run: Callable[[Body], None], database: Database) -> None:
    async def body(journal: Journal, app: App, owner: Principal) -> None:
        oldest = await journal.begin(app, "deploy", owner, NOW)  # still under way: it is never forgotten
        rows = [(app.id, app.name, "deploy", owner.id, "x", NOW, NOW)] * OPERATIONS_PER_APP_MAX
        sql = (
            "INSERT INTO operations (app_id, app_name, kind, principal_id, step, started_at, finished_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        await database.write(lambda db: db.executemany(sql, rows))
        newest = await journal.begin(app, "deploy", owner, NOW)
        await journal.finish(newest, "done", NOW)
        kept = await journal.operations(app.id, limit=OPERATIONS_PER_APP_MAX * 2)
        assert (len(kept), kept[0].id, kept[-1].id) == (OPERATIONS_PER_APP_MAX + 1, newest, oldest)

    run(body)


def test_an_operation_outlives_its_app_for_a_while(run: Callable[[Body], None], database: Database) -> None:
    async def body(journal: Journal, app: App, owner: Principal) -> None:
        gone = await journal.begin(app, "purge", owner, NOW)
        await Apps(database).remove(app.id, NOW)
        await journal.finish(gone, "done", NOW)
        assert await journal.operation(gone) is not None
        other = await Apps(database).create("other", owner, False, NOW)
        later = NOW + OPERATION_DAYS_MAX * 86_400.0 + 1
        await journal.finish(await journal.begin(other, "start", owner, later), "done", later)
        assert await journal.operation(gone) is None

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


def test_the_start_that_a_request_waited_for_is_found(run: Callable[[Body], None]) -> None:
    async def body(journal: Journal, app: App, owner: Principal) -> None:
        for at, kind, details in ((10.0, "wake", {"ms": 120.0}), (20.0, "wake", {"ms": 80.0}), (21.0, "death", {})):
            await journal.add_event(app.id, Event(at, kind, "", details))
        assert await journal.woke(app.id, 19.9, 20.1) == (20.0, 0.08)
        assert await journal.woke(app.id, 20.5, 30.0) is None

    run(body)


def test_the_deploy_by_which_a_version_went_live_last(run: Callable[[Body], None]) -> None:
    async def body(journal: Journal, app: App, owner: Principal) -> None:
        for version, outcome in ((1, "done"), (2, "done"), (1, "done"), (2, "failed"), (3, "done")):
            operation = await journal.begin(app, "deploy", owner, NOW)
            await journal.begin_deploy(operation, version)
            await journal.finish(operation, outcome, NOW, [])
        assert {version: deploy.id for version, deploy in (await journal.live_deploys(app.id, 1, 2)).items()} == {
            1: 3,
            2: 2,
        }

    run(body)
