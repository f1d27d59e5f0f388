"""A line of source with a caret under the place that is meant. No I/O."""

from __future__ import annotations

WIDTH = 100
"""Characters of the line that are shown, those around the place if there are more."""


def excerpt(source: str, column: int) -> list[str]:
    """`source` and a line with a caret under its `column`, which counts from 1; nothing for an empty line."""
    if not source.strip():
        return []
    place = min(max(column, 1), len(source) + 1) - 1
    begin = max(0, min(place - WIDTH // 2, len(source) - WIDTH))
    shown = source[begin : begin + WIDTH].replace("\t", " ")
    return [shown.rstrip(), " " * (place - begin) + "^"]
