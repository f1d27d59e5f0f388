"""When a cron fires: against a brute force that asks the wall clock every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import example, given, settings
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.schedule import TEXT_CHARACTERS_MAX, parse

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Beirut")
"""Clocks that change by an hour, by half an hour, and at midnight."""
CHANGES = {
    "Europe/Berlin": ("2024-03-31", "2024-10-27"),
    "America/New_York": ("2024-03-10", "2024-11-03"),
    "Australia/Lord_Howe": ("2024-10-06", "2024-04-07"),
    "Africa/Cairo": ("2024-04-26", "2024-11-01"),
    "Asia/Beirut": ("2024-03-31", "2024-10-27"),
    "UTC": ("2024-02-29", "2024-12-31"),
}


def moments(text: str, zone: str, first: datetime, days: float) -> list[float]:
    """What the schedule says."""
    schedule, found, end = parse(text, zone), [first.timestamp() - 1], (first + timedelta(days=days)).timestamp()
    while found[-1] < end:
        found.append(schedule.after(found[-1]))
    return found[1:-1]


def brute(fields: str, zone: str, first: datetime, days: float) -> list[float]:
    """Every minute is looked at: what the wall clock shows, what it skipped, what it showed before."""
    sim, clock = CronSim(fields, datetime(2024, 1, 1)), ZoneInfo(zone)
    minute, hour, *_ = fields.split()
    fixed = not minute.startswith("*") and not hour.startswith("*")

    def matches(wall: datetime) -> bool:
        right = wall.minute in sim.minutes and wall.hour in sim.hours and wall.month in sim.months
        return right and sim.match_day(wall.date())

    found: list[float] = []
    seen: set[datetime] = set()
    before: datetime | None = None
    for step in range(-24 * 60, int(days * 24 * 60)):
        moment = first + timedelta(minutes=step)
        wall = moment.astimezone(clock).replace(tzinfo=None)
        walls = {wall}
        if fixed:
            walls -= seen
            gap = (before or wall) + timedelta(minutes=1)
            while gap < wall:
                walls.add(gap)
                gap += timedelta(minutes=1)
        seen.add(wall)
        before = wall
        if step >= 0 and any(map(matches, walls)):
            found.append(moment.timestamp())
    return found


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    lists = st.lists(number, min_size=1, max_size=3).map(lambda found: ",".join(map(str, found)))
    ranges = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    steps = st.integers(1, high).map(lambda step: f"*/{step}")
    return st.one_of(st.just("*"), lists, ranges, steps)


EXPRESSIONS = st.tuples(field(0, 59), field(0, 4), st.just("*"), st.just("*"), field(0, 6)).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(text=EXPRESSIONS, zone=st.sampled_from(ZONES), which=st.integers(0, 1))
@example(text="30 2 * * *", zone="Europe/Berlin", which=0)
@example(text="0,30 2,3 * * *", zone="Europe/Berlin", which=0)
@example(text="30 2 * * *", zone="Europe/Berlin", which=1)
@example(text="*/15 2 * * *", zone="Australia/Lord_Howe", which=1)
@example(text="15 1-3 * * *", zone="Australia/Lord_Howe", which=0)
@example(text="*/20 0 * * *", zone="Asia/Beirut", which=0)
def test_where_a_clock_jumps_it_fires_exactly_what_the_rules_say(text: str, zone: str, which: int) -> None:
    first = datetime.fromisoformat(CHANGES[zone][which]).replace(tzinfo=UTC) - timedelta(days=1)
    assert moments(text, zone, first, 3) == brute(text, zone, first, 3)


@pytest.mark.parametrize("text", ["0 9 * * MON-FRI", "*/45 3 1,15 * *", "0 0 L 2 *", "0 12 * */3 5#1"])
def test_a_year(text: str) -> None:
    first = datetime(2024, 1, 1, tzinfo=UTC)
    assert moments(text, "Europe/Berlin", first, 366) == brute(text, "Europe/Berlin", first, 366)


def test_a_skipped_time_fires_when_the_gap_ends_and_a_repeated_one_once() -> None:
    spring = datetime(2024, 3, 31, tzinfo=UTC)
    assert moments("30 2 * * *", "Europe/Berlin", spring, 1) == [spring.timestamp() + 3600]  # 03:00 there
    autumn = datetime(2024, 10, 27, tzinfo=UTC)
    assert moments("30 2 * * *", "Europe/Berlin", autumn, 1) == [autumn.timestamp() + 1800]
    assert len(moments("*/30 2 * * *", "Europe/Berlin", autumn, 1)) == 4


def test_names_stand_for_fields() -> None:
    new_year = datetime(2024, 1, 1, tzinfo=UTC)
    assert moments("@hourly", "UTC", new_year, 1) == moments("0 * * * *", "UTC", new_year, 1)
    assert parse("@yearly").after(0.0) == datetime(1971, 1, 1, tzinfo=UTC).timestamp()
    assert parse(" @Daily ").text == "@Daily"
    assert moments("0 0 * jan mon", "UTC", new_year, 15)[:2] == [new_year.timestamp(), new_year.timestamp() + 7 * 86400]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("61 * * * *", "minute “61”"),
        ("* 24 * * *", "hour “24”"),
        ("* * 0 * *", "day-of-month “0”"),
        ("* * * 13 *", "month “13”"),
        ("* * * * 8", "day-of-week “8”"),
        ("0 0 31 2 *", "day-of-month “31”"),
        ("0 0 30-31 2 */2,*", "day-of-month “30-31”"),
        ("* * * *", "five fields"),
        ("* * * * * *", "five fields"),
        ("@reboot", "five fields"),
        ("", "five fields"),
        ("*," * TEXT_CHARACTERS_MAX, "five fields"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, said: str) -> None:
    with pytest.raises(SteadyError, match=said) as caught:
        parse(text)
    assert (caught.value.code, caught.value.details) == ("invalid", {"field": "schedule"})


@pytest.mark.parametrize("zone", ["Europe", "../passwd", "/etc/localtime", "Nowhere/City", "", "Ä", "x" * 65])
def test_a_zone_that_is_none(zone: str) -> None:
    with pytest.raises(SteadyError, match="time zone") as caught:
        parse("@daily", zone)
    assert caught.value.details == {"field": "timezone"}
