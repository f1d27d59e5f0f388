from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.backup.when import TEXT_CHARACTERS_MAX, At, AtPoint, BeforeVersion, read_when
from steadyd.errors import SteadyError

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=ZoneInfo("Europe/Berlin"))


def iso(text: str) -> str:
    """What it means, in UTC."""
    found = read_when(text, NOW)
    assert isinstance(found, At)
    return datetime.fromtimestamp(found.time, UTC).isoformat()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", "2026-11-26T11:00:00+00:00"),
        ("90s ago", "2026-11-26T10:58:30+00:00"),
        ("2h ago", "2026-11-26T09:00:00+00:00"),
        ("2 hours ago", "2026-11-26T09:00:00+00:00"),
        ("1.5 h ago", "2026-11-26T09:30:00+00:00"),
        ("1 minute ago", "2026-11-26T10:59:00+00:00"),
        ("3d ago", "2026-11-23T11:00:00+00:00"),
        ("yesterday 14:00", "2026-11-25T13:00:00+00:00"),
        ("today 9:30", "2026-11-26T08:30:00+00:00"),
        ("9:30", "2026-11-26T08:30:00+00:00"),
        ("14:00", "2026-11-25T13:00:00+00:00"),
        ("2026-11-25", "2026-11-24T23:00:00+00:00"),
        ("2026-11-25 14:00", "2026-11-25T13:00:00+00:00"),
        ("2026-11-25T14:00:30.5", "2026-11-25T13:00:30.500000+00:00"),
        ("2026-11-25T14:00:00Z", "2026-11-25T14:00:00+00:00"),
        ("2026-07-01 14:00", "2026-07-01T12:00:00+00:00"),
        ("  2h   ago ", "2026-11-26T09:00:00+00:00"),
    ],
)
def test_a_time_as_people_say_it(text: str, meant: str) -> None:
    assert iso(text) == meant


def test_points_and_deploys() -> None:
    assert read_when("7", NOW) == read_when("point:7", NOW) == AtPoint(7)
    assert read_when("before:deploy:12", NOW) == read_when("before:version:12", NOW) == BeforeVersion(12)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2 fortnights ago", "25:00", "yesterday", "2026-13-01", "tomorrow 9:00", "in 2h", "2h",
     "before:deploy:", "point:x", "2026-11-27", "9999999999d ago", "2026-11-26T12:00:01+01:00",
     "1" * (TEXT_CHARACTERS_MAX + 1)],
)  # fmt: skip
def test_what_is_no_moment_is_told_how_to_say_one(text: str) -> None:
    with pytest.raises(SteadyError) as caught:
        read_when(text, NOW)
    assert caught.value.code == "invalid"


@given(st.text(max_size=40))
def test_whatever_is_said_is_a_moment_or_told(text: str) -> None:
    with contextlib.suppress(SteadyError):
        found = read_when(text, NOW)
        assert not isinstance(found, At) or found.time <= NOW.timestamp()


@given(st.datetimes(datetime(1990, 1, 1), datetime(2026, 11, 1)), st.integers(-12, 14))
def test_an_iso_time_means_itself(at: datetime, hours: int) -> None:
    zoned = at.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert read_when(zoned.isoformat(), NOW) == At(zoned.timestamp())
