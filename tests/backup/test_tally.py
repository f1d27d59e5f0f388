"""Requests are counted for each app and day, and for so many days."""

from __future__ import annotations

from steadyd.backup.tally import DAY_SECONDS, DAYS_MAX, Tally


def test_each_app_and_day_has_its_count() -> None:
    tally = Tally()
    tally.add("a", now=10.0)
    tally.add("a", 2, now=20.0)
    tally.add("b", now=20.0)
    tally.add("a", now=DAY_SECONDS + 1.0)
    assert tally.of("a") == {0: 3, 1: 1}
    assert tally.today("b", now=5.0) == 1
    assert tally.today("b", now=DAY_SECONDS + 5.0) == 0
    assert tally.of("c") == {}


def test_so_many_days_are_remembered() -> None:
    tally = Tally()
    for day in range(DAYS_MAX + 3):
        tally.add("a", now=day * DAY_SECONDS)
    assert list(tally.of("a")) == list(range(3, DAYS_MAX + 3))
