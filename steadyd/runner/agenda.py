"""What is due of an app's crons, and what is done about it: decisions only. Times are seconds since 1970.

Each moment that a schedule names is dealt with once: it is run, or it is told why it was not. Of moments that passed
while nobody looked (the daemon was down, the clock leapt), the last is run if it is no more than LATE_SECONDS_MAX ago;
the others are recorded as missed. A retry gives way to the next moment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache

from steadyd.records.crons import Job, Result, Retry, Step
from steadyd.schedule import Schedule, parse

LATE_SECONDS_MAX = 3_600.0
"""Nothing is begun later than this after its moment."""
BACK_SECONDS_MAX = 86_400.0
"""A clock that is set back by less repeats no moment; by more, and everything is planned anew."""
RETRY_SECONDS = (60.0, 300.0)
"""Waits before the second and third attempt; there is no fourth."""
ATTEMPTS_MAX = len(RETRY_SECONDS) + 1
MISSED_COUNT_MAX = 1_000
"""Missed moments that are counted; the record then says as many."""

BUSY = "The run before it was not over."
HELD = "The app is held."
SUSPENDED = "The app is suspended."
DELETED = "The app is deleted."


def decide(jobs: Iterable[Job], busy: Collection[tuple[str, str]], now: float) -> list[Step]:
    """What is done now. `busy` are the keys of jobs that have a run under way."""
    steps = (_decide(job, job.key in busy, now) for job in jobs if job.enabled)
    return [step for step in steps if step is not None]


def wake_at(jobs: Iterable[Job]) -> float | None:
    """When the next of them is due."""
    moments = [moment for job in jobs if job.enabled for moment in (job.next_at, job.retry and job.retry.at) if moment]
    return min(moments, default=None)


def retry_after(result: Result, attempt: int, moment: float, next_at: float | None, now: float) -> Retry | None:
    """The next attempt after one that ended with `result`; None if that was the last."""
    if result.outcome != "failed" or not may_pass(result) or attempt >= ATTEMPTS_MAX:
        return None
    at = now + RETRY_SECONDS[attempt - 1]
    return Retry(at, moment, attempt + 1) if next_at is None or at < next_at else None


def may_pass(result: Result) -> bool:
    """Whether it might go better later: no answer, or one that blames the server."""
    return not result.status or result.status >= 500


@lru_cache(4_096)
def schedule_of(text: str, timezone: str) -> Schedule:
    return parse(text, timezone)


def upcoming(job: Job, now: float, count: int) -> list[float]:
    """The next `count` moments of a job that is on."""
    found: list[float] = []
    while job.enabled and len(found) < count:
        schedule = schedule_of(job.cron.schedule, job.cron.timezone)
        planned = job.next_at if job.follows == _follows(job) else None
        found.append(schedule.after(found[-1]) if found else planned or schedule.after(now))
    return found


# Private


def _decide(job: Job, busy: bool, now: float) -> Step | None:
    schedule, follows = schedule_of(job.cron.schedule, job.cron.timezone), _follows(job)
    leapt = job.last_at is not None and job.last_at - now > BACK_SECONDS_MAX
    if job.next_at is None or job.follows != follows or leapt:
        return Step(job, follows, schedule.after(now))
    if job.next_at <= now:
        return _due(job, schedule, busy, now)
    if job.retry is not None and job.retry.at <= now and not busy:
        late = now - job.retry.moment > LATE_SECONDS_MAX
        skipped = _reason(job, busy) or ("It is too late for another attempt." if late else "")
        return Step(job, follows, job.next_at, job.retry.moment, job.retry.attempt, skipped, job.last_at)
    return None


def _due(job: Job, schedule: Schedule, busy: bool, now: float) -> Step:
    """The last moment up to now, if it is not too late for it; those before it were missed."""
    assert job.next_at is not None
    moment, coming = None, job.next_at
    if coming < now - LATE_SECONDS_MAX:
        coming = schedule.after(now - LATE_SECONDS_MAX)
    while coming <= now:
        moment, coming = coming, schedule.after(coming)
    count, passed = 0, job.next_at
    while passed < (coming if moment is None else moment) and count < MISSED_COUNT_MAX:
        count, passed = count + 1, schedule.after(passed)
    missed = (job.next_at, count) if count else None
    return Step(job, job.follows, coming, moment, 1, _reason(job, busy), moment or now, missed)


def _reason(job: Job, busy: bool) -> str:
    """Why it is not run now; "" if it is."""
    return DELETED if job.deleted else SUSPENDED if job.suspended else HELD if job.held else BUSY if busy else ""


def _follows(job: Job) -> str:
    return f"{job.cron.schedule} {job.cron.timezone}"
