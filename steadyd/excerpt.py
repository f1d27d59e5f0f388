"""A line of source with a mark under the place that is meant. No I/O."""

from __future__ import annotations

WIDTH_MAX = 100
"""Characters of a line that are shown: a minified one has a million."""
BEFORE = 60
"""Of them, those before the place."""


def excerpt(line: str, column: int) -> list[str]:
    """`line` cut to its surroundings of `column` (from 1), and below it a mark; [] for a line that says nothing."""
    text = line.rstrip("\r\n").replace("\t", " ")
    if not text.strip():
        return []
    at = min(max(column - 1, 0), len(text))
    start = max(0, min(at - BEFORE, len(text) - WIDTH_MAX))
    shown = text[start : start + WIDTH_MAX]
    head, tail = "…" * (start > 0), "…" * (start + WIDTH_MAX < len(text))
    return [f"{head}{shown}{tail}", " " * (len(head) + at - start) + "^"]
