"""Crons in steady.db: those of each app's live version and those that its owner made, where they stand, and their runs.

What a version's file says is kept with the version. So which crons an app has follows from which version is live, in
the same transaction, and a rollback needs no step of its own.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from steadyd.errors import SteadyError
from steadyd.model import Cron
from steadyd.store import Connection, Database, Row, Write, one

RUNS_PER_CRON_MAX = 100
RUNS_PER_APP_MAX = 5_000
KEY_BYTES = 32

LIVE = (
    "SELECT a.id AS app_id, v.id AS id, v.said AS said, 0 AS made FROM apps a "
    "JOIN version_crons v ON v.app_id = a.id AND v.number = a.version "
    "WHERE NOT EXISTS (SELECT 1 FROM crons o WHERE o.app_id = a.id AND o.id = v.id AND o.said IS NOT NULL) "
    "UNION ALL SELECT app_id, id, said, 1 FROM crons WHERE said IS NOT NULL"
)
"""What there is: an owner's cron goes before one of that id in the version's file."""
JOBS = (
    "SELECT l.app_id, l.said, l.made, coalesce(c.enabled, 1), coalesce(c.follows, ''), c.next_at, c.last_at, "
    "c.retry_at, c.retry_of, c.retry_attempt, a.held, a.deleted_at IS NOT NULL, a.name, "
    "coalesce(a.suspended, p.suspended) IS NOT NULL, p.kind = 'guest' FROM live l JOIN apps a ON a.id = l.app_id "
    "JOIN principals p ON p.id = a.owner_id LEFT JOIN crons c ON c.app_id = l.app_id AND c.id = l.id"
)
RUN_COLUMNS = (
    "id, app_id, cron_id, scheduled_at, attempt, by_hand, started_at, finished_at, outcome, version, status, ms, "
    "count, error"
)


@dataclass(frozen=True, slots=True)
class Retry:
    """A failed run is tried once more: when, the moment that it is for, and which attempt that is."""

    at: float
    moment: float
    attempt: int


@dataclass(frozen=True, slots=True)
class Job:
    """A cron of an app, and where it stands. Times are seconds since 1970."""

    app_id: str
    cron: Cron
    made: bool
    """By its owner; else the live version's file says it."""
    enabled: bool = True
    follows: str = ""
    """The schedule that `next_at` is of."""
    next_at: float | None = None
    last_at: float | None = None
    """The last moment that was dealt with."""
    retry: Retry | None = None
    held: bool = False
    suspended: bool = False
    deleted: bool = False
    by_guest: bool = False
    app_name: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.app_id, self.cron.id


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt, or what was not run: skipped (`error` says why) or missed (`count` moments from this one on)."""

    id: int
    app_id: str
    cron_id: str
    scheduled_at: float
    attempt: int
    by_hand: bool
    started_at: float
    finished_at: float | None
    outcome: str
    """"" while it runs; then ok, failed, interrupted, skipped or missed."""
    version: int
    status: int
    ms: float
    count: int
    error: str


@dataclass(frozen=True, slots=True)
class Step:
    """What is done about one job at one look. `moment` is what is due, None if only the plan changes."""

    job: Job
    follows: str
    next_at: float | None
    moment: float | None = None
    attempt: int = 1
    skipped: str = ""
    """Why the moment is not run; "" if it is."""
    last_at: float | None = None
    """The last moment that is dealt with then."""
    missed: tuple[float, int] | None = None
    """The first of the moments that passed while nobody looked, and how many."""


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt ended."""

    outcome: str
    status: int = 0
    error: str = ""
    version: int = 0
    ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Needs:
    """What an instance is given for its crons."""

    key: str
    """That their requests are signed with; "" where it has none."""
    calls: bool
    """Whether functions are called that it exports."""


