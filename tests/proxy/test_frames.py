"""Frame boundaries, however the bytes are split."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.proxy.frames import CLOSE_SERVICE_RESTART, FrameTracker, close_frame


def frame(size: int, masked: bool = False, first: int = 0x82) -> bytes:
    mask = 0x80 if masked else 0
    if size < 126:
        head = bytes((first, mask | size))
    elif size < 65_536:
        head = bytes((first, mask | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, mask | 127)) + size.to_bytes(8, "big")
    return head + (b"mask" if masked else b"") + b"p" * size


SIZES = st.sampled_from([0, 1, 2, 125, 126, 127, 300, 65_535, 65_536, 70_000])


@given(st.lists(st.tuples(SIZES, st.booleans()), max_size=5), st.lists(st.integers(0, 200_000), max_size=10))
def test_a_boundary_is_where_a_frame_ends(frames: list[tuple[int, bool]], cuts: list[int]) -> None:
    wire = b"".join(frame(size, masked) for size, masked in frames)
    ends = {0}
    at = 0
    for size, masked in frames:
        at += len(frame(size, masked))
        ends.add(at)
    tracker = FrameTracker()
    places = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    for start, end in itertools.pairwise(places):
        tracker.feed(wire[start:end])
        assert tracker.at_boundary == (end in ends)


@given(st.integers(0, 400), st.integers(1, 3))
def test_the_rest_of_the_frame_under_way_and_no_more(cut: int, more: int) -> None:
    wire = frame(300)
    tracker = FrameTracker()
    cut = min(cut, len(wire))
    tracker.feed(wire[:cut])
    after = wire[cut:] + frame(5) * more
    expected = 0 if cut in (0, len(wire)) else len(wire) - cut
    assert tracker.until_boundary(after) == expected
    assert tracker.at_boundary


def test_byte_by_byte() -> None:
    tracker = FrameTracker()
    wire = frame(130, masked=True)
    for i in range(len(wire)):
        tracker.feed(wire[i : i + 1])
        assert tracker.at_boundary == (i == len(wire) - 1)


@pytest.mark.parametrize("code", [1001, CLOSE_SERVICE_RESTART])
def test_our_close_frame_is_a_whole_frame(code: int) -> None:
    tracker = FrameTracker()
    tracker.feed(close_frame(code))
    assert tracker.at_boundary
    assert int.from_bytes(close_frame(code)[2:], "big") == code
