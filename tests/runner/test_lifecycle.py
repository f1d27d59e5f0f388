from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.model import AppState
from steadyd.runner import lifecycle
from steadyd.runner.lifecycle import TRANSITIONS, Action, Deaths, Event, step

S, E, A = AppState, Event, Action


def history(state: AppState, *events: Event) -> tuple[AppState, list[Action]]:
    """Where the events lead, and everything that is done on the way."""
    done: list[Action] = []
    for event in events:
        state, actions = step(state, event)
        done += actions
    return state, done


def test_the_first_request_starts_it_and_the_next_hundred_do_not() -> None:
    assert history(S.STOPPED, *[E.WANTED] * 101, E.READY) == (S.RUNNING, [A.SPAWN, A.OPEN])


def test_a_quiet_app_is_frozen_and_the_next_request_thaws_it() -> None:
    assert history(S.RUNNING, E.QUIET, E.WANTED) == (S.RUNNING, [A.FREEZE, A.THAW, A.OPEN])


def test_what_is_frozen_thaws_before_it_is_told_to_end() -> None:
    assert history(S.FROZEN, E.STOP, E.GONE) == (S.STOPPED, [A.THAW, A.RETIRE])


def test_a_death_is_followed_by_another_start() -> None:
    state, done = history(S.RUNNING, E.DIED, E.WANTED, E.RETRY, E.READY)
    assert (state, done) == (S.RUNNING, [A.RETRY_LATER, A.SPAWN, A.OPEN])


def test_too_many_deaths_end_in_a_failure_that_only_the_owner_ends() -> None:
    state, done = history(S.STARTING, E.DIED_TOO_OFTEN, E.WANTED)
    assert (state, done) == (S.FAILED, [A.REFUSE, A.REFUSE])
    assert history(state, E.RELEASE, E.WANTED) == (S.STARTING, [A.FORGIVE, A.SPAWN])


def test_a_request_that_comes_while_it_stops_waits() -> None:
    assert history(S.RUNNING, E.STOP, E.WANTED, E.GONE) == (S.STOPPED, [A.RETIRE])


def test_no_request_wakes_what_is_held() -> None:
    state, done = history(S.STOPPED, E.HOLD, E.WANTED, E.STOP)
    assert (state, done) == (S.HELD, [A.REFUSE, A.REFUSE])
    assert history(state, E.RELEASE)[0] is S.STOPPED


@pytest.mark.parametrize("state", [S.STOPPED, S.BACKOFF, S.FAILED, S.HELD])
def test_what_is_suspended_stays_so_until_it_is_resumed(state: AppState) -> None:
    suspended, done = history(state, E.SUSPEND)
    assert (suspended, done) == (S.SUSPENDED, [] if state is S.HELD else [A.REFUSE])
    assert history(suspended, E.WANTED, E.STOP, E.SUSPEND, E.WANTED) == (S.SUSPENDED, [A.REFUSE, A.REFUSE])
    for event in (E.RELEASE, E.HOLD, E.ADOPT, E.RETRY):
        with pytest.raises(SteadyError):
            step(suspended, event)
    assert history(suspended, E.RESUME, E.WANTED) == (S.STARTING, [A.FORGIVE, A.SPAWN])


def test_what_cannot_happen_is_an_error_that_names_it() -> None:
    with pytest.raises(SteadyError) as caught:
        step(S.STOPPED, E.READY)
    assert caught.value.code == "internal"
    assert "stopped" in caught.value.message


@pytest.mark.parametrize(("state", "event"), [(state, event) for state in TRANSITIONS for event in Event])
def test_every_pair_is_in_the_table_or_an_error(state: AppState, event: Event) -> None:
    if event in TRANSITIONS[state]:
        assert step(state, event)[0] in TRANSITIONS
    else:
        with pytest.raises(SteadyError):
            step(state, event)


@given(st.sampled_from(sorted(TRANSITIONS)), st.lists(st.sampled_from(list(Event)), max_size=30))
def test_no_history_leaves_a_waiter_without_an_answer(state: AppState, events: list[Event]) -> None:
    """Somebody waits from WANTED on, until the gate opens or refuses. Till then an instance is on its way, in every
    state; where the owner stops or frees the app, whoever sends that looks at the gate afterwards (test_app.py)."""
    waiting = False
    for event in events:
        if event not in TRANSITIONS[state]:
            continue
        state, actions = step(state, event)
        answered = state is S.RUNNING or {A.OPEN, A.REFUSE} & set(actions)
        looked_after = event in (E.GONE, E.STOP, E.RELEASE) and state is S.STOPPED
        waiting = (waiting or event is E.WANTED) and not answered and not looked_after
        assert not waiting or state in (S.STARTING, S.STOPPING, S.BACKOFF)


@pytest.mark.parametrize("state", TRANSITIONS)
def test_every_state_of_the_table_can_be_wanted_and_stopped(state: AppState) -> None:
    assert {E.WANTED, E.STOP} <= TRANSITIONS[state].keys()


@pytest.mark.parametrize("state", TRANSITIONS)
def test_every_state_can_be_left_for_a_running_app(state: AppState) -> None:
    seen, todo = {state}, [state]
    while todo:
        reached = {after for after, _ in TRANSITIONS[todo.pop()].values()}
        todo += reached - seen
        seen |= reached
    assert S.RUNNING in seen


@given(st.lists(st.sampled_from(list(Event))))
def test_no_history_spawns_twice_without_an_end_between(events: list[Event]) -> None:
    state, alive = S.STOPPED, False
    for event in events:
        if event not in TRANSITIONS[state]:
            continue
        state, actions = step(state, event)
        if event in (E.DIED, E.DIED_TOO_OFTEN, E.GONE):
            alive = False
        for action in actions:
            assert not (action is A.SPAWN and alive)
            alive = alive or action is A.SPAWN


def test_the_backoff_doubles_up_to_its_limit() -> None:
    deaths, waits = Deaths(), []
    for _ in range(lifecycle.STARTS_MAX + 4):
        deaths = deaths.after(None)
        waits.append(deaths.backoff_seconds)
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(waits) == waits[-1] == lifecycle.BACKOFF_SECONDS_MAX


def test_only_instances_that_never_listened_lead_to_failed() -> None:
    deaths, events = Deaths(), []
    for _ in range(lifecycle.STARTS_MAX):
        deaths = deaths.after(None)
        events.append(deaths.event)
    assert events == [E.DIED] * (lifecycle.STARTS_MAX - 1) + [E.DIED_TOO_OFTEN]
    for _ in range(2 * lifecycle.STARTS_MAX):
        deaths = deaths.after(0.5)
        assert deaths.event is E.DIED, "it came up: it only waits longer"
    assert deaths.backoff_seconds == lifecycle.BACKOFF_SECONDS_MAX
    assert deaths.after(0.1, proven=True) == Deaths(), "it had answered: it starts again at once"


def test_a_healthy_life_is_followed_by_a_start_at_once_and_forgives() -> None:
    deaths = Deaths(5).after(lifecycle.HEALTHY_SECONDS)
    assert (deaths.backoff_seconds, deaths.event) == (0.0, E.DIED)