class Crons:
    """Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def everything(self) -> list[Job]:
        """Every cron of every app, of held and deleted ones too."""
        return await self._database.read(lambda db: _jobs(db, "", ()))

    async def of(self, app_id: str) -> list[Job]:
        """One app's, by id."""
        return await self._database.read(lambda db: _jobs(db, " WHERE l.app_id = ? ORDER BY l.id", (app_id,)))

    async def take(self, steps: Sequence[Step], now: float) -> list[tuple[Step, int]]:
        """Record what is done, before it is: plans, skips, and each run that begins, with its id."""

        def write(db: Connection) -> list[tuple[Step, int]]:
            begun = [(step, _take(db, step, now)) for step in steps if _stands(db, step.job)]
            return [(step, run_id) for step, run_id in begun if run_id]

        return await self._database.write(write)

    async def begin(self, job: Job, now: float) -> int:
        """A run that somebody asked for; returns its id."""
        return await self._database.write(lambda db: _insert(db, job, Run(0, *job.key, now, 1, True, now, *_OPEN)))

    async def finish(self, run_id: int, result: Result, now: float, retry: Retry | None = None) -> Run | None:
        """Close a run, and plan its next attempt if there is one. None: its app is gone."""

        def write(db: Connection) -> Run | None:
            sql = (
                "UPDATE cron_runs SET finished_at = ?, outcome = ?, version = ?, status = ?, ms = ?, error = ? "
                "WHERE id = ?"
            )
            values = (now, result.outcome, result.version, result.status, result.ms, result.error, run_id)
            db.execute(sql, values)
            found = one(db, f"SELECT {RUN_COLUMNS} FROM cron_runs WHERE id = ?", (run_id,))
            if found is not None and retry is not None:
                _retry(db, _run(found), retry)
            return _run(found) if found is not None else None

        return await self._database.write(write)

    async def interrupt(self, now: float, attempts: int) -> int:
        """After a crash: what was running is told as interrupted and tried again, up to so many attempts."""

        def write(db: Connection) -> int:
            rows = db.execute(f"SELECT {RUN_COLUMNS} FROM cron_runs WHERE finished_at IS NULL").fetchall()
            for run in map(_run, rows):
                said = "The daemon ended while this ran."
                sql = "UPDATE cron_runs SET finished_at = ?, outcome = 'interrupted', error = ? WHERE id = ?"
                db.execute(sql, (now, said, run.id))
                if run.attempt < attempts and not run.by_hand:
                    _retry(db, run, Retry(now, run.scheduled_at, run.attempt + 1))
            return len(rows)

        return await self._database.write(write)

    async def needs(self, app_id: str, version: int) -> Needs:
        """What an instance of that version is given, so that its crons, and those of its owner, can ask it."""
        said = (
            "SELECT said FROM version_crons WHERE app_id = ?1 AND number = ?2 UNION ALL "
            "SELECT said FROM crons WHERE app_id = ?1 AND said IS NOT NULL"
        )
        sql = f"SELECT count(*), coalesce(max(json_extract(said, '$.export') != ''), 0) FROM ({said})"
        found = await self._database.read(lambda db: one(db, sql, (app_id, version)))
        assert found is not None
        return Needs(await self.key(app_id) if found[0] else "", bool(found[1]))

    async def exports(self, app_id: str, version: int) -> dict[str, str]:
        """The functions that the crons of a version name: cron's id → export."""
        sql = (
            "SELECT id, json_extract(said, '$.export') AS export FROM version_crons "
            "WHERE app_id = ? AND number = ? AND export != '' ORDER BY id"
        )
        rows = await self._database.read(lambda db: db.execute(sql, (app_id, version)).fetchall())
        return {str(row[0]): str(row[1]) for row in rows}

    async def said_by(self, app_id: str, version: int) -> tuple[Cron, ...]:
        """Those of a version's own file, by id."""
        sql = "SELECT said FROM version_crons WHERE app_id = ? AND number = ? ORDER BY id"
        rows = await self._database.read(lambda db: db.execute(sql, (app_id, version)).fetchall())
        return tuple(Cron(**json.loads(str(row[0]))) for row in rows)

    async def key(self, app_id: str) -> str:
        """What the requests of an app's crons are signed with; made when it is first wanted, and kept."""
        sql = "SELECT cron_key FROM apps WHERE id = ?"
        found = await self._database.read(lambda db: one(db, sql, (app_id,)))
        if found is not None and found[0]:
            return str(found[0])
        sql = "UPDATE apps SET cron_key = coalesce(cron_key, ?) WHERE id = ? RETURNING cron_key"
        made = await self._database.write(lambda db: one(db, sql, (secrets.token_hex(KEY_BYTES), app_id)))
        return str(made[0]) if made is not None else ""

    async def tidy(self) -> None:
        """Let go of where a version's cron stood that is live no more: when it comes back, it has missed nothing."""
        stale = (
            f"FROM crons WHERE said IS NULL AND enabled AND (app_id, id) NOT IN (SELECT app_id, id FROM ({LIVE}) live)"
        )
        if await self._database.read(lambda db: one(db, f"SELECT 1 {stale} LIMIT 1")) is not None:
            await self._database.write(lambda db: db.execute(f"DELETE {stale}"))

    async def runs(self, app_id: str, cron_id: str = "", limit: int = RUNS_PER_CRON_MAX) -> list[Run]:
        """The newest runs of an app, or of one of its crons, newest first."""
        sql = (
            f"SELECT {RUN_COLUMNS} FROM cron_runs WHERE app_id = ? AND (? = '' OR cron_id = ?) ORDER BY id DESC LIMIT ?"
        )
        values = (app_id, cron_id, cron_id, limit)
        return await self._database.read(lambda db: [_run(row) for row in db.execute(sql, values)])

    async def run(self, app_id: str, cron_id: str, run_id: int) -> Run | None:
        sql = f"SELECT {RUN_COLUMNS} FROM cron_runs WHERE app_id = ? AND cron_id = ? AND id = ?"
        found = await self._database.read(lambda db: one(db, sql, (app_id, cron_id, run_id)))
        return _run(found) if found is not None else None


