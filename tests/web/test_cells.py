"""Values on a page and in a form: what is seen is what there is, and what comes back unchanged changes nothing."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.web.cells import Cell, cell, field, number, same, typed
from steadyd.web.values import Exact, Special

BIG = Special(integer="9223372036854775807")
VALUES = st.one_of(
    st.none(),
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: not value.is_integer()),
    st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"])),
    st.binary().map(lambda raw: Special(base64=base64.b64encode(raw).decode())),
    st.integers(2**53, 2**63 - 1).map(lambda value: Special(integer=str(value))),
)


@given(VALUES)
def test_a_form_that_comes_back_as_it_was_is_the_same_value(value: Exact) -> None:
    made = field(value)
    assert made.fixed == ""
    assert same(value, made.kind, made.text)
    back = typed(made.kind, made.text, "c")
    if isinstance(value, float):
        assert back == Special(real=repr(value))
    else:
        assert back == value


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (None, Cell("null", "NULL")), (7, Cell("number", "7")), (1.5, Cell("number", "1.5")),
        (BIG, Cell("number", "9223372036854775807")),
        (Special(real="2.0"), Cell("number", "2.0")), ("<b>", Cell("text", "<b>")),
        ("a\u202eb\nc", Cell("text", "a\\u202eb\\nc")), ("x" * 500, Cell("text", "x" * 400 + "…", "500 bytes")),
        (Special(head="ab", bytes=9_000), Cell("text", "ab…", "9,000 bytes")),
        (Special(base64="AP8="), Cell("blob", "00 ff", "2 bytes")),
        (Special(base64="A" * 40, bytes=5_000), Cell("blob", " ".join(["00"] * 12) + " …", "5,000 bytes")),
        (Special(text="w/8="), Cell("blob", "c3 ff", "not UTF-8, 2 bytes")),
    ],
)  # fmt: skip
def test_values_are_shown_and_say_how_long_they_are(value: Any, seen: Cell) -> None:
    assert cell(value) == seen


@pytest.mark.parametrize(
    "value",
    ["a\r\nb", "a\0b", Special(head="a", bytes=9_000), Special(base64="AA==", bytes=9_000), Special(text="ww==")],
)
def test_what_a_form_would_change_is_not_typed_there(value: Any) -> None:
    assert field(value).fixed
    assert same(value, "text", "whatever")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7), ("-0", 0), ("9223372036854775807", BIG), ("1.0", Special(real="1.0")),
        ("1e3", Special(real="1000.0")),
        ("-inf", Special(real="-Infinity")), ("9" * 400, None), ("nan", None),
        ("1_000", None), ("\u0665", None), ("", None), ("x", None),
    ],
)  # fmt: skip
def test_numbers_as_they_are_typed(text: str, value: Any) -> None:
    if value is not None:
        assert number(text) == value
    else:
        with pytest.raises(ValueError):  # noqa: PT011
            number(text)


@pytest.mark.parametrize(
    ("kind", "text"), [("number", "x"), ("blob", "0"), ("null", "typed"), ("default", "x"), ("", "x")]
)
def test_what_is_no_value_is_told_with_its_column(kind: str, text: str) -> None:
    with pytest.raises(SteadyError) as caught:
        typed(kind, text, "c")
    assert (caught.value.code, caught.value.details) == ("invalid", {"column": "c"})
