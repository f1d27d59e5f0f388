from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from steadyd.cli.excerpt import WIDTH, excerpt


def test_the_caret_stands_under_the_column() -> None:
    assert excerpt("const b = (2;", 13) == ["const b = (2;", "            ^"]
    assert excerpt("\tlet = ;", 6) == [" let = ;", "     ^"], "a tab takes one place"
    assert excerpt("", 1) == []


def test_of_a_long_line_the_part_around_the_place_is_shown() -> None:
    source = "a" * 500 + "!" + "b" * 500
    shown, caret = excerpt(source, 501)
    assert (len(shown), shown[caret.index("^")]) == (WIDTH, "!")


@given(st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1), st.integers(-5, 400))
def test_any_place_is_shown(source: str, column: int) -> None:
    for line in excerpt(source, column):
        assert len(line) <= WIDTH + 1
