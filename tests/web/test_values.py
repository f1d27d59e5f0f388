"""Values as the API takes and gives them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from steadyd.errors import SteadyError
from steadyd.web.databases import QueryAnswer
from steadyd.web.values import Exact, Special, answered, given


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (None, None), (True, 1), (7, 7), (2**53, {"integer": str(2**53)}), (1.5, 1.5), (2.0, {"real": "2.0"}),
        ("x", "x"), (Special(base64="AA=="), {"base64": "AA=="}), (Special(integer="-5"), {"integer": "-5"}),
        (Special(real="-Infinity"), {"real": "-Infinity"}), (Special(real="1e+300"), {"real": "1e+300"}),
        (Special(head="ab", bytes=9), {"head": "ab", "bytes": 9}),
    ],
)  # fmt: skip
def test_what_is_sent_to_a_child(value: Exact, sent: Any) -> None:
    assert given(value, "params") == sent


@pytest.mark.parametrize(
    "value",
    [
        2**63, Special(), Special(base64="!"), Special(integer="1.5"), Special(integer=str(2**63)), Special(real="nan"),
        Special(real="0x1"), Special(base64="", integer="1"), Special(head="a"), Special(text="é"),
    ],
)  # fmt: skip
def test_what_is_no_value(value: Exact) -> None:
    with pytest.raises(SteadyError) as caught:
        given(value, "params")
    assert caught.value.code == "invalid"


@pytest.mark.parametrize("change", [{"rows": 7}, {"ms": "x"}, {"more": 1}, {"columns": ["\ud800"]}])
def test_what_a_child_says_is_not_believed(change: dict[str, Any]) -> None:
    right: dict[str, Any] = {"columns": ["a"], "rows": [[1]], "truncated": False, "ms": 1.0}
    assert msgspec.to_builtins(answered(right, QueryAnswer)) == right
    with pytest.raises(SteadyError) as caught:
        answered({**right, **change}, QueryAnswer)
    assert caught.value.code == "database_damaged"
