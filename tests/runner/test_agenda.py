"""What is due and what is done about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from steadyd.model import Cron
from steadyd.records.crons import Job, Result, Retry, Step
from steadyd.runner.agenda import (
    ATTEMPTS_MAX,
    BACK_SECONDS_MAX,
    BUSY,
    DELETED,
    HELD,
    LATE_SECONDS_MAX,
    MISSED_COUNT_MAX,
    RETRY_SECONDS,
    SUSPENDED,
    decide,
    retry_after,
    upcoming,
    wake_at,
)

HOUR = 3600.0
NOON = 20_000 * 86_400 + 12 * HOUR
HOURLY = Job("a", Cron("tick", "@hourly", path="/tick"), made=False, follows="@hourly UTC", next_at=NOON)


def one(job: Job, now: float, busy: bool = False) -> Step | None:
    found = decide([job], {job.key} if busy else set(), now)
    assert len(found) <= 1
    return found[0] if found else None


def test_a_new_one_and_one_with_another_schedule_are_planned_from_now() -> None:
    new = replace(HOURLY, next_at=None)
    assert one(new, NOON + 1) == Step(new, "@hourly UTC", NOON + HOUR)
    changed = replace(HOURLY, cron=replace(HOURLY.cron, schedule="30 * * * *"))
    assert one(changed, NOON + 1) == Step(changed, "30 * * * * UTC", NOON + HOUR / 2)


def test_a_moment_is_run_when_it_comes() -> None:
    assert one(HOURLY, NOON - 0.1) is None
    assert one(HOURLY, NOON + 0.1) == Step(HOURLY, "@hourly UTC", NOON + HOUR, NOON, last_at=NOON)
    assert one(replace(HOURLY, enabled=False), NOON + 1) is None


def test_of_those_that_passed_the_last_is_run_unless_it_is_too_late() -> None:
    step = one(HOURLY, NOON + 2 * HOUR + 60)
    assert step is not None
    assert (step.moment, step.missed, step.next_at) == (NOON + 2 * HOUR, (NOON, 2), NOON + 3 * HOUR)
    daily = replace(HOURLY, cron=replace(HOURLY.cron, schedule="0 12 * * *"), follows="0 12 * * * UTC")
    step = one(daily, NOON + LATE_SECONDS_MAX + 1)
    assert step is not None
    assert (step.moment, step.missed, step.next_at) == (None, (NOON, 1), NOON + 24 * HOUR)
    step = one(daily, NOON + LATE_SECONDS_MAX - 1)
    assert step is not None
    assert (step.moment, step.missed) == (NOON, None)


def test_missed_moments_are_counted_so_far() -> None:
    minutely = replace(HOURLY, cron=replace(HOURLY.cron, schedule="* * * * *"), follows="* * * * * UTC")
    step = one(minutely, NOON + 86_400)
    assert step is not None
    assert step.missed == (NOON, MISSED_COUNT_MAX)
    assert step.moment == NOON + 86_400


@pytest.mark.parametrize(
    ("job", "busy", "why"),
    [
        (HOURLY, True, BUSY),
        (replace(HOURLY, held=True), False, HELD),
        (replace(HOURLY, held=True, suspended=True), False, SUSPENDED),
        (replace(HOURLY, suspended=True, deleted=True), True, DELETED),
    ],
)
def test_why_one_is_skipped(job: Job, busy: bool, why: str) -> None:
    step = one(job, NOON, busy)
    assert step is not None
    assert (step.moment, step.skipped, step.next_at) == (NOON, why, NOON + HOUR)


def test_a_clock_set_back_repeats_nothing_and_far_back_starts_anew() -> None:
    job = replace(HOURLY, last_at=NOON - HOUR)
    assert one(job, NOON - 5 * HOUR) is None
    step = one(job, NOON - HOUR - BACK_SECONDS_MAX - 60)
    assert step is not None
    assert (step.moment, step.next_at, step.last_at) == (None, NOON - HOUR - BACK_SECONDS_MAX, None)


def test_a_failure_that_may_pass_is_tried_again_with_growing_waits() -> None:
    failed = Result("failed", 503)
    assert retry_after(failed, 1, NOON, NOON + HOUR, NOON + 5) == Retry(NOON + 5 + RETRY_SECONDS[0], NOON, 2)
    assert retry_after(failed, 2, NOON, NOON + HOUR, NOON + 70) == Retry(NOON + 70 + RETRY_SECONDS[1], NOON, 3)
    assert retry_after(failed, ATTEMPTS_MAX, NOON, NOON + HOUR, NOON) is None
    assert retry_after(Result("failed"), 1, NOON, NOON + HOUR, NOON) is not None
    assert retry_after(Result("failed", 404), 1, NOON, NOON + HOUR, NOON) is None
    assert retry_after(Result("ok", 200), 1, NOON, NOON + HOUR, NOON) is None


def test_a_retry_gives_way_to_the_next_moment() -> None:
    assert retry_after(Result("failed", 500), 1, NOON, NOON + 60, NOON + 1) is None


def test_a_retry_is_run_when_it_comes() -> None:
    job = replace(HOURLY, next_at=NOON + HOUR, last_at=NOON, retry=Retry(NOON + 60, NOON, 2))
    assert one(job, NOON + 59) is None
    assert one(job, NOON + 60) == Step(job, "@hourly UTC", NOON + HOUR, NOON, 2, "", NOON)
    assert one(job, NOON + 60, busy=True) is None
    daily = replace(job, cron=replace(job.cron, schedule="@daily"), follows="@daily UTC", next_at=NOON + 12 * HOUR)
    late = one(daily, NOON + LATE_SECONDS_MAX + 1)
    assert late is not None
    assert (late.moment, late.skipped) == (NOON, "It is too late for another attempt.")


def test_the_timer_is_for_the_earliest() -> None:
    assert wake_at([]) is None
    assert wake_at([HOURLY, replace(HOURLY, next_at=NOON + 5), replace(HOURLY, enabled=False, next_at=1.0)]) == NOON
    assert wake_at([replace(HOURLY, retry=Retry(NOON - 5, NOON - 65, 2))]) == NOON - 5
    assert wake_at([replace(HOURLY, next_at=None)]) is None


def test_the_next_ones() -> None:
    assert upcoming(HOURLY, NOON - 10, 3) == [NOON, NOON + HOUR, NOON + 2 * HOUR]
    assert upcoming(replace(HOURLY, next_at=None, follows=""), NOON, 1) == [NOON + HOUR]
    assert upcoming(replace(HOURLY, enabled=False), NOON, 3) == []
