"""The scheduler over real records, with a clock at its door: what is fired, when, and what a restart does."""

from __future__ import annotations

import asyncio
import contextlib
import random
from bisect import bisect_right
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import Cron, Draft, Event, Origin, Principal
from steadyd.records.crons import Job, Result, Run, putting
from steadyd.records.library import Library, open_library
from steadyd.records.schema import STEADY
from steadyd.runner import crons
from steadyd.runner.agenda import ATTEMPTS_MAX, LATE_SECONDS_MAX, RETRY_SECONDS
from steadyd.runner.crons import Scheduler
from steadyd.runner.errand import Errand
from steadyd.store import Database
from tests.runner.conftest import run, until
from tests.test_schedule import brute

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = 3600.0


@dataclass
class Stage:
    """A scheduler whose clock and whose app are the test's. `answers` are given in turn, then ok."""

    library: Library
    database: Database
    app_id: str
    now: float = START.timestamp()
    fired: list[Errand] = field(default_factory=list)
    answers: list[Result] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    hangs: bool = False
    most: int = 0
    under_way: int = 0
    scheduler: Scheduler = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        tell = lambda app_id, event: self.events.append(event)  # noqa: E731
        self.scheduler = Scheduler(self.library.crons, self.fire, tell, lambda: self.now)

    async def fire(self, errand: Errand) -> Result:
        self.fired.append(errand)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await until(lambda: not self.hangs)
            return self.answers.pop(0) if self.answers else Result("ok", 200)
        finally:
            self.under_way -= 1

    async def look(self, at: float | None = None) -> float:
        """One look at that time, and what it began."""
        self.now = at if at is not None else self.now
        due = await self.scheduler.look()
        if not self.hangs:
            await self.scheduler.idle()
            due = await self.scheduler.look()
        return due if due is not None else float("inf")

    async def runs(self, cron_id: str = "") -> list[Run]:
        return (await self.library.crons.runs(self.app_id, cron_id))[::-1]

    async def outcomes(self) -> list[tuple[str, int]]:
        return [(made.outcome, made.attempt) for made in await self.runs()]

    async def job(self) -> Job:
        return (await self.library.crons.of(self.app_id))[0]


async def add_app(library: Library, database: Database, owner: Principal, *said: Cron) -> str:
    """An app of `owner` whose live version says `said`; its id."""
    app = await library.apps.create(None, owner, False, 0.0)
    await library.versions.add(app, owner, Draft("index.ts", Origin("paste"), (), crons=said), 0.0)
    await database.write(lambda db: db.execute("UPDATE apps SET version = 1 WHERE id = ?", (app.id,)))
    return app.id


@asynccontextmanager
async def stage(folder: Path, *said: Cron) -> AsyncIterator[Stage]:
    """An app whose live version says `said`."""
    database = Database(folder / "steady.db", STEADY, durable=False)
    library = open_library(database)
    owner = await library.people.operator(0.0)
    made = Stage(library, database, await add_app(library, database, owner, *said))
    try:
        yield made
    finally:
        await made.scheduler.close(0)
        database.close()


TICK = Cron("tick", "0 * * * *", path="/tick")
YEAR: Mapping[str, Cron] = {
    cron.id: cron
    for cron in (
        Cron("often", "0 */6 * * *", path="/"),
        Cron("fixed", "30 2 * * *", "Europe/Berlin", "/"),
        Cron("wild", "*/30 2 * * *", "America/New_York", "/"),
        Cron("half", "15 1-3 * * SUN", "Australia/Lord_Howe", "/"),
        Cron("work", "0 9 * * MON-FRI", "Africa/Cairo", "/"),
        Cron("month", "@monthly", path="/"),
    )
}


DAYS = 366


@cache
def brute_year() -> Mapping[str, list[float]]:
    """What each of YEAR's schedules says, of every minute of the year."""
    plain = {"@monthly": "0 0 1 * *"}
    return {
        name: brute(plain.get(cron.schedule, cron.schedule), cron.timezone, START, DAYS) for name, cron in YEAR.items()
    }


