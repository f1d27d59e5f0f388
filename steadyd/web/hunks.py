"""A patch of one file as rows of two columns, the old lines beside the new ones. No I/O.

It reads what `steadyd.patch` writes (https://git-scm.com/docs/diff-format), and of that only the hunks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

LINE_CHARACTERS_MAX = 500
"""Of one line; the rest is cut."""
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
NO_END = "\\"
WITHOUT_END = " (no newline at the end)"


@dataclass(frozen=True, slots=True)
class Row:
    """`old` and `new` are numbers of lines, 0 where that side has none. A gap stands for lines that are left out."""

    kind: Literal["same", "changed", "gap"]
    old: int = 0
    was: str = ""
    new: int = 0
    text: str = ""


def rows(patch: str) -> Iterator[Row]:
    """The rows of all hunks in order; none of a binary file. Lines that went and came at one place stand beside one
    another."""
    old = new = 0
    went: list[str] = []
    came: list[str] = []
    for line in patch.split("\n"):
        mark, text = line[:1], line[1:]
        if mark == "-" and old:
            went.append(text)
        elif mark == "+" and new:
            came.append(text)
        elif mark == NO_END:
            side = came or went
            if side:
                side[-1] += WITHOUT_END
        else:
            yield from _beside(went, came, old, new)
            old, new, went, came = old + len(went), new + len(came), [], []
            if (found := HUNK.match(line)) is not None:
                # A side without lines is counted by the line before it.
                old, new = int(found[1]) + (found[2] == "0"), int(found[3]) + (found[4] == "0")
                yield Row("gap", old, "", new)
            elif mark == " " and old:
                yield Row("same", old, _cut(text), new, _cut(text))
                old, new = old + 1, new + 1
    yield from _beside(went, came, old, new)


# Private


def _beside(went: list[str], came: list[str], old: int, new: int) -> Iterator[Row]:
    for index, (was, text) in enumerate(zip_longest(went, came)):
        yield Row(
            "changed", old + index if was is not None else 0, _cut(was or ""), new + index if text is not None else 0,
            _cut(text or ""),
        )  # fmt: skip


def _cut(line: str) -> str:
    return line if len(line) <= LINE_CHARACTERS_MAX else line[:LINE_CHARACTERS_MAX] + "…"
