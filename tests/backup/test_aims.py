from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.backup.aims import Aims, lines_at
from steadyd.backup.ltx import Choice, Moment, choose
from steadyd.backup.when import At, AtPoint, BeforeVersion
from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.moment import Capture, Line, Mark, Point, PointKind, PointState, Stand
from steadyd.records.apps import Apps
from steadyd.records.journal import Journal
from steadyd.records.lines import Lines, ending
from steadyd.records.people import People
from steadyd.records.points import Points
from steadyd.store import Database

LAST = Moment(40, 140.0)
CAPTURED = (("aa", 100.0), ("bb", 125.0))


class Held:
    """What an object store holds: for each line the same moments, and two captures."""

    async def choose(self, line: Line, at: float) -> Choice | None:
        return choose([Moment(10, 110.0), Moment(20, 120.0), LAST], at)

    async def before(self, app_id: str, at: float) -> Capture | None:
        captures = [Capture(n, app_id, seen, name, 1, 1, seen) for n, (name, seen) in enumerate(CAPTURED)]
        return max((one for one in captures if one.at <= at), key=lambda one: one.at, default=None)


class Scene:
    def __init__(self, database: Database, app: App) -> None:
        self.app = app
        self.database = database
        self.lines, self.points, self.journal = Lines(database), Points(database), Journal(database)
        self.aims = Aims(self.lines, self.points, self.journal, Held(), Held())

    async def point(self, **more: object) -> Point:
        mark = Mark(130.0, (Stand("data.sqlite", 1, 25),), "bb", 125.0)
        point = Point(0, self.app.id, PointKind.MANUAL, mark, "ada", "", 3, None, PointState.PINNED)
        return await self.points.add(replace(point, **more))  # type: ignore[arg-type]


def scene(database: Database, body: Callable[[Scene], Awaitable[None]]) -> None:
    async def play() -> None:
        operator = await People(database).operator(0.0)
        await body(Scene(database, await Apps(database).create("hello", operator, False, 0.0)))

    asyncio.run(play())


def refused(code: str, match: str = ".") -> pytest.RaisesExc[SteadyError]:
    return pytest.raises(SteadyError, match=match, check=lambda error: error.code == code)


def test_a_time_is_the_newest_moment_before_it_and_says_how_near(database: Database) -> None:
    async def body(here: Scene) -> None:
        line = await here.lines.open(here.app.id, "data.sqlite", 1, 100.0)
        aim = await here.aims.at(here.app, At(124.0))
        [part] = aim.databases
        assert (part.path, part.line, part.txid, part.at, part.pinned) == ("data.sqlite", line, 20, 120.0, False)
        assert (aim.at, aim.precision, aim.asked) == (120.0, 20.0, 124.0)
        assert (aim.manifest, aim.files_at, aim.point) == ("aa", 100.0, None)
        assert (await here.aims.at(here.app, At(999.0))).precision == 0.0

    scene(database, body)


def test_each_database_is_there_as_it_was_and_only_if_it_was(database: Database) -> None:
    async def body(here: Scene) -> None:
        old = await here.lines.open(here.app.id, "data.sqlite", 1, 100.0)
        await here.lines.write(ending(here.app.id, 115.0))
        new = await here.lines.open(here.app.id, "data.sqlite", 1, 115.0)
        late = await here.lines.open(here.app.id, "late.sqlite", 1, 130.0)
        found = {
            at: [part.line.id for part in (await here.aims.at(here.app, At(at))).databases] for at in (112, 121, 135)
        }
        assert found == {112: [old.id], 121: [new.id], 135: [new.id, late.id]}

    scene(database, body)


def test_what_cannot_be_reached_is_told_with_what_can(database: Database) -> None:
    async def body(here: Scene) -> None:
        with refused("not_reachable", "Nothing of it is kept"):
            await here.aims.at(here.app, At(50.0))
        await here.lines.open(here.app.id, "data.sqlite", 1, 100.0)
        with refused("not_reachable", "1970-01-01T00:01:40Z"):
            await here.aims.at(here.app, At(50.0))
        with refused("not_reachable"):
            await here.aims.at(here.app, BeforeVersion(2))
        with refused("not_reachable"):
            await here.aims.last_of(here.app, 2)
        with refused("not_found"):
            await here.aims.at(here.app, AtPoint(1))

    scene(database, body)


def test_a_point_is_exact_and_a_broken_one_says_why(database: Database) -> None:
    async def body(here: Scene) -> None:
        await here.lines.open(here.app.id, "data.sqlite", 1, 100.0)
        point = await here.point()
        aim = await here.aims.at(here.app, AtPoint(point.id))
        assert [(part.txid, part.pinned) for part in aim.databases] == [(25, True)]
        assert (aim.at, aim.precision, aim.version, aim.point) == (130.0, 0.0, 3, point)
        pending = await here.point(state=PointState.PENDING)
        assert not (await here.aims.at(here.app, AtPoint(pending.id))).databases[0].pinned
        broken = await here.point(state=PointState.BROKEN, problem="an object is gone")
        with refused("backup_broken", "an object is gone"):
            await here.aims.at(here.app, AtPoint(broken.id))
        stray = await here.point(mark=Mark(130.0, (Stand("data.sqlite", 99, 25),)))
        with refused("backup_broken", "data.sqlite"):
            await here.aims.at(here.app, AtPoint(stray.id))

    scene(database, body)


def test_before_a_version_went_live_and_the_last_of_one(database: Database) -> None:
    async def body(here: Scene) -> None:
        await here.lines.open(here.app.id, "data.sqlite", 1, 100.0)
        operator = await People(database).operator(0.0)
        made = {}
        for number in (3, 4):
            operation = await here.journal.begin(here.app, "deploy", operator, 0.0)
            await here.journal.begin_deploy(operation, number)
            await here.journal.finish(operation, "done", 130.0 + number)
            made[number] = await here.point(kind=PointKind.DEPLOY, version=number - 1, operation=operation)
        assert (await here.aims.at(here.app, BeforeVersion(4))).point == made[4]
        assert (await here.aims.last_of(here.app, 2)).point == made[3]
        assert (await here.aims.at(here.app, At(133.5))).version == 3
        assert (await here.aims.at(here.app, At(131.0))).version == 0

    scene(database, body)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 100), st.floats(0, 100) | st.none()), max_size=12))
def test_of_each_database_there_is_one_line_at_a_time(drawn: list[tuple[str, float, float | None]]) -> None:
    lines = [
        Line(number, "x", path, 1, began, None if length is None else began + length)
        for number, (path, began, length) in enumerate(drawn)
    ]
    for at in (0.0, 50.0, 100.0):
        found = lines_at(lines, at)
        assert len({line.path for line in found}) == len(found)
        covering = {
            line.path for line in lines if line.began_at <= at and (line.ended_at is None or at < line.ended_at)
        }
        assert {line.path for line in found} == covering
