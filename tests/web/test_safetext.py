"""Foreign text is shown, not obeyed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from steadyd.web.safetext import terminal, visible


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


def test_a_line_is_shown_as_a_terminal_would_leave_it() -> None:
    assert terminal("\x1b[1;32mdone\x1b[0m in 3 ms") == "done in 3 ms"
    assert terminal("10%\r50%\r100%\r") == "100%"
    assert terminal("\x1b[2Jwiped \x1b]52;c;evil\x07") == "\\x1b[2Jwiped \\x1b]52;c;evil\\x07"
    assert terminal("\r") == ""
