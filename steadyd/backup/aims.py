"""From a moment as it was asked for to what exactly will be restored: of each database one transaction of one line, and
one capture of the other files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from steadyd.backup.ltx import Choice
from steadyd.backup.when import At, AtPoint, When
from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.moment import Capture, Line, Point, PointKind, PointState, Stand
from steadyd.records.journal import Journal
from steadyd.records.lines import Lines
from steadyd.records.points import Points

SWITCHES = frozenset({PointKind.DEPLOY, PointKind.ROLLBACK})
"""Points that were made when another version went live."""


@dataclass(frozen=True, slots=True)
class Part:
    """One database: everything up to `txid`, as it was at `at`. What was written within `precision` seconds after it
    may lie between it and the next moment that can be reached."""

    path: str
    line: Line
    txid: int
    at: float
    precision: float = 0.0
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Aim:
    """What will be there afterwards. `manifest` lists the other files as they were at `files_at`; "" where none were
    captured. `version` was live then; 0 where that is not known."""

    asked: float
    databases: tuple[Part, ...]
    manifest: str
    files_at: float
    version: int = 0
    point: Point | None = None

    @property
    def at(self) -> float:
        """The moment that it really is, seconds since 1970: nothing that was written up to it is missing."""
        if self.point is not None:
            return self.asked
        return max((part.at for part in self.databases), default=self.files_at)

    @property
    def precision(self) -> float:
        """Seconds."""
        return max((part.precision for part in self.databases), default=0.0)


class Moments(Protocol):
    """Which moments of a line the object store holds."""

    async def choose(self, line: Line, at: float) -> Choice | None:
        """The newest at or before `at`; None if all came later."""


class Captured(Protocol):
    """Which captures of an app's files there are."""

    async def before(self, app_id: str, at: float) -> Capture | None:
        """The newest one at or before `at`."""


class Aims:
    """Reads the records and, for a time, the object store; restores nothing."""

    def __init__(self, lines: Lines, points: Points, journal: Journal, moments: Moments, captured: Captured) -> None:
        self._lines = lines
        self._points = points
        self._journal = journal
        self._moments = moments
        self._captured = captured

    async def at(self, app: App, when: When) -> Aim:
        """What `when` means for this app.

        Raises:
            SteadyError: `not_found` for a point that is not there, `not_reachable` with what is, `backup_broken`,
                `replica_away`.
        """
        if isinstance(when, At):
            return await self._at_time(app, when.time)
        if isinstance(when, AtPoint):
            point = await self._points.one(app.id, when.point)
            if point is None:
                raise SteadyError("not_found", f"“{app.name}” has no restore point {when.point}.")
            return await self._at_point(point)
        return await self.before(app, when.version)

    async def before(self, app: App, version: int) -> Aim:
        """As the data was when `version` went live last."""
        made = set(await self._journal.made_live(app.id, version))
        for point in await self._points.of(app.id):
            if point.kind in SWITCHES and point.operation in made:
                return await self._at_point(point)
        message = f"There is no restore point from before version {version} of “{app.name}” went live."
        raise SteadyError("not_reachable", message, {"version": version})

    async def last_of(self, app: App, version: int) -> Aim:
        """As the data was at the last moment at which `version` was live."""
        for point in await self._points.of(app.id):
            if point.kind in SWITCHES and point.version == version:
                return await self._at_point(point)
        message = f"No restore point says where the data stood when version {version} of “{app.name}” was live last."
        raise SteadyError("not_reachable", message, {"version": version})

    # Private

    async def _at_point(self, point: Point) -> Aim:
        if point.state is PointState.BROKEN:
            message = f"Restore point {point.id} cannot be restored: {point.problem}"
            raise SteadyError("backup_broken", message, {"point": point.id})
        lines = {line.id: line for line in await self._lines.of(point.app_id)}
        pinned, mark = point.state is PointState.PINNED, point.mark
        parts = tuple(_pinned(stand, lines, mark.at, pinned) for stand in mark.databases)
        return Aim(mark.at, parts, mark.manifest, mark.files_at, point.version, point)

    async def _at_time(self, app: App, at: float) -> Aim:
        lines = await self._lines.of(app.id)
        parts = [part for line in lines_at(lines, at) if (part := await self._part(line, at)) is not None]
        files = await self._captured.before(app.id, at)
        if not parts and (lines or files is None):
            begun = min((line.began_at for line in lines), default=None)
            first = f"The first one that can is {_said(begun)}." if begun else "Nothing of it is kept yet."
            message = f"“{app.name}” cannot be restored to {_said(at)}. {first}"
            raise SteadyError("not_reachable", message, {"first": _said(begun) if begun else None})
        manifest, files_at = (files.manifest, min(files.seen_at, at)) if files else ("", 0.0)
        return Aim(at, tuple(parts), manifest, files_at, await self._journal.live_at(app.id, at))

    async def _part(self, line: Line, at: float) -> Part | None:
        choice = await self._moments.choose(line, at)
        if choice is None:
            return None
        return Part(line.path, line, choice.moment.txid, choice.moment.at, choice.precision)


def lines_at(lines: Sequence[Line], at: float) -> list[Line]:
    """Of each database the line that told its history at `at`, by path."""
    found: dict[str, Line] = {}
    for line in sorted(lines, key=lambda line: line.id):
        if line.began_at <= at and (line.ended_at is None or at < line.ended_at):
            found[line.path] = line
    return [found[path] for path in sorted(found)]


# Private


def _pinned(stand: Stand, lines: dict[int, Line], at: float, pinned: bool) -> Part:
    line = lines.get(stand.line)
    if line is None:
        raise SteadyError("backup_broken", f"What was kept of “{stand.path}” is gone.", {"database": stand.path})
    return Part(stand.path, line, stand.txid, at, 0.0, pinned)


def _said(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
