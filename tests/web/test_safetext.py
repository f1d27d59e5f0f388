"""Foreign text is shown, not obeyed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from steadyd.web.safetext import visible


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    assert visible("\x1b[2J\r\n\x07") == "\\x1b[2J\\r\\n\\x07"
    assert visible("a\u202eb") == "a\\u202eb"
    assert visible("tab\tand ünïcode 日本") == "tab\tand ünïcode 日本"


@given(st.text())
def test_nothing_that_is_not_printable_is_left(text: str) -> None:
    shown = visible(text)
    assert all(c.isprintable() or c == "\t" for c in shown)
    if text.isprintable():
        assert shown == text
