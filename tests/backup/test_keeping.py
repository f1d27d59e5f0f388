from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from steadyd.backup.durability import Barriers
from steadyd.backup.keeping import APPROACH_SECONDS_MAX, NOTE_CHARACTERS_MAX, TOUCH_UP_SECONDS_MAX, Keeping
from steadyd.errors import SteadyError
from steadyd.model import App, AppState, Durability, Event
from steadyd.moment import PointKind, PointState, Stand
from steadyd.records.apps import Apps
from steadyd.records.people import People
from steadyd.records.points import Points
from steadyd.store import Database

STANDS = (Stand("data.sqlite", 3, 17),)


@dataclass
class Parts:
    """Whoever replicates and captures, remembering what they were told."""

    heard: list[tuple[str, object]] = field(default_factory=list)
    problem: str = ""

    def turned(self, app_id: str, state: AppState) -> None:
        self.heard.append((app_id, state))

    def asked(self, app_id: str) -> None:
        self.heard.append((app_id, "asked"))

    async def stand(self, app_id: str) -> tuple[Stand, ...]:
        if self.problem:
            raise SteadyError("replica_away", self.problem)
        return STANDS

    def happened(self, app_id: str, event: Event) -> None:
        self.heard.append((app_id, event))

    async def touch_up(self, app: App, seconds: float) -> tuple[str, float]:
        self.heard.append((app.id, seconds))
        return "ab" * 32, 5.0


def test_answers_wait_only_where_there_are_barriers(database: Database) -> None:
    class Stays(Parts):
        async def sync(self, app_id: str, seconds: float) -> tuple[Stand, ...]:
            return STANDS

    parts = Stays()
    barriers = Barriers(parts, Path("/nowhere"), lambda app_id, said: None, 5.0)
    for given, waits in ((None, False), (barriers, True)):
        keeping = Keeping(Points(database), parts, parts, lambda app_id, said: None, given)
        assert keeping.barrier("a", Durability.HOST) is None
        assert (keeping.barrier("a", Durability.REPLICA) is not None) == waits
        asyncio.run(keeping.settle("a"))


def test_both_hear_of_a_turn_and_a_point_says_where_all_stands(database: Database) -> None:
    async def body() -> None:
        operator = await People(database).operator(0.0)
        app = await Apps(database).create("hello", operator, False, 0.0)
        points, stands, files, told = Points(database), Parts(), Parts(), []
        keeping = Keeping(points, stands, files, lambda app_id, said: told.append(said))
        keeping.turned(app.id, AppState.RUNNING)
        keeping.asked(app.id)
        event = Event(1.0, "deploy", "Version 2 is live.")
        keeping.happened(app.id, event)
        assert stands.heard == [(app.id, AppState.RUNNING), (app.id, "asked")]
        assert files.heard == [(app.id, AppState.RUNNING), (app.id, event)]

        point = await keeping.point(app, PointKind.MANUAL, "ada", "x" * 500)
        assert point == await points.one(app.id, point.id)
        assert (point.mark.databases, point.mark.manifest, point.mark.files_at) == (STANDS, "ab" * 32, 5.0)
        assert (point.kind, point.by, point.state) == (PointKind.MANUAL, "ada", PointState.PENDING)
        assert len(point.note) == NOTE_CHARACTERS_MAX
        assert files.heard[-1] == (app.id, TOUCH_UP_SECONDS_MAX)

        await keeping.approach(app)
        assert files.heard[-1] == (app.id, APPROACH_SECONDS_MAX)
        stands.problem = "Litestream does not answer."
        assert await keeping.mark(app) is None
        assert told == ["There is no restore point of this moment: Litestream does not answer."]
        with pytest.raises(SteadyError, match="does not answer"):
            await keeping.point(app, PointKind.MANUAL, "ada")

    asyncio.run(body())
