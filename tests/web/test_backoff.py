"""Wrong passwords: a few are free, then each doubles a wait, and nobody waits for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.web.backoff import (
    ACCOUNT_FREE,
    ACCOUNT_WAIT_SECONDS_MAX,
    ADDRESS_FREE,
    ADDRESS_WAIT_SECONDS_MAX,
    FORGET_SECONDS,
    KEYS_MAX,
    Attempts,
    Backoff,
)


def test_the_first_are_free_then_each_doubles_the_wait() -> None:
    backoff = Backoff(2, 60.0)
    waits = []
    for _ in range(10):
        backoff.begin("ada", 0.0)
        waits.append(backoff.wait("ada", 0.0))
    assert waits == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert backoff.wait("ada", 59.5) == 0.5
    assert backoff.wait("ada", 60.0) == 0.0
    assert backoff.wait("bob", 0.0) == 0.0


def test_what_was_right_or_not_looked_at_does_not_count() -> None:
    backoff = Backoff(1, 60.0)
    for _ in range(10):
        backoff.begin("ada", 0.0)
        backoff.undo("ada")
    assert backoff.wait("ada", 0.0) == 0.0
    backoff.begin("ada", 0.0)
    assert backoff.wait("ada", 0.0) == 1.0
    backoff.forget("ada")
    backoff.undo("ada")
    assert backoff.wait("ada", 0.0) == 0.0


@given(st.lists(st.integers(0, 5_000), max_size=60))
def test_a_wait_ends_whatever_happened(gaps: list[int]) -> None:
    backoff, now = Backoff(ACCOUNT_FREE, ACCOUNT_WAIT_SECONDS_MAX), 0.0
    for gap in gaps:
        now += gap
        backoff.begin("ada", now)
        assert 0.0 <= backoff.wait("ada", now) <= ACCOUNT_WAIT_SECONDS_MAX
    assert backoff.wait("ada", now + ACCOUNT_WAIT_SECONDS_MAX) == 0.0
    backoff.begin("ada", now + FORGET_SECONDS)
    assert backoff.wait("ada", now + FORGET_SECONDS) == 0.0


def test_only_so_many_are_remembered() -> None:
    backoff = Backoff(1, 60.0)
    for number in range(KEYS_MAX + 5):
        backoff.begin(str(number), 0.0)
    assert len(backoff) == KEYS_MAX
    assert backoff.wait("0", 0.0) == 0.0
    assert backoff.wait(str(KEYS_MAX), 0.0) == 1.0


def refused(attempts: Attempts, account: str, address: str, now: float) -> int:
    """The seconds to wait; 0 if the attempt may be made."""
    try:
        attempts.begin(account, address, now)
    except SteadyError as error:
        return error.retry_after or 0
    return 0


def test_accounts_and_addresses_wait_on_their_own() -> None:
    attempts = Attempts()
    for number in range(ACCOUNT_FREE):
        assert refused(attempts, "ada", f"10.0.0.{number}", 0.0) == 0
    assert refused(attempts, "ada", "10.0.0.99", 0.0) == 1
    assert refused(attempts, "ada", "10.0.0.99", 1.0) == 0
    for number in range(ADDRESS_FREE):
        assert refused(attempts, f"user-{number}", "10.0.1.1", 0.0) == 0
    assert refused(attempts, "somebody-else", "10.0.1.1", 0.0) == 1
    assert refused(attempts, "somebody-else", "10.0.1.2", 0.0) == 0


def test_one_right_password_does_not_pay_for_guessing_others() -> None:
    attempts = Attempts()
    for number in range(ADDRESS_FREE - 1):
        assert refused(attempts, f"user-{number}", "10.0.1.1", 0.0) == 0
    assert refused(attempts, "mallory", "10.0.1.1", 0.0) == 0
    attempts.right("mallory", "10.0.1.1")
    assert refused(attempts, "user-x", "10.0.1.1", 0.0) == 0
    assert refused(attempts, "user-y", "10.0.1.1", 0.0) == 1


def test_where_one_logged_in_before_the_guesses_of_others_do_not_count() -> None:
    attempts = Attempts()
    assert refused(attempts, "ada", "10.0.0.1", 0.0) == 0
    attempts.right("ada", "10.0.0.1")
    for number in range(ACCOUNT_FREE + 5):
        refused(attempts, "ada", f"10.0.1.{number}", 0.0)
    assert refused(attempts, "ada", "10.0.1.99", 0.0) == 1
    for _ in range(ACCOUNT_FREE):
        assert refused(attempts, "ada", "10.0.0.1", 0.0) == 0
    assert refused(attempts, "ada", "10.0.0.1", 0.0) == 1


@pytest.mark.parametrize("many", [200])
def test_no_address_waits_longer_than_its_limit(many: int) -> None:
    attempts, now = Attempts(), 0.0
    for _ in range(many):
        wait = refused(attempts, "ada", "10.0.0.1", now)
        assert wait <= ADDRESS_WAIT_SECONDS_MAX
        now += wait
