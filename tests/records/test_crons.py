"""What is kept of crons: whose they are, where they stand, and how much of their past."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import App, Cron, Draft, Origin
from steadyd.records import crons
from steadyd.records.crons import Crons, Job, Needs, Result, Retry, Step, enabling, putting, removing
from steadyd.records.library import Library, open_library
from steadyd.records.schema import STEADY
from steadyd.store import Database

TICK = Cron("tick", "@hourly", path="/tick")
Body = Callable[[Library, App, Database], Awaitable[None]]


def over(folder: Path, body: Body, *said: Cron) -> None:
    """Run a test over an app whose live version says `said`."""

    async def main() -> None:
        database = Database(folder / "steady.db", STEADY, durable=False)
        try:
            library = open_library(database)
            owner = await library.people.operator(0.0)
            app = await library.apps.create("hello", owner, False, 0.0)
            await library.versions.add(app, owner, Draft("index.ts", Origin("paste"), (), crons=said), 0.0)
            await database.write(lambda db: db.execute("UPDATE apps SET version = 1"))
            await body(library, app, database)
        finally:
            database.close()

    asyncio.run(main())


async def only(records: Crons, app: App) -> Job:
    (job,) = await records.of(app.id)
    return job


def test_an_apps_crons_are_those_of_its_live_version_and_its_owners(tmp_path: Path) -> None:
    async def body(library: Library, app: App, database: Database) -> None:
        records = library.crons
        await database.write(putting(app.id, Cron("mine", "@daily", export="nightly"), True, 50))
        assert [(job.cron.id, job.made) for job in await records.of(app.id)] == [("mine", True), ("tick", False)]
        assert sorted(await records.everything(), key=lambda job: job.cron.id) == await records.of(app.id)
        await database.write(lambda db: db.execute("UPDATE apps SET version = 0"))
        assert (await only(records, app)).cron.id == "mine"

    over(tmp_path, body, TICK)


def test_an_owners_cron_goes_before_the_files_of_that_id_and_gives_way_when_it_is_removed(tmp_path: Path) -> None:
    async def body(library: Library, app: App, database: Database) -> None:
        mine = replace(TICK, schedule="@daily")
        await database.write(putting(app.id, mine, True, 50))
        assert await only(library.crons, app) == Job(app.id, mine, True, app_name="hello")
        await database.write(removing(app.id, "tick"))
        assert await only(library.crons, app) == Job(app.id, TICK, False, app_name="hello")

    over(tmp_path, body, TICK)


def test_one_of_the_file_can_be_turned_off_and_on(tmp_path: Path) -> None:
    async def body(library: Library, app: App, database: Database) -> None:
        records = library.crons
        await records.take([Step(await only(records, app), "f", 100.0)], 1.0)
        await database.write(enabling(app.id, "tick", False))
        off = await only(records, app)
        assert (off.enabled, off.next_at, off.made) == (False, None, False)
        await records.tidy()
        assert not (await only(records, app)).enabled
        await database.write(enabling(app.id, "tick", True))
        assert (await only(records, app)).enabled

    over(tmp_path, body, TICK)


def test_an_app_has_so_many(tmp_path: Path) -> None:
    async def body(library: Library, app: App, database: Database) -> None:
        await database.write(putting(app.id, Cron("a", "@daily", path="/"), True, 2))
        with pytest.raises(SteadyError, match="at most 2 crons"):
            await database.write(putting(app.id, Cron("b", "@daily", path="/"), True, 2))
        assert len(await library.crons.of(app.id)) == 2

    over(tmp_path, body, TICK)


def test_what_is_due_is_recorded_before_it_is_done(tmp_path: Path) -> None:
    async def body(library: Library, app: App, database: Database) -> None:
        records = library.crons
        step = Step(await only(records, app), "f", 200.0, 100.0, last_at=100.0, missed=(10.0, 3))
        ((begun, run_id),) = await records.take([step], 101.0)
        assert begun is step
        job = await only(records, app)
        assert (job.follows, job.next_at, job.last_at) == ("f", 200.0, 100.0)
        running, missed = await records.runs(app.id)
        assert (running.id, running.scheduled_at, running.finished_at, running.outcome) == (run_id, 100.0, None, "")
        assert (missed.scheduled_at, missed.count, missed.outcome) == (10.0, 3, "missed")
        done = await records.finish(run_id, Result("failed", 500, "no", 1, 12.5), 102.0, Retry(160.0, 100.0, 2))
        assert done == await records.run(app.id, "tick", run_id)
        assert done is not None
        assert (done.outcome, done.status, done.error, done.version, done.ms) == ("failed", 500, "no", 1, 12.5)
        assert (await only(records, app)).retry == Retry(160.0, 100.0, 2)

    over(tmp_path, body, TICK)


def test_a_step_for_what_changed_meanwhile_is_not_taken(tmp_path: Path) -> None:
    async def body(library: Library, app: App, database: Database) -> None:
        records = library.crons
        job = await only(records, app)
        await database.write(enabling(app.id, "tick", False))
        assert await records.take([Step(job, "f", 200.0, 100.0)], 101.0) == []
        await database.write(lambda db: db.execute("DELETE FROM apps"))
        assert await records.take([Step(job, "f", 200.0, 100.0)], 101.0) == []
        assert await records.finish(1, Result("ok", 200), 102.0) is None

    over(tmp_path, body, TICK)


def test_what_a_crash_left_open_is_interrupted_and_tried_again_so_often(tmp_path: Path) -> None:
    async def body(library: Library, app: App, database: Database) -> None:
        records = library.crons
        for attempt in (1, 2):
            await records.take([Step(await only(records, app), "f", 200.0, 100.0, attempt)], 101.0)
            assert await records.interrupt(110.0, 2) == 1
            assert (await only(records, app)).retry == (Retry(110.0, 100.0, 2) if attempt == 1 else None)
        await records.begin(await only(records, app), 120.0)
        assert await records.interrupt(130.0, 2) == 1
        assert (await only(records, app)).retry is None
        assert [run.outcome for run in await records.runs(app.id)] == ["interrupted"] * 3

    over(tmp_path, body, TICK)


def test_of_the_past_so_much_is_kept(tmp_path: Path) -> None:
    async def body(library: Library, app: App, database: Database) -> None:
        records = library.crons
        for number in range(crons.RUNS_PER_CRON_MAX + 5):
            step = Step(await only(records, app), "f", number + 1.0, float(number), skipped="held")
            assert await records.take([step], number + 0.5) == []
        kept = await records.runs(app.id, "tick", 1_000)
        assert len(kept) == crons.RUNS_PER_CRON_MAX
        assert kept[0].scheduled_at == crons.RUNS_PER_CRON_MAX + 4

    over(tmp_path, body, TICK)


def test_of_all_an_apps_crons_together_so_much_is_kept(tmp_path: Path) -> None:
    async def body(library: Library, app: App, database: Database) -> None:
        numbers = "WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < ?) "
        row = "SELECT v, ?, 'old-' || v, 0.0, 1, 0, 0.0, 1.0, 'ok', 1, 200, 1.0, 1, '' FROM n"
        sql = f"{numbers}INSERT INTO cron_runs {row}"
        await database.write(lambda db: db.execute(sql, (crons.RUNS_PER_APP_MAX, app.id)))
        await library.crons.begin(await only(library.crons, app), 5.0)
        kept = await library.crons.runs(app.id, "", 10_000)
        assert (len(kept), kept[0].cron_id, kept[-1].cron_id) == (crons.RUNS_PER_APP_MAX, "tick", "old-2")

    over(tmp_path, body, TICK)


def test_what_an_instance_is_given_for_its_crons(tmp_path: Path) -> None:
    async def body(library: Library, app: App, database: Database) -> None:
        records = library.crons
        key = await records.key(app.id)
        assert [await records.exports(app.id, version) for version in (1, 2)] == [{"nightly": "nightly"}, {}]
        assert len(key) == 2 * crons.KEY_BYTES
        assert [await records.needs(app.id, version) for version in (1, 2)] == [Needs(key, True), Needs("", False)]
        await database.write(putting(app.id, Cron("mine", "@daily", path="/"), True, 50))
        assert await records.needs(app.id, 2) == Needs(key, False)
        await database.write(putting(app.id, Cron("mine", "@daily", export="mine"), True, 50))
        assert await records.needs(app.id, 2) == Needs(key, True)
        assert await records.key("nobody") == ""

    over(tmp_path, body, TICK, Cron("nightly", "@daily", export="nightly"))


def test_where_a_cron_stood_goes_with_its_version(tmp_path: Path) -> None:
    async def body(library: Library, app: App, database: Database) -> None:
        records = library.crons
        await records.take([Step(await only(records, app), "f", 100.0)], 1.0)
        await database.write(lambda db: db.execute("UPDATE apps SET version = 0"))
        await records.tidy()
        await database.write(lambda db: db.execute("UPDATE apps SET version = 1"))
        assert (await only(records, app)).next_at is None
        await database.write(lambda db: db.execute("DELETE FROM versions"))
        assert await records.of(app.id) == []

    over(tmp_path, body, TICK)


def test_what_a_version_says_can_be_asked_for(tmp_path: Path) -> None:
    async def body(library: Library, app: App, database: Database) -> None:
        await library.apps.write(putting(app.id, Cron("mine", "@daily", path="/"), True, 50))
        assert await library.crons.said_by(app.id, 1) == (TICK,)
        assert await library.crons.said_by(app.id, 2) == ()

    over(tmp_path, body, TICK)
