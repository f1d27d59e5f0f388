"""Requests, counted as they are logged: how many, how many of them errors, and how long they took, by the minute, the
quarter of an hour and two hours. So what was asked in a month is read in milliseconds, also where the log of single
requests reaches back for an hour.

Latency is counted in classes, eight to each doubling: a percentile is right to a twentieth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from steadyd.store import Connection

KEPT_SECONDS: Mapping[int, float] = {60: 2 * 86_400.0, 900: 9 * 86_400.0, 7_200: 31 * 86_400.0}
"""Of each level, by its seconds: how far back it is kept."""
CLASSES_PER_DOUBLING = 8
PERCENTS = (50, 95, 99)
LATENCY = "CASE WHEN gate_us + app_us > 0 THEN gate_us + app_us ELSE total_us END"
"""µs from a request to the head of its answer; of one that reached no instance, to its end."""

COUNT = (
    "INSERT INTO tallies SELECT level.column1 AS level, CAST(at / level.column1 AS INTEGER) * level.column1 AS begun, "
    f"CAST({CLASSES_PER_DOUBLING} * log2(max(1, {LATENCY})) AS INTEGER) AS class, count(*), sum(status >= 500) "
    f"FROM requests, (VALUES {', '.join(f'({level})' for level in KEPT_SECONDS)}) AS level WHERE id > ? "
    "GROUP BY level, begun, class "
    "ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, errors = errors + excluded.errors"
)
READ = (
    "SELECT CAST(at / ?1 AS INTEGER) * ?1 AS begun, class, sum(requests), sum(errors) FROM tallies "
    "WHERE level = ?2 AND at >= ?3 AND at < ?4 GROUP BY begun, class ORDER BY begun, class"
)


@dataclass(frozen=True, slots=True)
class Tally:
    """What was asked in the bucket that begins at `at`. Latencies are ms, by percent; () of nothing."""

    at: float
    requests: int
    errors: int
    latency_ms: tuple[float, ...] = ()


def count(db: Connection, after: int) -> None:
    """Count the requests with ids after `after`, in the transaction that logs them."""
    db.execute(COUNT, (after,))


def forget(db: Connection, now: float) -> None:
    """Remove what is older than each level is kept."""
    for level, seconds in KEPT_SECONDS.items():
        db.execute("DELETE FROM tallies WHERE level = ? AND at < ?", (level, now - seconds))


def level_of(width: int) -> int:
    """The coarsest level of which buckets of `width` seconds are made."""
    return max(level for level in KEPT_SECONDS if width % level == 0)


def read(db: Connection, start: float, end: float, width: int) -> list[Tally]:
    """Buckets of `width` seconds that begin from `start` on and before `end`, oldest first; empty ones are left out."""
    rows = db.execute(READ, (width, level_of(width), start, end))
    return [_tally(float(at), list(found)) for at, found in groupby(rows, lambda row: row[0])]


def whole(tallies: Sequence[Tally]) -> tuple[int, int]:
    """Requests and errors of all of them."""
    return sum(tally.requests for tally in tallies), sum(tally.errors for tally in tallies)


def ranks(classes: Iterable[tuple[int, int]]) -> tuple[float, ...]:
    """The nearest ranks of PERCENTS in ms, of ascending (class, how many); () of nothing."""
    found = list(classes)
    total = sum(many for _, many in found)
    wanted = [(total * percent + 99) // 100 for percent in PERCENTS] if total else []
    values: list[float] = []
    passed = 0
    for kind, many in found:
        passed += many
        while len(values) < len(wanted) and passed >= wanted[len(values)]:
            values.append(_middle(kind))
    return tuple(values)


# Private


def _middle(kind: int) -> float:
    """What stands for a class, in ms."""
    return float(2 ** ((kind + 0.5) / CLASSES_PER_DOUBLING)) / 1000


def _tally(at: float, rows: Sequence[Sequence[int]]) -> Tally:
    return Tally(at, sum(row[2] for row in rows), sum(row[3] for row in rows), ranks((row[1], row[2]) for row in rows))
