"""The shortest edit: right for any two lists, short, and bounded."""

from __future__ import annotations

import difflib
import time

from hypothesis import given
from hypothesis import strategies as st

from steadyd.edits import Span, Work, edits

LINES = st.lists(st.sampled_from("abcd"), max_size=30)
ENOUGH = 1_000_000


def applied(before: list[str], after: list[str], spans: list[Span]) -> list[str]:
    made, at = [], 0
    for span in spans:
        made += before[at : span.first] + after[span.new_first : span.new_last]
        at = span.last
    return made + before[at:]


def cost(spans: list[Span]) -> int:
    return sum(span.last - span.first + span.new_last - span.new_first for span in spans)


@given(LINES, LINES, st.sampled_from([0, 5, ENOUGH]))
def test_the_edit_makes_one_of_the_other(before: list[str], after: list[str], steps: int) -> None:
    spans, shortest = edits(before, after, Work(steps))
    assert applied(before, after, spans) == after
    assert all(span.first < span.last or span.new_first < span.new_last for span in spans)
    assert shortest or len(spans) == 1
    ends = [(span.last, span.new_last) for span in spans[:-1]]
    begins = [(span.first, span.new_first) for span in spans[1:]]
    assert all(end < begin for end, begin in zip(ends, begins, strict=True)), "spans that touch are one"


@given(LINES, LINES)
def test_no_other_way_is_shorter(before: list[str], after: list[str]) -> None:
    spans, shortest = edits(before, after, Work(ENOUGH))
    assert shortest
    matched = sum(block.size for block in difflib.SequenceMatcher(None, before, after, False).get_matching_blocks())
    assert cost(spans) <= len(before) + len(after) - 2 * matched
    longest = [[0] * (len(after) + 1) for _ in range(len(before) + 1)]
    for i, left in enumerate(before):
        for j, right in enumerate(after):
            longest[i + 1][j + 1] = longest[i][j] + 1 if left == right else max(longest[i][j + 1], longest[i + 1][j])
    assert cost(spans) == len(before) + len(after) - 2 * longest[-1][-1]


def test_equal_lists_need_no_work() -> None:
    assert edits(["a"] * 9, ["a"] * 9, Work(0)) == ([], True)
    assert edits([], [], Work(0)) == ([], True)
    assert edits(["a", "b"], ["a", "x", "b"], Work(0)) == ([Span(1, 1, 1, 2)], True)


def test_past_its_work_all_is_replaced_and_it_says_so() -> None:
    before = [str(number) for number in range(20_000)]
    after = [str(number) for number in range(50_000, 70_000)]
    began = time.perf_counter()
    spans, shortest = edits(["same", *before], ["same", *after], Work(100_000))
    assert (spans, shortest) == ([Span(1, 20_001, 1, 20_001)], False)
    assert time.perf_counter() - began < 5


def test_work_is_spent_once_for_all_who_share_it() -> None:
    work = Work(100)
    assert edits("abcabba", "cbabac", work)[1]
    assert not edits("abcabba" * 20, "cbabac" * 20, work)[1]
    assert not edits("abcabba", "cbabac", work)[1]
