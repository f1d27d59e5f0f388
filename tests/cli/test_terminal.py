"""What reaches the terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.cli.terminal import (
    clock,
    date,
    milliseconds,
    print_json,
    print_pairs,
    print_table,
    safe_line,
    size,
)


@given(st.text())
def test_no_control_character_survives(text: str) -> None:
    shown = safe_line(text)
    assert not any(ord(c) < 32 and c != "\t" for c in shown)
    assert not any(0x7F <= ord(c) <= 0x9F or c in "\u202e\u2066\u2028" for c in shown)


def test_text_stays_readable() -> None:
    assert safe_line("grüße 👩‍🚀\tok") == "grüße 👩‍🚀\tok"
    assert safe_line("\x1b]52;c;x\x07") == "\\x1b]52;c;x\\x07"
    assert safe_line("a\u202eb") == "a\\u202eb"


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_is_safe_and_means_the_same(value: object) -> None:
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        print_json(value)
    assert json.loads(out.getvalue()) == value
    assert safe_line(out.getvalue().replace("\n", "")) == out.getvalue().replace("\n", "")


def test_a_table_is_plain_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "state"], [["a", "running"], ["longer\x1b", ""]])
    assert capsys.readouterr().out == "NAME        STATE\na           running\nlonger\\x1b\n"


def test_pairs_leave_out_what_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs({"name": "a", "owner": "", "state": "held"})
    assert capsys.readouterr().out == "name   a\nstate  held\n"


def test_times_and_sizes() -> None:
    assert clock("2026-01-02T03:04:05.678Z")[-9:] == "04:05.678"
    assert clock(0)[-9:] == "00:00.000"
    assert clock(None) == date(None) == ""
    assert date("2026-01-02T03:04:05Z").startswith("2026-01-0")
    assert [size(n) for n in (0, 1023, 1536, 5 << 20, 3 << 30)] == ["0 B", "1023 B", "1.5 KiB", "5.0 MiB", "3.0 GiB"]
    assert [milliseconds(n) for n in (0.44, 31.2, 12_000, None)] == ["0.4 ms", "31 ms", "12.0 s", ""]