@pytest.mark.parametrize("seed", [2, pytest.param(1, marks=pytest.mark.soak)])
def test_a_year_with_clock_jumps_changes_of_the_hour_and_restarts_fires_exactly_what_is_said(
    tmp_path: Path, seed: int
) -> None:
    """Whoever looks at a time sees the moments since the latest time that was seen before. In ordinary running that is
    one, and it is fired; of more (it was down, the clock leapt ahead) the last is, if it is not too late for it."""
    chance = random.Random(seed)
    end = START.timestamp() + DAYS * 86_400 - 1
    moments = brute_year()
    expected: set[tuple[str, float]] = set()
    missed: dict[str, int] = dict.fromkeys(YEAR, 0)
    told: dict[str, dict[int, int]] = {name: {} for name in YEAR}

    def seen(since: float, now: float) -> None:
        for name, all_of_it in moments.items():
            passed = all_of_it[bisect_right(all_of_it, since) : bisect_right(all_of_it, now)]
            if passed and passed[-1] >= now - LATE_SECONDS_MAX:
                expected.add((name, passed.pop()))
            missed[name] += len(passed)

    async def body() -> None:
        async with stage(tmp_path, *YEAR.values()) as made:
            at, high, restarts = await made.look(), made.now, 0
            while made.now < end:
                kind = chance.choices(("on", "ahead", "back", "restart", "killed"), (96, 1, 1, 1, 1))[0]
                now = at + chance.random() if kind != "back" else made.now - chance.uniform(0, 12 * HOUR)
                if kind in ("ahead", "restart"):
                    now = made.now + chance.uniform(0, 3 * 86_400)
                if kind == "killed":
                    made.hangs = True
                    await made.look(now)
                    await until(lambda: made.under_way > 0 or not made.scheduler._tasks)
                    made.hangs = False
                if kind in ("restart", "killed"):
                    await made.scheduler.close(0)
                    made.restart()
                    made.now, restarts = now, restarts + 1
                    await made.scheduler.recover()
                at = await made.look(min(now, end))
                seen(high, made.now)
                high = max(high, made.now)
                for name in YEAR if kind != "on" else ():
                    told[name] |= {
                        found.id: found.count for found in await made.runs(name) if found.outcome == "missed"
                    }
            assert restarts > 5
            first = [(errand.cron.id, errand.moment) for errand in made.fired if errand.attempt == 1]
            assert len(first) == len(set(first))
            assert set(first) == expected
            assert {name: sum(counts.values()) for name, counts in told.items()} == missed
            again = {(errand.cron.id, errand.moment) for errand in made.fired if errand.attempt > 1}
            assert again <= expected  # what was killed in its middle is tried again
            assert again

    asyncio.run(body())


def test_a_failure_is_tried_again_and_its_owner_told_after_the_last(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, TICK) as made:
            due = await made.look()
            made.answers = [Result("failed", 500, "It answered 500.")] * ATTEMPTS_MAX
            for attempt, wait in enumerate((*RETRY_SECONDS, None), 1):
                assert len(made.fired) == attempt - 1
                after = await made.look(due)
                assert (wait is None) or after == pytest.approx(made.now + wait)
                assert len(made.events) == (wait is None)
                due = after
            assert due == START.timestamp() + 2 * HOUR
            assert await made.outcomes() == [("failed", 1), ("failed", 2), ("failed", 3)]
            assert {errand.moment for errand in made.fired} == {START.timestamp() + HOUR}
            assert made.events[0].kind == crons.FAILED
            assert (
                "Cron “tick” of 2024-01-01 01:00:00 UTC failed, attempt 3: It answered 500." in made.events[0].message
            )

    run(body())


def test_what_cannot_pass_is_not_tried_again(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, TICK) as made:
            made.answers = [Result("failed", 404, "It answered 404.")]
            due = await made.look(await made.look())
            assert due == START.timestamp() + 2 * HOUR
            assert len(made.events) == 1

    run(body())


def test_a_run_still_going_lets_the_next_moment_pass(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, TICK) as made:
            due, made.hangs = await made.look(), True
            await made.look(due)
            await until(lambda: made.under_way == 1)
            await made.look(due + HOUR)
            assert await made.outcomes() == [("", 1), ("skipped", 1)]
            made.hangs = False
            await made.scheduler.idle()
            await made.look(due + 2 * HOUR)
            assert await made.outcomes() == [("ok", 1), ("skipped", 1), ("ok", 1)]
            assert made.most == 1

    run(body())


