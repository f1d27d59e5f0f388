"""Statements as text, against SQLite's own opinion."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.statement import TOKEN, open_comment, split, statements

TRIGGER = "create trigger t after insert on a begin select case when 1 then 2 end; update a set x = 1; end"
PIECES = st.lists(
    st.sampled_from(
        ["select", " ", "\n", ";", "'", '"', "`", "[", "]", "--", "/*", "*/", "-", "/", "*", "1", "a;b", "é"]
    ),
    max_size=12,
).map("".join)


@pytest.mark.parametrize(
    ("text", "found", "rest"),
    [
        ("", [], ""),
        ("  \n -- nothing", [], ""),
        ("select 1", [], "select 1"),
        ("select 1; ", ["select 1"], ""),
        ("select 1; select 2", ["select 1"], "select 2"),
        (";;select 1;;", ["select 1"], ""),
        ("select ';'; x", ["select ';'"], "x"),
        ("select 'it''s;'", [], "select 'it''s;'"),
        ('select ";", `;`, [;]; y', ['select ";", `;`, [;]'], "y"),
        ("select 1 -- not; this\n; z", ["select 1 -- not; this"], "z"),
        ("select /* ; */ 2; z", ["select /* ; */ 2"], "z"),
        ("select 'open; select 2;", [], "select 'open; select 2;"),
        ("select 4-2/1; -- end", ["select 4-2/1"], ""),
        (TRIGGER + "; x", [TRIGGER], "x"),
        (TRIGGER.replace("create", "CREATE TEMP").replace("end", "/* ; */ END") + ";", None, ""),
        (TRIGGER[:-4] + "; select 2;", [], TRIGGER[:-4] + "; select 2;"),
        ("create table trigger; end", ["create table trigger"], "end"),
    ],
)
def test_split(text: str, found: list[str] | None, rest: str) -> None:
    found = [text[:-1]] if found is None else found
    assert split(text) == (found, rest)
    assert statements(text) == ([*found, rest] if rest else found)


def test_a_comment_that_goes_on() -> None:
    assert open_comment("select 1; /* and")
    assert open_comment("/*/")
    assert not open_comment("select 1 /* done */")
    assert not open_comment("select '/* text")
    assert not open_comment("-- /* one line")
    assert not open_comment("")


@given(PIECES)
def test_the_tokens_leave_nothing_out(text: str) -> None:
    assert "".join(match[0] for match in TOKEN.finditer(text)) == text


@given(PIECES)
def test_what_is_found_is_complete_to_sqlite_too(text: str) -> None:
    found, rest = split(text)
    for statement in found:
        assert sqlite3.complete_statement(statement + "\n;")
    if rest and not open_comment(rest):
        assert not sqlite3.complete_statement(rest)
