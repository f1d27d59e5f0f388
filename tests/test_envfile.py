from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.envfile import parse
from steadyd.errors import SteadyError

EXAMPLE = """\ufeff
# a comment
export A=1
B = "two words"  # and another
  C='as it $IS
over two lines'
D="line\\none \\"quoted\\""
E=plain # not a part of it
F=a#part
EMPTY=
URL=postgres://user:p=ss@host/db?x=1
E=again
CRLF=yes\r
M='it\\'s'
"""


def test_everything_that_people_write() -> None:
    assert parse(EXAMPLE) == {
        "A": "1",
        "B": "two words",
        "C": "as it $IS\nover two lines",
        "D": 'line\none "quoted"',
        "E": "again",
        "F": "a#part",
        "EMPTY": "",
        "URL": "postgres://user:p=ss@host/db?x=1",
        "CRLF": "yes",
        "M": "it's",
    }


@pytest.mark.parametrize(
    ("text", "line"), [("A=1\nhush", 2), ("A=1\n\nB='hush\nC=2\n", 3), ('A="1" hush', 1), ("=hush", 1)]
)
def test_what_cannot_be_read_is_refused_by_its_line_and_not_repeated(text: str, line: int) -> None:
    with pytest.raises(SteadyError, match=f"Line {line} ") as caught:
        parse(text)
    assert caught.value.code == "invalid"
    assert "hush" not in str(caught.value.body())


@given(st.text(st.characters(exclude_characters="\\'\r", exclude_categories=["Cs"])))
def test_single_quotes_hold_anything(value: str) -> None:
    assert parse(f"A='{value}'\nB=2") == {"A": value, "B": "2"}


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(SteadyError):
        assert all(isinstance(value, str) for value in parse(text).values())
