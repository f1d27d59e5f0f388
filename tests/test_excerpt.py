from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.excerpt import WIDTH_MAX, excerpt


@pytest.mark.parametrize(
    ("line", "column", "shown"),
    [
        ("const = 3;", 7, ["const = 3;", "      ^"]),
        ("\tlet x\n", 2, [" let x", " ^"]),
        ("end", 99, ["end", "   ^"]),
        ("start", 0, ["start", "^"]),
        ("   ", 2, []),
        ("", 1, []),
    ],
)
def test_a_mark_stands_under_the_place(line: str, column: int, shown: list[str]) -> None:
    assert excerpt(line, column) == shown


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=500), st.integers(1, 500))
def test_a_long_line_is_cut_around_it(line: str, column: int) -> None:
    text, mark = excerpt(line, column)
    assert len(text) <= WIDTH_MAX + 2
    at = len(mark) - 1
    if column <= len(line):
        assert text[at] == line[column - 1]
    else:
        assert at == len(text)
