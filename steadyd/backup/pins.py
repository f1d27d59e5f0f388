"""Restore points are kept reachable: what leads to one is copied to where no compaction takes it.

Litestream merges transactions within minutes, and then the one that a point promises lies inside a larger file and
cannot be reached exactly any more. So as soon as the replica has a point's transactions, the files that lead there are
copied beside it, in the store itself, under names that points of one line share. Points go with time and number, and
with them what only they needed; so do lines that ended long ago.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from steadyd.backup import layout, ltx
from steadyd.backup.chain import Chain, line_key
from steadyd.backup.ltx import Piece
from steadyd.backup.objects import Objects
from steadyd.errors import SteadyError
from steadyd.model import Event
from steadyd.moment import Line, Point, PointKind, PointState, Stand
from steadyd.records.lines import Lines
from steadyd.records.points import Points

LOOK_SECONDS = 2.0
"""While a point waits: well below the time for which Litestream leaves a transaction alone."""
LOOK_SECONDS_MAX = 60.0
"""For one that has waited for half an hour."""
PATIENCE = 30.0
"""A point that has waited so many times as long as a look's pause is looked for as much later."""
DELETED_AT_ONCE_MAX = 1_000
"""As many objects as S3 takes in one call."""
AWAY_SECONDS = 10.0
"""After the store was away."""
SWEEP_SECONDS = 3_600.0
COPIES_AT_ONCE_MAX = 8
LATE_SECONDS_MAX = 600.0
"""After its line ended, until a transaction that the replica does not have is given up."""
BROKEN = "point_broken"
"""The kind of event that tells of one."""

logger = logging.getLogger("steadyd.pins")


@dataclass(frozen=True, slots=True)
class Keep:
    """How long restore points stay. 0 turns that limit off."""

    seconds: float
    """Since they were made, and since a line without points ended; those made by hand stay."""
    count: int
    """The newest ones of an app, and as many made by hand."""


class Verdict(enum.Enum):
    """What can be done for one database of a point."""

    PIN = "pin"
    WAIT = "wait"
    """The replica may get it yet."""
    LOST = "lost"