def putting(app_id: str, cron: Cron, enabled: bool, most: int) -> Write:
    """Make or change one of the owner's.

    Raises:
        SteadyError: `invalid` where the app then has more than `most`.
    """
    sql = (
        "INSERT INTO crons (app_id, id, said, enabled) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "said = excluded.said, enabled = excluded.enabled, next_at = NULL, retry_at = NULL"
    )

    def write(db: Connection) -> None:
        db.execute(sql, (app_id, cron.id, _written(cron), enabled))
        if len(_jobs(db, " WHERE l.app_id = ?", (app_id,))) > most:
            raise SteadyError("invalid", f"An app has at most {most} crons. Delete one first.")

    return write


def enabling(app_id: str, cron_id: str, enabled: bool) -> Write:
    """Turn one on or off, whoever said it. Its next moment is the first from then on."""
    sql = (
        "INSERT INTO crons (app_id, id, enabled) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
        "enabled = excluded.enabled, next_at = NULL, retry_at = NULL"
    )
    return lambda db: db.execute(sql, (app_id, cron_id, enabled))


def removing(app_id: str, cron_id: str) -> Write:
    """Forget one of the owner's, with its runs."""

    def write(db: Connection) -> None:
        db.execute("DELETE FROM crons WHERE app_id = ? AND id = ?", (app_id, cron_id))
        db.execute("DELETE FROM cron_runs WHERE app_id = ? AND cron_id = ?", (app_id, cron_id))

    return write


def add_to_version(db: Connection, app_id: str, number: int, crons: Iterable[Cron]) -> None:
    """Keep what a version's file says, inside the transaction that makes the version."""
    rows = [(app_id, number, cron.id, _written(cron)) for cron in crons]
    db.executemany("INSERT INTO version_crons VALUES (?, ?, ?, ?)", rows)


# Private


