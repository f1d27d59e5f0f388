"""Schedules are put into words where words help, and the words are true."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.schedule import parse
from steadyd.web.recurrence import words

START = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * * * *", "every minute"), ("*/1 * * * *", "every minute"), ("*/15 * * * *", "every 15 minutes"),
        ("0 * * * *", "every hour"), ("@hourly", "every hour"), ("5 * * * *", "every hour at 5 past"),
        ("0 */6 * * *", "every 6 hours"), ("30 */2 * * *", "every 2 hours at 30 past"),
        ("7 */1 * * *", "every hour at 7 past"),
        ("0 9 * * *", "every day at 09:00"), ("@daily", "every day at 00:00"),
        ("0 9,17 * * *", "every day at 09:00 and 17:00"), ("0,30 9 * * *", "every day at 09:00 and 09:30"),
        ("0 9 * * MON-FRI", "Monday to Friday at 09:00"), ("0 9 * * 1-5", "Monday to Friday at 09:00"),
        ("0 9 * * 7", "every Sunday at 09:00"), ("@weekly", "every Sunday at 00:00"),
        ("15 8 * * tue,THU", "every Tuesday and Thursday at 08:15"),
        ("0 0 1 * *", "on day 1 of every month at 00:00"), ("0 0 1,15 * *", "on day 1 and 15 of every month at 00:00"),
        ("@yearly", "every year on 1 January at 00:00"), ("0 12 24 DEC *", "every year on 24 December at 12:00"),
        # What is better read as it is.
        ("*/7 * * * *", ""), ("0 */5 * * *", ""), ("1-5 * * * *", ""), ("0 9 1 * MON", ""), ("0 1,2,3,4,5 * * *", ""),
        ("0 9 * * MON#1", ""), ("0 9 L * *", ""), ("0 0 1 1,2 *", ""), ("nothing", ""), ("", ""),
    ],
)  # fmt: skip
def test_words_of_a_schedule(text: str, said: str) -> None:
    assert words(text) == said


FIELD = st.sampled_from("* 0 5 30 */5 */15 1-5 1,2 9 12,18 MON JAN L 7 23".split())


@given(st.tuples(FIELD, FIELD, FIELD, FIELD, FIELD))
def test_what_is_said_is_when_it_fires(fields: tuple[str, ...]) -> None:
    text = " ".join(fields)
    said = words(text)
    try:
        schedule = parse(text)
    except SteadyError:
        return
    moments = [schedule.after(START)]
    for _ in range(5):
        moments.append(schedule.after(moments[-1]))
    found = [datetime.fromtimestamp(at, UTC) for at in moments]
    if steady := re.fullmatch(r"every (?:(\d+) )?(minute|hour)s?(?: at (\d+) past)?", said):
        seconds = int(steady[1] or 1) * (60 if steady[2] == "minute" else 3_600)
        assert {round(later - at) for at, later in pairwise(moments)} == {seconds}
        assert steady[2] == "minute" or {at.minute for at in found} == {int(steady[3] or 0)}
    elif said:
        assert all(at.strftime("%H:%M") in said for at in found)
        assert "day at" not in said or "every day" not in said or (found[-1] - found[0]).days <= 5
        named = [at for at in found if at.strftime("%A") in said]
        assert not re.search(r"[A-Z][a-z]+day", said) or " to " in said or named == found
