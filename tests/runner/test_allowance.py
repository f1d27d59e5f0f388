"""When an app's disk use is looked at, and when it is too much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from steadyd.runner import allowance as a
from steadyd.runner.allowance import Account, Amount, Gauge, Look, allowance

MIB, GIB = 1 << 20, 1 << 30
LIMIT = allowance(GIB)
NOTHING = Amount()


def seen(used: Amount, now: float = 0.0, seconds: float = 0.0, taken: Amount = NOTHING) -> Account:
    """The account of an app that was found to hold `used`."""
    account, over = Account().after(used, LIMIT, Look(now, seconds, taken))
    assert not over
    return account


def after(account: Account, used: Amount, limit: Amount = LIMIT) -> tuple[Account, bool]:
    return account.after(used, limit, Look(1.0, 0.01, NOTHING))


def test_a_limit_in_bytes_is_one_in_inodes_too() -> None:
    assert Amount(GIB, 104_857) == LIMIT
    assert allowance(MIB).inodes == a.INODES_MIN
    assert allowance(0).bytes == a.UNLIMITED


def test_what_is_freed_hides_nothing_that_is_taken() -> None:
    gauge = Gauge()
    for free in (1000, 900, 950, 700, 2000, 1999):
        gauge = gauge.look(Amount(free, 2 * free))
    assert gauge.taken == Amount(100 + 250 + 1, 200 + 500 + 2)


def test_an_unknown_app_is_looked_at_first() -> None:
    assert Account().due(0.0, NOTHING, LIMIT)


def test_a_quiet_app_is_looked_at_every_minute_and_a_large_one_more_rarely() -> None:
    account = seen(NOTHING)
    assert not account.due(a.EVERY_SECONDS - 0.1, NOTHING, LIMIT)
    assert account.due(a.EVERY_SECONDS, NOTHING, LIMIT)
    slow = seen(NOTHING, seconds=3.0)
    assert not slow.due(a.SHARE * 3.0 - 0.1, NOTHING, LIMIT)
    assert slow.due(a.SHARE * 3.0, NOTHING, LIMIT)


def test_it_is_looked_at_at_once_where_it_may_have_used_half_of_its_room() -> None:
    account = seen(Amount(GIB - 100 * MIB, 0))
    assert not account.due(1.0, Amount(50 * MIB - 1, 0), LIMIT)
    assert account.due(1.0, Amount(50 * MIB, 0), LIMIT)
    assert account.due(1.0, Amount(0, LIMIT.inodes // 2 + 1), LIMIT)
    assert not account.due(a.URGENT_SECONDS - 0.1, Amount(GIB, 0), LIMIT)
    full = seen(LIMIT)
    assert not full.due(1.0, Amount(a.STEP_BYTES - 1, a.STEP_INODES - 1), LIMIT)
    assert full.due(1.0, Amount(a.STEP_BYTES, 0), LIMIT)
    assert full.due(1.0, Amount(0, a.STEP_INODES), LIMIT)
    slow = seen(LIMIT, seconds=1.0)
    assert not slow.due(a.URGENT_SHARE * 1.0 - 0.1, Amount(GIB, 0), LIMIT)


def test_over_the_limit_it_is_stopped() -> None:
    account = seen(Amount(GIB - 1, 10))
    assert after(account, Amount(GIB, 10))[1] is False
    assert after(account, Amount(GIB + 1, 10))[1] is True
    assert after(account, Amount(0, LIMIT.inodes + 1))[1] is True


def test_who_starts_over_the_limit_may_clean_up_but_not_grow() -> None:
    account = seen(Amount(2 * GIB, 10))
    assert account.ceiling(LIMIT) == Amount(2 * GIB + a.SLACK_BYTES, LIMIT.inodes)
    account, over = after(account, Amount(2 * GIB + a.SLACK_BYTES, 10))
    assert not over
    account, over = after(account, Amount(GIB + 10, 10))
    assert not over
    assert account.ceiling(LIMIT) == Amount(GIB + 10 + a.SLACK_BYTES, LIMIT.inodes)
    assert after(account, Amount(GIB + 11 + a.SLACK_BYTES, 10))[1]
    account, over = after(account, Amount(GIB - 10, 10))
    assert (account.ceiling(LIMIT), over) == (LIMIT, False)
    files = seen(Amount(0, LIMIT.inodes + 5))
    assert files.ceiling(LIMIT) == Amount(GIB, LIMIT.inodes + 5 + a.SLACK_INODES)


def test_a_lowered_limit_stops_nobody_at_once_and_a_raised_one_counts_at_once() -> None:
    account = seen(Amount(GIB - 10, 10))
    low = allowance(GIB // 2)
    account, over = after(account, Amount(GIB - 10, 10), low)
    assert not over
    assert after(account, Amount(GIB + a.SLACK_BYTES, 10), low)[1]
    account, over = after(account, Amount(GIB + a.SLACK_BYTES, 10), allowance(4 * GIB))
    assert not over


def test_starting_again_and_again_gains_less_and_less() -> None:
    used, account = Amount(GIB, 10), seen(Amount(GIB, 10))
    for _ in range(40):
        account, over = after(account, Amount(used.bytes + a.SLACK_BYTES, 10))
        if not over:  # the first look after a start
            ceiling = account.ceiling(LIMIT)
            assert ceiling is not None
            account, over = after(account, Amount(ceiling.bytes + 1, 10))
            used = ceiling
        assert over
        first, over = after(account, used)
        assert not over
        account = first
    assert used.bytes <= GIB + 3 * a.SLACK_BYTES


amounts = st.builds(Amount, st.integers(0, 4 * GIB), st.integers(0, 300_000))


@given(st.lists(amounts, min_size=2, max_size=30))
def test_what_it_holds_and_is_not_stopped_for_is_bounded(history: list[Amount]) -> None:
    """Whatever it does, after a first look it never holds more than that, or its limit, and the slack."""
    account = Account()
    first = history[0]
    for used in history:
        account, over = after(account, used)
        if over:
            return
        assert used.bytes <= max(GIB, first.bytes) + a.SLACK_BYTES
        assert used.inodes <= max(LIMIT.inodes, first.inodes) + a.SLACK_INODES


@given(amounts, amounts, st.floats(0, 1000))
def test_no_pass_of_a_limit_goes_unnoticed(used: Amount, taken: Amount, seconds: float) -> None:
    """Half a second after a look, whoever may have passed its ceiling by more than a step is due."""
    account, _ = after(Account(), used)
    ceiling = account.ceiling(LIMIT) or LIMIT
    passed = (
        used.bytes + taken.bytes > ceiling.bytes and taken.bytes >= a.STEP_BYTES,
        used.inodes + taken.inodes > ceiling.inodes and taken.inodes >= a.STEP_INODES,
    )
    assert account.due(1.5 + seconds, taken, LIMIT) or not any(passed)
