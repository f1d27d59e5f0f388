from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from steadyd.backup.retention import HOUR_SECONDS, superfluous
from steadyd.moment import Capture

NOW = 1_800_000_000.0
WINDOW = 30 * 24 * HOUR_SECONDS


def captures(ages: list[int]) -> list[Capture]:
    """One for each age in seconds, the newest first."""
    return [Capture(number, "a", NOW - age, "", 0, 0, NOW - age) for number, age in enumerate(sorted(ages))]


def kept(ages: list[int], window: float = WINDOW) -> list[int]:
    made = captures(ages)
    gone = set(superfluous(made, NOW, window))
    return [round(NOW - capture.at) for capture in made if capture.id not in gone]


def test_all_of_the_last_hours_stay_and_fewer_of_older_ones() -> None:
    every_five_minutes = [300 * number for number in range(12 * 24 * 40)]
    stay = kept(every_five_minutes)
    hours = [age / HOUR_SECONDS for age in stay]
    assert len([age for age in hours if age <= 6]) == 73
    assert 66 <= len([age for age in hours if 6 < age <= 72]) <= 68
    assert 108 <= len([age for age in hours if 72 < age <= 720]) <= 110
    assert len([age for age in hours if age > 720]) == 1
    assert len(kept(every_five_minutes, window=0.0)) > len(stay)


@given(st.lists(st.integers(0, 60 * 24 * 3_600), max_size=60))
def test_the_newest_stays_and_each_moment_of_the_window_is_near_to_one_that_stays(ages: list[int]) -> None:
    stay = kept(ages)
    assert stay[:1] == [NOW - capture.at for capture in captures(ages)[:1]]
    for age in ages:
        if age <= WINDOW:
            assert any(age - 6 * HOUR_SECONDS <= other <= age for other in stay)
    older = [age for age in ages if age > WINDOW]
    assert not older or any(other > WINDOW for other in stay), "what was true when the window began"


@given(st.lists(st.integers(0, 60 * 24 * 3_600), max_size=60))
def test_looking_again_takes_nothing_more(ages: list[int]) -> None:
    stay = kept(ages)
    assert kept(stay) == stay
