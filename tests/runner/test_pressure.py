from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from steadyd.runner.pressure import LOW_BYTES_MAX, LOW_SHARE, STOPS_MAX, Resting, is_short, to_stop

GIB = 1 << 30


def test_short_is_a_share_of_a_small_host_and_an_amount_of_a_large_one() -> None:
    assert is_short(int(GIB * LOW_SHARE) - 1, GIB)
    assert not is_short(int(GIB * LOW_SHARE) + 1, GIB)
    assert is_short(LOW_BYTES_MAX - 1, 256 * GIB)
    assert not is_short(LOW_BYTES_MAX, 256 * GIB)


def test_frozen_ones_go_first_and_the_longest_unused_before_the_others() -> None:
    resting = [Resting("a", 5, False), Resting("b", 9, True), Resting("c", 7, True), Resting("d", 1, False)]
    assert to_stop(1, GIB, resting) == ["c", "b", "d", "a"]
    assert to_stop(GIB, GIB, resting) == []


@given(st.lists(st.builds(Resting, st.text(max_size=3), st.floats(0, 1e6), st.booleans())))
def test_one_look_stops_only_so_many(resting: list[Resting]) -> None:
    assert len(to_stop(0, GIB, resting)) == min(len(resting), STOPS_MAX)
