"""Restore points stay reachable whatever is merged later, and go with time and number and with what was only theirs."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.backup import ltx, pins
from steadyd.backup.chain import Chain, line_key
from steadyd.backup.objects import Objects
from steadyd.backup.pins import (
    AWAY_SECONDS,
    LATE_SECONDS_MAX,
    LOOK_SECONDS,
    LOOK_SECONDS_MAX,
    SWEEP_SECONDS,
    Keep,
    Pins,
    Verdict,
    judge,
    needless,
    surplus,
)
from steadyd.errors import SteadyError
from steadyd.model import Event
from steadyd.moment import Line, Mark, Point, PointKind, PointState, Stand
from steadyd.records.lines import Lines, ending
from steadyd.records.points import Points
from steadyd.runner.engine import Engine
from steadyd.runner.folder import Place
from steadyd.runner.tool import Tools
from steadyd.runner.trash import Trash
from steadyd.store import Database
from tests.backup.test_ltx import histories
from tests.backup.writer import Writer, Written, rows, writer
from tests.records.test_targets import an_app
from tests.runner.conftest import UID, run
from tests.runner.conftest import bun as bun
from tests.runner.conftest import root as root

KEEP = Keep(1_000.0, 3)


class Scene:
    """Pins over a folder, with records of one app."""

    def __init__(self, database: Database, writer: Writer, root: Path, bun: Engine) -> None:
        self.database = database
        self.writer = writer
        self.root = root
        self.objects = Objects(writer.target)
        self.chain = Chain(self.objects, Tools(bun, True), Trash(root / "trash"))
        self.lines = Lines(database)
        self.points = Points(database)
        self.told: list[Event] = []
        self.pins = Pins(
            self.chain, self.objects, self.lines, self.points, KEEP, lambda app_id, event: self.told.append(event)
        )

    async def open(self) -> None:
        self.app_id = await an_app(self.database)
        self.line = await self.lines.open(self.app_id, "data.sqlite", 1, 0.0)
        shutil.copytree(self.writer.objects, self.writer.target.path / line_key(self.line))

    async def point(self, txid: int, at: float = 100.0, kind: PointKind = PointKind.DEPLOY, line: int = 0) -> Point:
        mark = Mark(at, (Stand("data.sqlite", line or self.line.id, txid),))
        return await self.points.add(Point(0, self.app_id, kind, mark, "ada", "", 1, None, PointState.PENDING))

    async def state(self, point: Point) -> PointState:
        found = await self.points.one(self.app_id, point.id)
        assert found is not None
        return found.state

    async def compact(self, txid: int) -> None:
        """What Litestream does in time: everything up to `txid` is one file."""
        folder = self.writer.target.path / line_key(self.line) / "ltx"
        for path in sorted((folder / "0").iterdir()):
            if int(path.name[17:33], 16) <= txid:
                path.unlink()

    async def restored(self, txid: int) -> list[int]:
        target = self.root / f"restored-{txid}"
        await self.chain.restore(self.line, txid, target, Place(self.root / "app", UID), pinned=True)
        return await asyncio.to_thread(rows, target)

    def pinned(self) -> list[str]:
        folder = self.writer.target.path / line_key(self.line) / "pins"
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.ltx"))


@pytest.fixture(scope="module")
def written() -> Iterator[Writer]:
    with tempfile.TemporaryDirectory() as folder:
        with writer(Path(folder)) as found:
            found.write(3)
            found.until(lambda: any(last - first >= 3 for first, last in map(_ends, found.level(1))))
            for _ in range(4):
                found.write(2)
        yield found


@pytest.fixture
def play(written: Writer, database: Database, root: Path, bun: Engine, tmp_path: Path) -> Callable[[Any], None]:
    """Runs an async function with a scene of its own."""

    def play(body: Any) -> None:
        own = Writer(tmp_path, written.line, written.history)
        shutil.copytree(written.target.path, own.target.path)

        async def opened() -> None:
            scene = Scene(database, own, root, bun)
            await scene.open()
            await body(scene)

        run(opened())

    return play


def among_merged(scene: Scene) -> Written:
    """A transaction that can only be reached as long as level 0 stays."""
    first, last = max((_ends(name) for name in scene.writer.level(1)), key=lambda ends: ends[1] - ends[0])
    return next(each for each in scene.writer.history if first <= each.txid < last)


def _ends(name: str) -> tuple[int, int]:
    return int(name[:16], 16), int(name[17:33], 16)


@pytest.mark.sandbox
def test_a_pinned_point_comes_back_exactly_after_its_transactions_were_merged(play: Callable[[Any], None]) -> None:
    async def body(scene: Scene) -> None:
        wanted = among_merged(scene)
        point = await scene.point(wanted.txid)
        await scene.pins.tick(0.0)
        assert await scene.state(point) is PointState.PINNED
        await scene.compact(wanted.txid + 1)
        assert await scene.restored(wanted.txid) == list(range(1, wanted.rows + 1))

    play(body)


def test_one_that_comes_too_late_is_broken_and_told(play: Callable[[Any], None]) -> None:
    async def body(scene: Scene) -> None:
        wanted = among_merged(scene)
        await scene.compact(wanted.txid + 1)
        point = await scene.point(wanted.txid)
        await scene.pins.tick(0.0)
        found = await scene.points.one(scene.app_id, point.id)
        assert found is not None
        assert found.state is PointState.BROKEN
        assert "merged with others" in found.problem
        assert [event.details for event in scene.told] == [{"point": point.id}]
        assert scene.pinned() == []

    play(body)


def test_one_waits_for_the_replica_and_is_pinned_as_soon_as_it_is_there(play: Callable[[Any], None]) -> None:
    async def body(scene: Scene) -> None:
        last = scene.writer.history[-1].txid
        name = f"0/{last:016x}-{last:016x}.ltx"
        there = scene.writer.target.path / line_key(scene.line) / "ltx" / name
        there.rename(scene.root / "later")
        point = await scene.point(last, at=time.time())
        running = asyncio.create_task(scene.pins.run())
        scene.pins.pointed()
        assert scene.pinned() == []
        (scene.root / "later").rename(there)
        assert await scene.state(point) is PointState.PENDING
        scene.pins._looks.clear()
        scene.pins.pointed()
        states: list[PointState] = []
        while PointState.PINNED not in states:
            states.append(await scene.state(point))
            await asyncio.sleep(0.01)
        running.cancel()

    play(body)


def test_points_of_one_line_share_what_leads_to_them(play: Callable[[Any], None]) -> None:
    async def body(scene: Scene) -> None:
        last = scene.writer.history[-1].txid
        await scene.point(last - 1)
        await scene.pins.tick(0.0)
        before = scene.pinned()
        await scene.point(last)
        await scene.pins.tick(100.0)
        assert set(scene.pinned()) - set(before) == {f"0/{last:016x}-{last:016x}.ltx"}

    play(body)


@pytest.mark.sandbox
def test_what_goes_with_a_point_is_what_no_other_one_needs(play: Callable[[Any], None]) -> None:
    async def body(scene: Scene) -> None:
        last = scene.writer.history[-1].txid
        old, kept = await scene.point(among_merged(scene).txid, at=100.0), await scene.point(last, at=2_000.0)
        await scene.pins.tick(0.0)
        await scene.pins.sweep(now=2_500.0)
        assert [point.id for point in await scene.points.of(scene.app_id)] == [kept.id]
        assert old.id != kept.id
        pieces = [piece for piece in await scene.chain.pieces(scene.line) if piece.pinned]
        assert set(ltx.plan(pieces, last)) == set(pieces)
        shutil.rmtree(scene.writer.target.path / line_key(scene.line) / "ltx")
        assert await scene.restored(last) == list(range(1, scene.writer.history[-1].rows + 1))

    play(body)


def test_a_line_that_ended_long_ago_goes_when_no_point_is_on_it(play: Callable[[Any], None]) -> None:
    async def body(scene: Scene) -> None:
        folder = scene.writer.target.path / line_key(scene.line)
        point = await scene.point(scene.writer.history[-1].txid, at=400.0)
        await scene.pins.tick(0.0)
        await scene.lines.write(ending(scene.app_id, 300.0, ["data.sqlite"]))
        other = await scene.lines.open(scene.app_id, "data.sqlite", 1, 300.0)
        shutil.copytree(scene.writer.objects, scene.writer.target.path / line_key(other))
        await scene.pins.sweep(now=1_350.0)
        assert await scene.state(point) is PointState.PINNED
        assert list(folder.rglob("*.ltx"))
        await scene.pins.sweep(now=1_500.0)
        assert list(folder.rglob("*.ltx")) == []
        assert [line.id for line in await scene.lines.of(scene.app_id)] == [other.id]
        assert list((scene.writer.target.path / line_key(other)).rglob("*.ltx"))

    play(body)


def test_a_store_that_is_away_is_waited_for(play: Callable[[Any], None]) -> None:
    class Away(Objects):
        away = True

        async def list(self, prefix: str, *, app_id: str = "") -> Any:
            if self.away:
                raise SteadyError("replica_away", "There is no answer.")
            return await super().list(prefix, app_id=app_id)

    async def body(scene: Scene) -> None:
        objects = Away(scene.writer.target)
        scene.chain._objects = objects
        point = await scene.point(scene.writer.history[-1].txid)
        assert await scene.pins.tick(5.0) == 5.0 + AWAY_SECONDS
        assert await scene.state(point) is PointState.PENDING
        objects.away = False
        await scene.pins.tick(6.0)
        assert await scene.state(point) is PointState.PINNED

    play(body)


def test_one_that_waits_for_long_is_looked_for_less_often(play: Callable[[Any], None]) -> None:
    async def body(scene: Scene) -> None:
        await scene.point(10_000)
        assert await scene.pins.tick(0.0) == LOOK_SECONDS
        looked, now = 1, LOOK_SECONDS
        while now < 7_200.0:
            due = await scene.pins.tick(now)
            assert LOOK_SECONDS <= round(due - now, 3) <= LOOK_SECONDS_MAX
            looked, now = looked + 1, due
        assert looked < 300

    play(body)


def test_nothing_is_asked_of_the_store_where_nothing_waits(play: Callable[[Any], None]) -> None:
    async def body(scene: Scene) -> None:
        await scene.point(scene.writer.history[-1].txid)
        await scene.pins.tick(0.0)
        scene.chain._objects = None  # type: ignore[assignment]
        assert await scene.pins.tick(50.0) == 50.0 + SWEEP_SECONDS
        await scene.pins.sweep(now=200.0)

    play(body)


def test_so_much_is_copied_and_removed_at_once(play: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "COPIES_AT_ONCE_MAX", 2)
    monkeypatch.setattr(pins, "DELETED_AT_ONCE_MAX", 2)

    class Counting(Objects):
        now = most = 0
        removed: ClassVar[list[int]] = []

        async def copy(self, source: str, target: str, *, app_id: str = "") -> bool:
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                return await super().copy(source, target, app_id=app_id)
            finally:
                self.now -= 1

        async def delete(self, keys: Any, *, app_id: str = "") -> None:
            self.removed.append(len(keys))
            await super().delete(keys, app_id=app_id)

    async def body(scene: Scene) -> None:
        objects = scene.pins._objects = Counting(scene.writer.target)
        await scene.point(scene.writer.history[-1].txid)
        await scene.pins.tick(0.0)
        assert objects.most == 2
        await scene.pins.sweep(now=5_000.0)
        assert max(objects.removed) <= 2
        assert scene.pinned() == []

    play(body)


# ------------------------------------------------------------------------------------------------------- decisions


def made(number: int, at: float, kind: PointKind = PointKind.DEPLOY) -> Point:
    return Point(number, "app", kind, Mark(at), "ada", "", 1, None, PointState.PINNED)


def test_points_go_by_age_and_number_and_those_made_by_hand_by_number_alone() -> None:
    points = [made(n, 2_000.0 - n) for n in range(5)] + [made(9, 1.0, PointKind.MANUAL)]
    assert {point.id for point in surplus(points, Keep(1_000.0, 3), 2_100.0)} == {3, 4}
    assert {point.id for point in surplus(points, Keep(101.5, 3), 2_100.0)} == {2, 3, 4}
    assert {point.id for point in surplus(points, Keep(0.0, 0), 1e12)} == set()
    by_hand = [made(n, 2_000.0 - n, PointKind.MANUAL) for n in range(5)]
    assert {point.id for point in surplus(by_hand, Keep(1.0, 3), 1e9)} == {3, 4}


@given(histories(), st.data())
def test_whatever_is_removed_every_point_stays_reachable(pieces: list[ltx.Piece], data: st.DataObject) -> None:
    reachable = [moment.txid for moment in ltx.moments(pieces)]
    wanted = data.draw(st.lists(st.sampled_from(reachable), max_size=4)) if reachable else []
    gone = needless(pieces, wanted)
    left = [piece for piece in pieces if piece not in gone]
    assert all(ltx.plan(left, txid) for txid in wanted)
    assert bool(wanted) or left == []


def test_where_a_way_is_broken_nothing_is_removed() -> None:
    assert needless([ltx.Piece(0, 1, 1), ltx.Piece(0, 3, 3)], [3]) == []


LINE = Line(1, "app", "data.sqlite", 1, 0.0)


@given(histories(), st.integers(1, 40), st.one_of(st.none(), st.floats(0, 2_000)))
def test_what_can_be_done_for_a_database(pieces: list[ltx.Piece], txid: int, ended: float | None) -> None:
    line = replace(LINE, ended_at=ended)
    verdict, why = judge(line, pieces, Stand("data.sqlite", 1, txid), 2_000.0)
    assert bool(why) == (verdict is Verdict.LOST)
    if ltx.plan(pieces, txid):
        assert verdict is Verdict.PIN
    elif all(piece.last < txid for piece in pieces):
        still = ended is None or 2_000.0 - ended < LATE_SECONDS_MAX
        assert verdict is (Verdict.WAIT if still else Verdict.LOST)
    else:
        assert verdict is Verdict.LOST


def test_a_line_without_records_is_lost() -> None:
    assert judge(None, [], Stand("data.sqlite", 1, 1), 0.0)[0] is Verdict.LOST
