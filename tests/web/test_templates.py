"""What the templates are given to show times, sizes and types with."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from steadyd.model import Deploy
from steadyd.web.templates import clock, encoded, environment, iso, left, shape, size, span, took, when


def test_what_goes_into_a_url() -> None:
    assert [encoded("a b/ü"), encoded("\udcff?"), encoded({"q": "a b", "n": 1, "f": "\udcff"})] == [
        "a%20b/%C3%BC", "%FF%3F", "q=a+b&n=1&f=%FF",
    ]  # fmt: skip


def test_times() -> None:
    assert when(1_700_000_000.5) == "2023-11-14 22:13:20 UTC"
    assert when(None) == ""
    assert iso(1_700_000_000.5) == "2023-11-14T22:13:20.500Z"
    assert clock(1_700_000_000.5) == "22:13:20.500"


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (26 << 20, "26 MiB"), (3 << 30, "3.0 GiB")]
)
def test_sizes(count: int, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize(("ms", "words"), [(0.04, "0.0 ms"), (4.25, "4.2 ms"), (43.2, "43 ms"), (12_340, "12.3 s")])
def test_spans(ms: float, words: str) -> None:
    assert span(ms) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(7 * 86_400, "7 days"), (100_000, "27 hours"), (7_199, "119 minutes"), (-5, "a minute")]
)
def test_what_is_left(seconds: float, words: str) -> None:
    assert left(seconds) == words


def test_how_long_a_deploy_took() -> None:
    assert took(Deploy(1, "a", 1, "create", "live", (), 10.0, 10.0431)) == "43 ms"


def test_a_type_in_a_few_words_is_escaped() -> None:
    assert shape({"$ref": "#/components/schemas/App"}) == Markup('<a href="#type-App">App</a>')
    assert shape({"type": "array", "items": {"enum": ["<a>"]}}) == "list of <code>&lt;a&gt;</code>"
    assert shape({"anyOf": [{"type": "string"}, {"type": "null"}]}) == "string or null"
    assert shape({"type": "object", "additionalProperties": {"type": "string"}}) == "object of string"
    assert shape({"type": "string", "format": "date-time"}) == "date-time"
    assert shape({}) == "anything"


def test_everything_is_escaped_and_nothing_may_be_missing() -> None:
    assert environment().autoescape is True
    assert environment().from_string("{{ x }}").render(x="<") == "&lt;"
    with pytest.raises(Exception, match="undefined"):
        environment().from_string("{{ x }}").render()
