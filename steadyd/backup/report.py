"""What is told of an app's backup: from every room that knows a part of it, as one value."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from steadyd.backup.chain import Timeline
from steadyd.backup.replication import Database, Status
from steadyd.backup.truth import Proof, Replica, Truth, truth
from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.moment import Capture, Line, Point
from steadyd.records.library import Library

LINES_TOLD_MAX = 32
"""Of the newest, the moments of which are listed."""
STORE_SECONDS_MAX = 5.0
"""For the store to say which moments can be reached."""


class Proofs(Protocol):
    """Whoever tries whether backups can be restored."""

    async def last(self, app_id: str) -> Proof | None: ...


class Replicated(Protocol):
    """Whoever replicates databases."""

    def status(self, app_id: str) -> Status: ...


class Captured(Protocol):
    """Whoever keeps the other files."""

    def problem(self, app_id: str, newest: Capture | None) -> str: ...


class Timelines(Protocol):
    """Whoever knows which moments of a line can be reached."""

    async def timeline(self, line: Line) -> Timeline: ...


class Requests(Protocol):
    """Counts what was asked of the object store."""

    def today(self, app_id: str) -> int: ...


@dataclass(frozen=True, slots=True)
class Report:
    """`timelines` are those of lines, the newest first. `requests` were made to the object store today."""

    truth: Truth
    databases: tuple[Database, ...]
    capture: Capture | None
    proof: Proof | None
    points: Sequence[Point]
    timelines: Sequence[tuple[Line, Timeline]]
    requests: int

    @property
    def summary(self) -> str:
        """Both truths: to when databases can be had, and as of when the files."""
        count, files = len(self.databases), self.capture.files if self.capture else 0
        said = [f"{count} database{'s' if count != 1 else ''}: to the second"] if count else []
        if files and self.capture:
            as_of = datetime.fromtimestamp(self.capture.seen_at, UTC).strftime("%Y-%m-%d %H:%M")
            said.append(f"{files:,} file{'s' if files != 1 else ''}: as of {as_of} UTC")
        return "; ".join(said) or "nothing was written"


class Reports:
    """Reads; asks the object store for `of` only."""

    def __init__(
        self,
        library: Library,
        replication: Replicated,
        files: Captured,
        chain: Timelines,
        proofs: Proofs,
        requests: Requests,
    ) -> None:
        self._library = library
        self._replication = replication
        self._files = files
        self._chain = chain
        self._proofs = proofs
        self._requests = requests

    async def truth(self, app: App) -> Truth:
        """Whether the app's backup is one."""
        return (await self._brief(app)).truth

    async def of(self, app: App) -> Report:
        """All of it, with the moments that can be reached: none are told where the store does not say them in time."""
        brief = await self._brief(app)
        lines = (await self._library.lines.of(app.id))[: -LINES_TOLD_MAX - 1 : -1]
        timelines = list[tuple[Line, Timeline]]()
        try:
            async with asyncio.timeout(STORE_SECONDS_MAX):
                timelines = [(line, await self._chain.timeline(line)) for line in lines]
        except TimeoutError:
            pass
        except SteadyError as error:
            if error.code != "replica_away":
                raise
        return Report(
            brief.truth, brief.databases, brief.capture, brief.proof, brief.points, timelines,
            self._requests.today(app.id),
        )  # fmt: skip

    async def red(self, apps: Sequence[App]) -> dict[str, Truth]:
        """Of many apps, by id, those whose backup is none: what is known of all is read at once."""
        drills, captures = await self._library.drills.last(), await self._library.captures.all_newest()
        lines = {line.id: line for line in await self._library.lines.going_on()}
        found = {}
        for app in apps:
            drill = drills.get(app.id)
            proof = Proof(drill.at, drill.ok, drill.ms, drill.problem) if drill is not None else None
            told = await self._truth(app.id, lines, captures.get(app.id), proof)
            if told.state.is_red:
                found[app.id] = told
        return found

    # Private

    async def _brief(self, app: App) -> Report:
        status = self._replication.status(app.id)
        lines = {line.id: line for line in await self._library.lines.of(app.id)}
        capture = await self._library.captures.newest(app.id)
        proof, points = await self._proofs.last(app.id), await self._library.points.of(app.id)
        told = await self._truth(app.id, lines, capture, proof)
        return Report(told, status.databases, capture, proof, points, (), self._requests.today(app.id))

    async def _truth(
        self, app_id: str, lines: Mapping[int, Line], capture: Capture | None, proof: Proof | None
    ) -> Truth:
        now, status = time.time(), self._replication.status(app_id)
        replicas = [_replica(database, lines, now) for database in status.databases]
        if capture is not None and capture.files and not replicas:
            replicas = [Replica("its files", (await self._library.captures.of(app_id))[-1].at, 0.0, capture.at)]
        problem = self._files.problem(app_id, capture)
        if not status.whole:
            problem = problem or "its folder holds more than is looked at"
        return truth(replicas, problem, proof, now)


# Private


def _replica(database: Database, lines: Mapping[int, Line], now: float) -> Replica:
    line = lines.get(database.line)
    since = line.began_at if line else now
    return Replica(database.path, since, database.lag_seconds, database.good_at, database.problem)
