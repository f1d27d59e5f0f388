"""The shortest way from one list of lines to another, found within a bound of work. No I/O.

Source: E. Myers, "An O(ND) Difference Algorithm and Its Variations" (1986). Its work grows with the square of the
differences, so whoever asks brings a `Work` to spend; when that is gone, the answer is "all of it was replaced", which
is true, though not the shortest.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """`before[first:last]` becomes `after[new_first:new_last]`; between spans both are the same."""

    first: int
    last: int
    new_first: int
    new_last: int


class Work:
    """Steps that may still be taken; a step is one comparison (about half a microsecond)."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def take(self, steps: int) -> bool:
        """Spend `steps`; False where they are more than is left, and then nothing is left."""
        self._left = max(0, self._left - steps)
        return self._left > 0


def edits(before: Sequence[Hashable], after: Sequence[Hashable], work: Work) -> tuple[list[Span], bool]:
    """The spans that differ, in order, and whether they are the shortest way."""
    head, tail = _ends(before, after)
    last, new_last = len(before) - tail, len(after) - tail
    if head == last and head == new_last:
        return [], True
    whole = [Span(head, last, head, new_last)]
    if head in (last, new_last):
        return whole, True
    numbers: dict[Hashable, int] = {}
    inner = (before[head:last], after[head:new_last])
    old, new = ([numbers.setdefault(line, len(numbers)) for line in lines] for lines in inner)
    rounds = _rounds(old, new, work)
    if rounds is None:
        return whole, False
    return [
        Span(head + span.first, head + span.last, head + span.new_first, head + span.new_last)
        for span in _spans(rounds, len(old), len(new))
    ], True


# Private


def _ends(before: Sequence[Hashable], after: Sequence[Hashable]) -> tuple[int, int]:
    """How many lines both begin with, and how many of the others both end with."""
    least = min(len(before), len(after))
    head = next((i for i in range(least) if before[i] != after[i]), least)
    least -= head
    return head, next((i for i in range(least) if before[-1 - i] != after[-1 - i]), least)


def _rounds(old: Sequence[int], new: Sequence[int], work: Work) -> list[array[int]] | None:
    """For each number of edits d, how far it leads on the diagonals -d, -d + 2, … d; None if the work ran out.

    A diagonal k holds the places where x - y = k, x lines of `old` and y lines of `new` being dealt with.
    """
    rounds: list[array[int]] = []
    furthest = {1: 0}
    for d in range(len(old) + len(new) + 1):
        steps = 0
        for k in range(-d, d + 1, 2):
            down = k == -d or (k != d and furthest[k - 1] < furthest[k + 1])
            begin = x = furthest[k + 1] if down else furthest[k - 1] + 1
            while x < len(old) and 0 <= x - k < len(new) and old[x] == new[x - k]:
                x += 1
            furthest[k] = x
            steps += 1 + x - begin
            if x >= len(old) and x - k >= len(new):
                return rounds
        rounds.append(array("q", (furthest[k] for k in range(-d, d + 1, 2))))
        if not work.take(steps):
            return None
    raise AssertionError("the end is reached by as many edits as there are lines")


def _spans(rounds: list[array[int]], x: int, y: int) -> list[Span]:
    """Walk back from the end, one edit for each round, and join what touches."""
    found: list[Span] = []
    for d in range(len(rounds), 0, -1):
        k, furthest = x - y, rounds[d - 1]
        left = furthest[(k + d) // 2 - 1] if k > -d else -1
        right = furthest[(k + d) // 2] if k < d else -1
        if k == -d or (k != d and left < right):
            x, y = right, right - k - 1
            span = Span(x, x, y, y + 1)
        else:
            x, y = left, left - k + 1
            span = Span(x, x + 1, y, y)
        if found and (span.last, span.new_last) == (found[-1].first, found[-1].new_first):
            after = found.pop()
            span = Span(span.first, after.last, span.new_first, after.new_last)
        found.append(span)
    return found[::-1]
