"""What is worth a notice, and how often, as histories."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd import alarm
from steadyd.alarm import DEATHS_REPEATED, DEATHS_SECONDS, QUIET_SECONDS, TITLES, Alarm, Cadence
from steadyd.model import Event


def death(cause: str) -> Event:
    return Event(0.0, "death", "It died.", {"cause": cause})


@pytest.mark.parametrize(
    ("event", "kinds"),
    [
        (Event(0.0, "failed", "It is not started any more."), ["failed"]),
        (Event(0.0, "suspend", "Suspended by the operator: Spam."), ["suspended"]),
        (Event(0.0, "cron_failed", "Cron “tick” failed."), ["cron"]),
        (Event(0.0, "drill_failed", "The backup could not be restored."), ["backup"]),
        (death("memory"), ["memory"]),
        (death("processes"), ["processes"]),
        (death("disk"), ["disk"]),
        (death("exit"), []),
        (death("signal"), []),
        (Event(0.0, "limit", "Enough.", {"limit": "network"}), ["network"]),
        (Event(0.0, "limit", "Enough.", {"limit": "disk"}), ["disk"]),
        (Event(0.0, "limit", "Enough.", {"limit": "patience"}), []),
        (Event(0.0, "limit", "Enough."), []),
        (Event(0.0, "wake", "Started."), []),
        (Event(0.0, "death", "An old one."), []),
    ],
)
def test_one_event(event: Event, kinds: list[str]) -> None:
    assert Alarm().kinds("a", event, 0.0) == kinds
    assert set(kinds) <= TITLES.keys()


def test_deaths_that_repeat_are_told() -> None:
    seen = Alarm()
    step = DEATHS_SECONDS / (DEATHS_REPEATED - 1)
    told = [seen.kinds("a", death("exit"), number * step) for number in range(DEATHS_REPEATED)]
    assert told == [[]] * (DEATHS_REPEATED - 1) + [["deaths"]]
    assert seen.kinds("b", death("exit"), 0.0) == [], "another app's deaths are its own"
    assert seen.kinds("a", death("memory"), DEATHS_SECONDS) == ["memory", "deaths"]


def test_deaths_far_apart_are_not() -> None:
    seen = Alarm()
    for number in range(10):
        assert seen.kinds("a", death("exit"), number * DEATHS_SECONDS) == []


def test_ends_that_were_asked_for_are_no_alarm() -> None:
    seen = Alarm()
    assert [seen.kinds("a", death("stop_timeout"), 0.0) for _ in range(10)] == [[]] * 10


def test_only_so_many_dying_apps_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm, "DYING_APPS_MAX", 2)
    seen = Alarm()
    for app in ("a", "a", "b", "c"):
        seen.kinds(app, death("exit"), 0.0)
    assert seen.kinds("a", death("exit"), 0.0) == [], "it was forgotten"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["failed", "memory"]), st.floats(0, QUIET_SECONDS))))
def test_at_most_one_notice_per_cause_per_app_per_hour(history: list[tuple[str, str, float]]) -> None:
    """And never none where one was due."""
    cadence, now = Cadence(), 0.0
    told: dict[tuple[str, str], list[float]] = defaultdict(list)
    for app, kind, later in history:
        now += later
        before = told[app, kind]
        due = not before or now - before[-1] >= QUIET_SECONDS
        assert cadence.admit(app, kind, now) == due
        if due:
            before.append(now)


def test_only_so_many_causes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm, "CAUSES_MAX", 2)
    cadence = Cadence()
    assert [cadence.admit(app, "failed", 0.0) for app in "abc"] == [True, True, False]
    assert cadence.admit("c", "failed", QUIET_SECONDS)
    assert len(cadence) == 1, "what is old is forgotten"
