"""What is typed, entry by entry; tests/cli/test_sql.py does so at a real terminal."""

from __future__ import annotations

import io
import sys

import pytest

from steadyd.cli.shell import ENTRY_BYTES_MAX, converse, history
from steadyd.cli.verb import Failure


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("\n \n", []),
        ("a;\nb;\n", ["a;", "b;"]),
        ("a\n\nb;\n", ["a", "a\n", "a\n\nb;"]),
        ("a;\nnever ended", ["a;", "never ended", "never ended"]),
        ("a;\nleave;\nb;", ["a;"]),
    ],
)
def test_entries_are_offered_until_they_are_taken(monkeypatch: pytest.MonkeyPatch, text: str, found: list[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    offered = []

    def take(entry: str) -> bool:
        if entry == "leave;":
            raise EOFError
        offered.append(entry)
        return entry.endswith(";")

    with history("test"):
        converse("> ", "… ", take)
    assert offered == found


def test_an_entry_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("x" * (ENTRY_BYTES_MAX + 1)))
    with pytest.raises(Failure):
        converse("", "", lambda entry: True)
