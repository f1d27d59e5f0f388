from __future__ import annotations

import asyncio
import time

import pytest

from steadyd.backup import report as module
from steadyd.backup.chain import Timeline
from steadyd.backup.ltx import Moment
from steadyd.backup.replication import Database, Status
from steadyd.backup.report import LINES_TOLD_MAX, Reports
from steadyd.backup.stream import Health
from steadyd.backup.truth import Proof, State
from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.moment import Capture, Drill, Line
from steadyd.records.library import open_library
from steadyd.store import Database as Store
from tests.records.test_targets import an_app


class Known:
    """What the other rooms say."""

    def __init__(self, problem: str = "", whole: bool = True, files_problem: str = "") -> None:
        self.files_problem = files_problem
        database = Database("data.sqlite", Health.OK, 0.0, 50.0, 1, 7, problem)
        self._status = Status(Health.OK, 0.0, (database,), whole)

    def status(self, app_id: str) -> Status:
        return self._status

    def problem(self, app_id: str, newest: Capture | None) -> str:
        return self.files_problem

    async def timeline(self, line: Line) -> Timeline:
        return Timeline((), Moment(1, line.began_at), Moment(2, line.began_at))

    async def last(self, app_id: str) -> Proof | None:
        return Proof(60.0, True, 12.0)

    def today(self, app_id: str) -> int:
        return 5


async def scene(database: Store, known: Known) -> tuple[Reports, App]:
    app_id = await an_app(database)
    library = open_library(database)
    app = await library.apps.by_id(app_id)
    assert app is not None
    return Reports(library, known, known, known, known, known), app


def test_both_truths_are_said(database: Store) -> None:
    async def body() -> None:
        reports, app = await scene(database, Known())
        assert (await reports.of(app)).summary == "1 database: to the second"
        capture = Capture(0, app.id, 1_795_000_000.0, "ab" * 32, 1_234, 10, 1_795_000_000.0)
        await open_library(database).captures.add(capture)
        report = await reports.of(app)
        assert report.summary == "1 database: to the second; 1,234 files: as of 2026-11-18 11:06 UTC"
        assert (report.truth.state, report.requests) == (State.OK, 5)

    asyncio.run(body())


def test_an_app_that_only_has_files_is_proven_too(database: Store) -> None:
    class NoDatabases(Known):
        def status(self, app_id: str) -> Status:
            return Status(Health.OK, 0.0, (), True)

        async def last(self, app_id: str) -> Proof | None:
            return None

    async def body() -> None:
        reports, app = await scene(database, NoDatabases())
        assert (await reports.truth(app)).state is State.NOTHING
        await open_library(database).captures.add(Capture(0, app.id, 1_000.0, "ab" * 32, 3, 10, 1_000.0))
        assert (await reports.truth(app)).state is State.UNPROVEN
        assert (await reports.of(app)).summary.startswith("3 files: as of")

    asyncio.run(body())


def test_what_any_room_knows_to_be_wrong_is_red(database: Store) -> None:
    async def body() -> None:
        for known in (Known("no space"), Known(whole=False), Known(files_problem="the store is away")):
            reports, app = await scene(database, known)
            assert (await reports.truth(app)).state is State.FAILING
            await open_library(database).apps.remove(app.id, 0.0)

    asyncio.run(body())


def test_of_many_apps_those_that_are_red_are_told(database: Store) -> None:
    async def body() -> None:
        reports, app = await scene(database, Known())
        assert await reports.red([app]) == {}, "it is new"
        library, now = open_library(database), time.time()
        for known in (Known("the store is away"), Known(files_problem="too many"), Known(whole=False)):
            told = await Reports(library, known, known, known, known, known).red([app])
            assert told[app.id].state is State.FAILING
        await library.drills.add(Drill(app.id, now, False, 1.0, now, "no such object"))
        assert (await reports.red([app]))[app.id].message.endswith("no such object")

    asyncio.run(body())


def test_the_newest_lines_are_told(database: Store) -> None:
    async def body() -> None:
        reports, app = await scene(database, Known())
        lines = open_library(database).lines
        for epoch in range(1, LINES_TOLD_MAX + 3):
            await lines.open(app.id, "data.sqlite", epoch, float(epoch))
        told = (await reports.of(app)).timelines
        assert [line.epoch for line, _ in told] == list(range(LINES_TOLD_MAX + 2, 2, -1))

    asyncio.run(body())


def test_a_store_that_is_away_or_slow_keeps_nothing_else_from_being_told(
    database: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STORE_SECONDS_MAX", 0.05)

    class Away(Known):
        async def timeline(self, line: Line) -> Timeline:
            raise SteadyError("replica_away", "there is nobody")

    class Slow(Known):
        async def timeline(self, line: Line) -> Timeline:
            await asyncio.sleep(60)
            raise AssertionError

    async def body() -> None:
        for known in (Away("no space"), Slow("no space")):
            reports, app = await scene(database, known)
            await open_library(database).lines.open(app.id, "data.sqlite", 1, 1.0)
            report = await reports.of(app)
            assert report.timelines == []
            assert (report.truth.state, report.databases[0].problem) == (State.FAILING, "no space")
            await open_library(database).apps.remove(app.id, 0.0)

    asyncio.run(body())