def test_only_so_many_run_at_once(tmp_path: Path) -> None:
    """Of one app, of all apps of accounts, and of guests, who take no turn from those."""
    said = [replace(TICK, id=f"c{number}") for number in range(2 * crons.APPS_RUNS_AT_ONCE_MAX)]

    async def body() -> None:
        async with stage(tmp_path, *said) as made:
            guest = await made.library.people.add_guest(0.0)
            owner = await made.library.people.operator(0.0)
            due, made.hangs = await made.look(), True
            await made.look(due)
            await until(lambda: made.under_way == crons.APPS_RUNS_AT_ONCE_MAX)
            for _ in range(crons.RUNS_AT_ONCE_MAX // crons.APPS_RUNS_AT_ONCE_MAX + 1):
                for whose in (owner, guest):
                    await add_app(made.library, made.database, whose, *said)
            await made.look()
            await made.look(due + HOUR)
            most = crons.RUNS_AT_ONCE_MAX + crons.GUESTS_RUNS_AT_ONCE_MAX
            await until(lambda: made.under_way == most)
            made.hangs = False
            await made.scheduler.idle()
            assert (len(made.fired), made.most) == (11 * len(said), most)

    run(body())


def test_a_stop_lets_runs_end_for_a_moment(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, TICK) as made:
            due, made.hangs = await made.look(), True
            await made.look(due)
            await until(lambda: made.under_way == 1)
            closing = asyncio.ensure_future(made.scheduler.close())
            made.hangs = False
            await closing
            assert await made.outcomes() == [("ok", 1)]
            made.hangs = True
            await made.look(due + HOUR)
            await until(lambda: made.under_way == 1)
            await made.scheduler.close()
            assert await made.outcomes() == [("ok", 1), ("", 1)]

    run(body())


def test_what_a_restart_interrupts_is_tried_again_and_told(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, TICK) as made:
            due, made.hangs = await made.look(), True
            await made.look(due)
            await until(lambda: made.under_way == 1)
            await made.scheduler.close(0)
            made.hangs = False
            made.restart()
            await made.scheduler.recover()
            await made.look(due + 5)
            assert await made.outcomes() == [("interrupted", 1), ("ok", 2)]
            assert [errand.moment for errand in made.fired] == [due, due]

    run(body())


def test_an_app_that_is_held_suspended_or_deleted_is_not_asked(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, TICK) as made:
            due = await made.look()
            await made.database.write(lambda db: db.execute("UPDATE apps SET held = 1"))
            await made.look(due)
            await made.database.write(lambda db: db.execute("UPDATE principals SET suspended = 'Spam.'"))
            await made.look(due + HOUR)
            await made.database.write(lambda db: db.execute("UPDATE apps SET deleted_at = 1.0"))
            await made.look(due + 2 * HOUR)
            told = [found.error for found in await made.runs()]
            assert told == ["The app is held.", "The app is suspended.", "The app is deleted."]
            assert made.fired == []

    run(body())


def test_another_version_brings_its_own_crons_and_a_rollback_the_old_ones(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, TICK) as made:
            await made.look()
            owner, app = await made.library.people.operator(0.0), await made.library.apps.by_id(made.app_id)
            assert app is not None
            draft = Draft("index.ts", Origin("paste"), (), crons=(Cron("other", "30 * * * *", path="/other"),))
            await made.library.versions.add(app, owner, draft, 0.0)
            await made.database.write(lambda db: db.execute("UPDATE apps SET version = 2"))
            assert await made.look() == made.now + HOUR / 2
            await made.look(made.now + 10 * HOUR)
            assert {errand.cron.id for errand in made.fired} == {"other"}
            await made.database.write(lambda db: db.execute("UPDATE apps SET version = 1"))
            assert await made.look() == made.now + HOUR  # and nothing of the ten hours was missed
            assert {found.cron_id for found in await made.runs()} == {"other"}

    run(body())


def test_by_hand(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, TICK) as made:
            await made.look()
            done = await made.scheduler.run_now(await made.job())
            assert (done.outcome, done.by_hand, done.scheduled_at) == ("ok", True, made.now)
            made.hangs = True
            waiting = asyncio.ensure_future(made.scheduler.run_now(await made.job()))
            await until(lambda: made.under_way == 1)
            with pytest.raises(SteadyError, match="under way"):
                await made.scheduler.run_now(await made.job())
            made.hangs, made.answers = False, [Result("failed", 500, "It answered 500.")]
            assert (await waiting).outcome == "failed"
            assert made.events == []  # whoever asked has seen it
            assert await made.look() == START.timestamp() + HOUR  # by hand there is no second attempt

    run(body())


def test_the_loop_sleeps_until_the_next_moment_and_wakes_when_asked(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as made:
            loop = asyncio.ensure_future(made.scheduler.run())
            try:
                await made.database.write(putting(made.app_id, Cron("now", "* * * * *", path="/"), True, 50))
                made.scheduler.poke()
                job = None
                while job is None or job.next_at is None:
                    job = await made.job()
                    await asyncio.sleep(0.005)
                made.now = job.next_at
                made.scheduler.poke()
                await until(lambda: made.fired)
            finally:
                loop.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await loop

    run(body())


def test_the_loop_survives_a_look_that_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        async with stage(tmp_path, TICK) as made:
            looks: list[float] = []

            def clock() -> float:
                looks.append(made.now)
                if len(looks) == 1:
                    raise RuntimeError("no clock")
                return made.now

            made.scheduler = Scheduler(made.library.crons, made.fire, lambda app_id, event: None, clock)
            loop = asyncio.ensure_future(made.scheduler.run())
            try:
                await until(lambda: looks)
                made.scheduler.poke()
                await until(lambda: len(looks) > 1)
            finally:
                loop.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await loop
            assert "crons are not looked at for 30 s" in caplog.text

    run(body())


def test_a_door_that_breaks_is_a_failed_run(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path, TICK) as made:

            async def broken(errand: Errand) -> Result:
                raise RuntimeError("no door")

            made.fire = broken  # type: ignore[method-assign]
            made.restart()
            done = await made.scheduler.run_now(await made.job())
            assert (done.outcome, done.error) == ("failed", "steadyd could not run it: no door")

    run(body())
