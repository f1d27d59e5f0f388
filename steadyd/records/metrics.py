"""What apps use over time: readings, gathered in memory into a sample a minute, and sums over a window.

A sample lies in the app's telemetry file, beside its requests. An app that sleeps leaves none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass, fields, replace

from steadyd.records import tallies
from steadyd.records.requests import Requests
from steadyd.records.tallies import LATENCY, PERCENTS, Tally
from steadyd.store import Connection, one

SAMPLE_SECONDS = 60.0
SAMPLES_PER_APP_MAX = 43_200
"""30 days of an app that never sleeps; about 3 MiB."""
REMEMBERED_MAX = 4_096
"""Last readings of apps that do not run: one that was frozen goes on where it was."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an instance uses now. Seconds count since it started, `sent_bytes` (the app's) since the daemon did."""

    memory_bytes: int
    cpu_seconds: float
    started_at: float = 0.0
    """When the instance started, on any clock: it tells one instance from the next."""
    memory_peak_bytes: int = 0
    """The most since it started, where that is known."""
    processes: int = 0
    throttled_seconds: float = 0.0
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """Some readings of one app as one. `memory_bytes` is their mean, the seconds and bytes are what was spent."""

    at: float
    readings: int
    memory_bytes: int
    memory_peak_bytes: int
    cpu_seconds: float
    throttled_seconds: float
    processes: int
    sent_bytes: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was asked in a window. Latencies are ms from a request to the head of its answer, by percent."""

    requests: int = 0
    errors: int = 0
    latency_ms: tuple[float, ...] = ()
    request_bytes: int = 0
    answer_bytes: int = 0
    complete: bool = True
    """False if the log does not reach back to the window's beginning."""


COLUMNS = ", ".join(field.name for field in fields(Sample))
INSERT = f"INSERT INTO samples ({COLUMNS}) VALUES ({', '.join('?' * len(fields(Sample)))})"
RANKS = (
    f"WITH ranked AS MATERIALIZED (SELECT {LATENCY} AS us FROM requests WHERE at >= ? ORDER BY us) SELECT "
    + ", ".join(["(SELECT us FROM ranked LIMIT 1 OFFSET ?)"] * len(PERCENTS))
)
"""Sorted once, outside of the interpreter's lock: a quarter of a second for a full log."""
SERIES = (
    "SELECT CAST(at / ?1 AS INTEGER) * ?1 AS begun, sum(readings), sum(memory_bytes * readings) / sum(readings), "
    "max(memory_peak_bytes), sum(cpu_seconds), sum(throttled_seconds), max(processes), sum(sent_bytes) FROM samples "
    "WHERE at >= ?2 AND at < ?3 GROUP BY begun ORDER BY begun"
)
"""A scan of what is kept of an app, which takes 15 ms at most."""


class Metrics:
    """Readings of every app on this host. All but `window` and `traffic` are called from one thread."""

    def __init__(self, requests: Requests) -> None:
        self.requests = requests
        self._begun: dict[str, Sample] = {}
        self._last: dict[str, Reading] = {}
        self._loads: dict[str, tuple[float, float]] = {}
        """When an app was read last, and the processors that it used since the time before."""

    def observe(self, app_id: str, reading: Reading, now: float) -> None:
        """Take a reading into the app's present sample."""
        spent = _since(self._last.get(app_id), reading)
        at, _ = self._loads.get(app_id, (now, 0.0))
        self._loads[app_id] = (now, spent.cpu_seconds / (now - at) if now > at else 0.0)
        self._last[app_id] = reading
        begun = self._begun.get(app_id)
        self._begun[app_id] = _first(spent, now) if begun is None else _with(begun, spent)

    def settle(self, running: Collection[str], now: float) -> None:
        """Keep the samples that are a minute old, and those of apps that stopped. Blocks."""
        for app_id, sample in list(self._begun.items()):
            if app_id not in running or now - sample.at >= SAMPLE_SECONDS:
                del self._begun[app_id]
                self.requests.write_now(app_id, lambda db, sample=sample: _insert(db, sample))  # type: ignore[misc]
        if len(self._last) > REMEMBERED_MAX:
            for app_id in self._last.keys() - set(running):
                del self._last[app_id]
                self._loads.pop(app_id, None)

    def latest(self, app_id: str) -> Reading | None:
        """The last reading of an app, also of one that stopped since."""
        return self._last.get(app_id)

    def load(self, app_id: str) -> float:
        """How many processors' worth an app used between its last two readings; 0 where there were not two."""
        return self._loads.get(app_id, (0.0, 0.0))[1]

    async def window(self, app_id: str, since: float, reading: Reading | None = None) -> list[Sample]:
        """The samples since then, oldest first, with the one that is not finished, and a `reading` of this moment."""
        sql = f"SELECT {COLUMNS} FROM samples WHERE at >= ? ORDER BY id"
        begun, last = self._begun.get(app_id), self._last.get(app_id)
        kept = await self.requests.read(app_id, lambda db: [Sample(*row) for row in db.execute(sql, (since,))])
        unfinished = [begun] if begun else []
        return [*(kept or []), *unfinished, *([_first(_since(last, reading), since)] if reading else [])]

    async def traffic(self, app_id: str, since: float) -> Traffic:
        """The requests since then, summed where they lie."""
        return await self.requests.read(app_id, lambda db: _traffic(db, since)) or Traffic()

    async def series(self, app_id: str, start: float, end: float, width: int) -> tuple[list[Tally], list[Sample]]:
        """What was asked and what was used between `start` and `end`, in buckets of `width` seconds of a level of the
        tallies, oldest first; a bucket of nothing is left out."""

        def query(db: Connection) -> tuple[list[Tally], list[Sample]]:
            used = [Sample(*row) for row in db.execute(SERIES, (width, start, end))]
            return tallies.read(db, start, end, width), used

        begun = self._begun.get(app_id)
        await self.requests.flush()
        asked, used = await self.requests.read(app_id, query) or ([], [])
        if begun is not None and start <= begun.at < end:
            at = begun.at // width * width
            last = [used.pop()] if used and used[-1].at == at else []
            used.append(replace(total([*last, begun]), at=at))
        return asked, used


