from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.runner.rest import BUSY_CORES, BUSY_SECONDS_MAX, Patience, Pulse, Quiet, Rest, rest

USUAL = Patience(freeze_seconds=10, idle_seconds=900)
STILL = 0.0006


@pytest.mark.parametrize(
    ("quiet", "patience", "expected"),
    [
        (Quiet(9.9, cores=STILL), USUAL, Rest.NONE),
        (Quiet(10, cores=STILL), USUAL, Rest.FREEZE),
        (Quiet(10, cores=None), USUAL, Rest.NONE),
        (Quiet(10, cores=0.5), USUAL, Rest.NONE),
        (Quiet(10, cores=STILL, talks=True), USUAL, Rest.NONE),
        (Quiet(BUSY_SECONDS_MAX, cores=0.5, talks=True), USUAL, Rest.FREEZE),
        (Quiet(100, frozen=True), USUAL, Rest.NONE),
        (Quiet(900, frozen=True), USUAL, Rest.STOP),
        (Quiet(900, cores=0.5, talks=True), USUAL, Rest.STOP),
        (Quiet(100_000, cores=STILL), Patience(10, 0), Rest.NONE),
        (Quiet(100, cores=STILL), Patience(0, 900), Rest.NONE),
        (Quiet(60, cores=STILL), Patience(0, 60), Rest.STOP),
        (Quiet(5, cores=STILL), Patience(10, 5), Rest.STOP),
    ],
)
def test_the_table(quiet: Quiet, patience: Patience, expected: Rest) -> None:
    assert rest(quiet, patience) is expected


QUIETS = st.builds(
    Quiet,
    st.floats(0, 1e6),
    st.booleans(),
    st.none() | st.floats(0, 4),
    st.booleans(),
)


@given(QUIETS, st.floats(0, 1e5))
def test_an_app_with_work_of_its_own_never_rests(quiet: Quiet, freeze: float) -> None:
    assert rest(quiet, Patience(freeze, 0)) is Rest.NONE


@given(QUIETS, st.builds(Patience, st.floats(0, 1e5), st.floats(0, 1e5)))
def test_what_delays_the_freezing_never_delays_the_sleep(quiet: Quiet, patience: Patience) -> None:
    stops = 0 < patience.idle_seconds <= quiet.seconds
    assert (rest(quiet, patience) is Rest.STOP) == stops


@given(st.floats(BUSY_CORES * 1.01, 8), st.floats(10, BUSY_SECONDS_MAX - 1))
def test_work_delays_the_freezing_for_a_limited_time(cores: float, seconds: float) -> None:
    assert rest(Quiet(seconds, cores=cores), USUAL) is Rest.NONE
    assert rest(Quiet(BUSY_SECONDS_MAX, cores=cores), USUAL) is Rest.FREEZE


def test_it_is_asked_about_its_work_just_before_that_matters() -> None:
    assert [USUAL.wants_to_know(seconds) for seconds in (0, 7.9, 8, 10, 500)] == [False, False, True, True, True]
    assert not Patience(0, 900).wants_to_know(500)
    assert not Patience(10, 0).wants_to_know(500)


def test_a_pulse_needs_two_readings() -> None:
    pulse = Pulse()
    assert pulse.cores(100.0, 5.0) is None
    assert pulse.cores(102.0, 6.0) == 0.5
    pulse.forget()
    assert pulse.cores(103.0, 9.0) is None
