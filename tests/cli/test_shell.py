"""What is typed, entry by entry; tests/cli/test_sql.py does so at a real terminal."""

from __future__ import annotations

import io
import sys

import pytest

from steadyd.cli.shell import ENTRY_BYTES_MAX, entries, history


def ends(text: str) -> bool:
    return text.endswith(";")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("\n \n", []),
        ("a;\nb;\n", ["a;", "b;"]),
        ("a\n\nb;\n", ["a\n\nb;"]),
        ("a;\nnever ended", ["a;", "never ended"]),
    ],
)
def test_entries(monkeypatch: pytest.MonkeyPatch, text: str, found: list[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    with history("test"):
        assert list(entries("> ", "… ", ends)) == found


def test_an_entry_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "x" * (ENTRY_BYTES_MAX // 2)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{line}\n{line}\n{line}\n"))
    assert [len(entry) for entry in entries("", "", ends)] == [2 * len(line) + 1, len(line)]