def total(samples: Sequence[Sample]) -> Sample:
    """Samples as one, whose `at` is the first's."""
    if not samples:
        return Sample(0.0, 0, 0, 0, 0.0, 0.0, 0, 0)
    readings = sum(sample.readings for sample in samples)
    return Sample(
        at=samples[0].at,
        readings=readings,
        memory_bytes=sum(sample.memory_bytes * sample.readings for sample in samples) // readings,
        memory_peak_bytes=max(sample.memory_peak_bytes for sample in samples),
        cpu_seconds=sum(sample.cpu_seconds for sample in samples),
        throttled_seconds=sum(sample.throttled_seconds for sample in samples),
        processes=max(sample.processes for sample in samples),
        sent_bytes=sum(sample.sent_bytes for sample in samples),
    )


def percentiles(ascending: Sequence[float]) -> tuple[float, ...]:
    """The nearest ranks of PERCENTS; () of nothing."""
    count = len(ascending)
    return tuple(ascending[place] for place in _places(count)) if count else ()


# Private


def _places(count: int) -> list[int]:
    """Nearest rank: the place of the smallest value that so many percent do not exceed."""
    return [(count * percent + 99) // 100 - 1 for percent in PERCENTS]


def _since(before: Reading | None, now: Reading) -> Reading:
    """What was spent between two readings; a fresh instance began at 0. A count never falls (that of /proc does, when
    a child ends)."""
    if before is None:
        return now
    sent = max(0, now.sent_bytes - before.sent_bytes)
    if now.started_at != before.started_at:
        return replace(now, sent_bytes=sent)
    risen = now.memory_peak_bytes > before.memory_peak_bytes
    return replace(
        now,
        memory_peak_bytes=now.memory_peak_bytes if risen else 0,  # else it was earlier
        cpu_seconds=max(0.0, now.cpu_seconds - before.cpu_seconds),
        throttled_seconds=max(0.0, now.throttled_seconds - before.throttled_seconds),
        sent_bytes=sent,
    )


def _first(spent: Reading, now: float) -> Sample:
    memory, peak = spent.memory_bytes, max(spent.memory_bytes, spent.memory_peak_bytes)
    return Sample(now, 1, memory, peak, spent.cpu_seconds, spent.throttled_seconds, spent.processes, spent.sent_bytes)


def _with(sample: Sample, spent: Reading) -> Sample:
    return replace(total([sample, _first(spent, sample.at)]), at=sample.at)


def _insert(db: Connection, sample: Sample) -> None:
    db.execute(INSERT, astuple(sample))
    db.execute("DELETE FROM samples WHERE id <= (SELECT max(id) FROM samples) - ?", (SAMPLES_PER_APP_MAX,))


def _traffic(db: Connection, since: float) -> Traffic:
    sums = (
        "SELECT count(*), coalesce(sum(status >= 500), 0), coalesce(sum(request_bytes), 0), "
        "coalesce(sum(response_bytes), 0) FROM requests WHERE at >= ?"
    )
    row = one(db, sums, (since,))
    assert row is not None
    ranks = one(db, RANKS, (since, *_places(row[0]))) if row[0] else ()
    oldest = one(db, "SELECT id, at FROM requests ORDER BY id LIMIT 1")
    complete = oldest is None or oldest[0] == 1 or oldest[1] < since
    return Traffic(row[0], row[1], tuple(us / 1000 for us in ranks or ()), row[2], row[3], complete)