class Pins:
    """Keeps the promises of all restore points."""

    def __init__(
        self,
        chain: Chain,
        objects: Objects,
        lines: Lines,
        points: Points,
        keep: Keep,
        tell: Callable[[str, Event], None],
    ) -> None:
        self._chain = chain
        self._objects = objects
        self._lines = lines
        self._points = points
        self._keep = keep
        self._tell = tell
        self._new = asyncio.Event()
        self._looks: dict[int, tuple[float, float]] = {}
        """Point → when it was looked for first, and is next, by the monotonic clock."""

    def pointed(self) -> None:
        """There is a new point."""
        self._new.set()

    async def run(self) -> None:
        """Until it is cancelled. Nothing is asked of the store while no point waits and none is too old."""
        swept = 0.0
        while True:
            self._new.clear()
            due = await self.tick(time.monotonic())
            if time.monotonic() - swept > SWEEP_SECONDS or not swept:
                swept = time.monotonic()
                await self._quietly(self.sweep(time.time()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due - time.monotonic()):
                    await self._new.wait()

    async def tick(self, now: float) -> float:
        """Pin what can be pinned at `now`, by the monotonic clock. Returns when there is something to do again, should
        no point be made meanwhile."""
        pending = await self._points.pending()
        self._looks = {point.id: self._looks.get(point.id, (now, now)) for point in pending}
        for point in pending:
            first, due = self._looks[point.id]
            if due > now:
                continue
            if not await self._quietly(self.settle(point, time.time())):
                return now + AWAY_SECONDS
            self._looks[point.id] = (first, now + min(max(LOOK_SECONDS, (now - first) / PATIENCE), LOOK_SECONDS_MAX))
        return min((due for _, due in self._looks.values()), default=now + SWEEP_SECONDS)

    async def settle(self, point: Point, now: float) -> PointState:
        """Pin everything of one point, as far as the replica has it.

        Raises:
            SteadyError: `replica_away`; the point still waits.
        """
        for stand in point.mark.databases:
            line = await self._lines.one(stand.line)
            pieces = await self._chain.pieces(line) if line else []
            verdict, why = judge(line, pieces, stand, now)
            if verdict is Verdict.LOST:
                await self._points.settle(point.id, PointState.BROKEN, why)
                said = f"Restore point {point.id} cannot be kept: {why}"
                self._tell(point.app_id, Event(now, BROKEN, said, {"point": point.id}))
                return PointState.BROKEN
            if line is None or verdict is Verdict.WAIT or not await self._pin(line, pieces, stand.txid):
                return PointState.PENDING
        await self._points.settle(point.id, PointState.PINNED)
        return PointState.PINNED

    async def sweep(self, now: float) -> None:
        """Let go of points that are too old or too many, and of what only they needed; of lines that ended long ago.

        Raises:
            SteadyError: `replica_away`; what is left goes next time.
        """
        for app_id in await self._points.apps():
            gone = surplus(await self._points.of(app_id), self._keep, now)
            touched = {stand.line for point in gone for stand in point.mark.databases}
            for point in gone:
                await self._points.forget(point.id)
            for number in touched:
                if line := await self._lines.one(number):
                    await self._release(line)
        if self._keep.seconds:
            for line in await self._lines.ended_before(now - self._keep.seconds):
                if not _standing(await self._points.of(line.app_id), line):
                    await self._remove(line)

    # Private

    async def _pin(self, line: Line, pieces: Sequence[Piece], txid: int) -> bool:
        """Copy what leads to `txid`; false if something of it was compacted away meanwhile."""
        way = ltx.plan(pieces, txid)
        kept = {piece.name for piece in pieces if piece.pinned}
        turns = asyncio.Semaphore(COPIES_AT_ONCE_MAX)

        async def copy(piece: Piece) -> bool:
            name = layout.LtxName(piece.level, piece.first, piece.last)
            async with turns:
                return await self._objects.copy(piece.key, layout.pin(line_key(line), name), app_id=line.app_id)

        return all(await asyncio.gather(*(copy(piece) for piece in way if piece.name not in kept)))

    async def _release(self, line: Line) -> None:
        """Remove pinned files of a line that no point needs."""
        standing = _standing(await self._points.of(line.app_id), line)
        if any(state is PointState.PENDING for _, state in standing):
            return  # what it was copied for so far is not told apart from what nobody needs
        pinned = [piece for piece in await self._chain.pieces(line) if piece.pinned]
        await self._delete(line, [piece.key for piece in needless(pinned, [txid for txid, _ in standing])])

    async def _remove(self, line: Line) -> None:
        """Everything of a line that ended."""
        listed = await self._objects.list(line_key(line), app_id=line.app_id)
        await self._delete(line, [entry.key for entry in listed])
        await self._lines.forget(line.id)

    async def _delete(self, line: Line, keys: Sequence[str]) -> None:
        for at in range(0, len(keys), DELETED_AT_ONCE_MAX):
            await self._objects.delete(keys[at : at + DELETED_AT_ONCE_MAX], app_id=line.app_id)

    async def _quietly(self, work: Awaitable[object]) -> bool:
        """False where the store was away: then it is tried again."""
        try:
            await work
        except SteadyError as error:
            logger.warning("Restore points have to wait: %s", error.message)
            return False
        return True


def judge(line: Line | None, pieces: Sequence[Piece], stand: Stand, now: float) -> tuple[Verdict, str]:
    """What can be done for one database of a point, and why nothing if so."""
    if line is None:
        return Verdict.LOST, f"the records of “{stand.path}” are gone."
    if ltx.plan(pieces, stand.txid):
        return Verdict.PIN, ""
    if max((piece.last for piece in pieces), default=0) < stand.txid:
        if line.ended_at is None or now - line.ended_at < LATE_SECONDS_MAX:
            return Verdict.WAIT, ""
        return Verdict.LOST, f"“{stand.path}” was replaced before the last that was written to it was copied."
    missing = ltx.gap(pieces, stand.txid)
    if missing is not None:
        return Verdict.LOST, f"the backup of “{stand.path}” lacks transactions {missing.first} to {missing.last}."
    return Verdict.LOST, f"that moment of “{stand.path}” was merged with others before it could be kept."


def surplus(points: Iterable[Point], keep: Keep, now: float) -> list[Point]:
    """Of one app's points, the newest first, those that go."""
    made = [point for point in points if point.kind is not PointKind.MANUAL]
    by_hand = [point for point in points if point.kind is PointKind.MANUAL]
    gone = made[keep.count :] + by_hand[keep.count :] if keep.count else []
    old = [point for point in made[: keep.count or None] if keep.seconds and point.mark.at < now - keep.seconds]
    return gone + old


def needless(pinned: Sequence[Piece], txids: Iterable[int]) -> list[Piece]:
    """Of the pinned files those that lead to none of these transactions. Where a way is broken, nothing is needless."""
    needed: set[Piece] = set()
    for txid in txids:
        way = ltx.plan(pinned, txid)
        if not way:
            return []
        needed.update(way)
    return [piece for piece in pinned if piece not in needed]


# Private


def _standing(points: Iterable[Point], line: Line) -> list[tuple[int, PointState]]:
    """Which transactions of `line` are promised by points that are not broken."""
    return [
        (stand.txid, point.state)
        for point in points
        if point.state is not PointState.BROKEN
        for stand in point.mark.databases
        if stand.line == line.id
    ]