def _ended(outcome: str, error: str, count: int = 1) -> tuple[Any, ...]:
    """The rest of a run that never began."""
    return outcome, 0, 0, 0.0, count, error


_OPEN: tuple[Any, ...] = (None, *_ended("", ""))
"""The rest of one that has just begun."""


def _written(cron: Cron) -> str:
    return json.dumps(asdict(cron))


def _jobs(db: Connection, where: str, values: Sequence[Any]) -> list[Job]:
    return [_job(row) for row in db.execute(f"WITH live AS ({LIVE}) {JOBS}{where}", tuple(values))]


def _job(row: Row) -> Job:
    return Job(
        app_id=row[0],
        cron=Cron(**json.loads(row[1])),
        made=bool(row[2]),
        enabled=bool(row[3]),
        follows=row[4],
        next_at=row[5],
        last_at=row[6],
        retry=Retry(row[7], row[8], row[9]) if row[7] is not None else None,
        held=bool(row[10]),
        deleted=bool(row[11]),
        app_name=row[12],
        suspended=bool(row[13]),
        by_guest=bool(row[14]),
    )


def _stands(db: Connection, job: Job) -> bool:
    """Whether it is still as it was when the step was decided: if not, the next look decides anew."""
    now = _jobs(db, " WHERE l.app_id = ? AND l.id = ?", job.key)
    return [(found.cron, found.enabled, found.next_at) for found in now] == [(job.cron, job.enabled, job.next_at)]


def _take(db: Connection, step: Step, now: float) -> int:
    """Returns the id of the run that begins; 0 if none does."""
    job = step.job
    if step.missed is not None:
        first, count = step.missed
        said = "steadyd did not run then, and it is too late now."
        _insert(db, job, Run(0, *job.key, first, 1, False, now, now, *_ended("missed", said, count)))
    sql = (
        "INSERT INTO crons (app_id, id, follows, next_at, last_at) VALUES (?1, ?2, ?3, ?4, ?5) "
        "ON CONFLICT DO UPDATE SET follows = ?3, next_at = ?4, last_at = ?5, retry_at = NULL"
    )
    db.execute(sql, (*job.key, step.follows, step.next_at, step.last_at))
    if step.moment is None:
        return 0
    if not step.skipped:
        return _insert(db, job, Run(0, *job.key, step.moment, step.attempt, False, now, *_OPEN))
    _insert(db, job, Run(0, *job.key, step.moment, step.attempt, False, now, now, *_ended("skipped", step.skipped)))
    return 0


def _insert(db: Connection, job: Job, run: Run) -> int:
    names = RUN_COLUMNS.removeprefix("id, ")
    marks = ", ".join("?" * len(names.split(", ")))
    values = [getattr(run, name) for name in names.split(", ")]
    row = one(db, f"INSERT INTO cron_runs ({names}) VALUES ({marks}) RETURNING id", values)
    assert row is not None
    _trim(db, "app_id = ? AND cron_id = ?", job.key, RUNS_PER_CRON_MAX)
    _trim(db, "app_id = ?", (job.app_id,), RUNS_PER_APP_MAX)
    return int(row[0])


def _trim(db: Connection, where: str, values: Sequence[Any], most: int) -> None:
    oldest = f"SELECT id FROM cron_runs WHERE {where} ORDER BY id DESC LIMIT 1 OFFSET {most}"
    sql = f"DELETE FROM cron_runs WHERE {where} AND finished_at IS NOT NULL AND id <= ({oldest})"
    db.execute(sql, (*values, *values))


def _retry(db: Connection, run: Run, retry: Retry) -> None:
    sql = "UPDATE crons SET retry_at = ?, retry_of = ?, retry_attempt = ? WHERE app_id = ? AND id = ?"
    db.execute(sql, (retry.at, retry.moment, retry.attempt, run.app_id, run.cron_id))


def _run(row: Row) -> Run:
    return Run(*(*row[:5], bool(row[5]), *row[6:]))
