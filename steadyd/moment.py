"""Moments of an app's data as values: where its databases stand, and what was promised to stay reachable.

A database is replicated along a **line**: an unbroken chain of transactions under one place in the object store. A
restore ends a line and begins another, so that no chain ever tells of two histories. Within a line a moment is a
transaction id (TXID, litestream.io/how-it-works). Files that are no database are captured whole, by content.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PointKind(StrEnum):
    """What a restore point was made for."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    RESTORE = "restore"
    FORK = "fork"
    CLAIM = "claim"
    SQL = "sql"
    DELETE = "delete"
    MANUAL = "manual"


class PointState(StrEnum):
    """PENDING: it waits for the replica; PINNED: whatever is compacted later, it can be restored; BROKEN: it cannot."""

    PENDING = "pending"
    PINNED = "pinned"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Line:
    """One history of one database. Times are in seconds since 1970; `ended_at` is None while it goes on."""

    id: int
    app_id: str
    path: str
    """Of the database, in the app's folder."""
    epoch: int
    began_at: float
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Stand:
    """Where one database stands: everything up to transaction `txid` of `line`."""

    path: str
    line: int
    txid: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Where all that an app keeps stands at one moment, seconds since 1970."""

    at: float
    databases: tuple[Stand, ...] = ()
    manifest: str = ""
    """SHA-256 of the list of its other files; "" if there is none."""
    files_at: float = 0.0
    """When these were captured."""


@dataclass(frozen=True, slots=True)
class Point:
    """A restore point: a mark that stays reachable. `version` was live then; `operation` is what it was made for."""

    id: int
    app_id: str
    kind: PointKind
    mark: Mark
    by: str
    note: str
    version: int
    operation: int | None
    state: PointState
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Capture:
    """An app's files that are no database, as they were at one moment. Times are in seconds since 1970."""

    id: int
    app_id: str
    at: float
    """When they were first found like this."""
    manifest: str
    """SHA-256 of the list of them; "" if there is none."""
    files: int
    bytes: int
    seen_at: float
    """When they were last found like this."""
    skipped: int = 0
    """Links, FIFOs, devices and sockets beside them, which nobody keeps."""
    problem: str = ""
    """Why this is not all of them; "" if it is."""


@dataclass(frozen=True, slots=True)
class Drill:
    """One restore that was made to see whether one can be. Times are in seconds since 1970."""

    app_id: str
    at: float
    ok: bool
    ms: float
    """That all of it took."""
    moment: float
    """The newest that came back; 0 if none did."""
    problem: str = ""
    compared: bool = False
    """What came back was compared with the live databases, page by page; else only checked, since the app was awake."""
    stands: tuple[Stand, ...] = ()
    """What was to come back."""
