"""Where one SQL statement ends and the next begins, as text. No I/O.

Source: the tokens of https://sqlite.org/lang_comment.html and https://sqlite.org/lang_keywords.html. A trigger ends as
in sqlite3_complete() (https://sqlite.org/c3ref/complete.html): after CREATE TRIGGER with “; END ;”.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""
      (?P<gap>   \s+ | --[^\n]*(?:\n|\Z) | /\*.*?(?:\*/|\Z) )
    | (?P<quoted> '(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\] )
    | (?P<open>  ['"`\[] )
    | (?P<end>   ; )
    | (?P<other> [^\s'"`\[;/-]+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
"""Every text is a sequence of these. `open` is a quotation mark that nothing closes."""

FIRST_WORDS = 4
"""EXPLAIN CREATE TEMP TRIGGER."""


@dataclass(slots=True)
class Said:
    """What a statement has said so far, as far as that tells whether a semicolon ends it."""

    first: list[str] = field(default_factory=list)
    """Its first words."""
    last: tuple[str, str] = ("", "")

    @property
    def anything(self) -> bool:
        return bool(self.first)

    @property
    def may_end(self) -> bool:
        words = self.first[1:] if self.first[:1] == ["EXPLAIN"] else self.first
        made = [word for word in words[:3] if word not in ("TEMP", "TEMPORARY")]
        return made[:2] != ["CREATE", "TRIGGER"] or self.last == (";", "END")

    def take(self, token: str) -> None:
        if len(self.first) < FIRST_WORDS:
            self.first.append(token)
        self.last = (self.last[1], token)


def split(text: str) -> tuple[list[str], str]:
    """The statements of `text` that a semicolon ends, without it, and the rest ("" if that says nothing).

    A rest that is inside of an unfinished quotation runs to the end, whatever follows.
    """
    found: list[str] = []
    start, said = 0, Said()
    for match in TOKEN.finditer(text):
        if match.lastgroup == "open":
            said.take("'")
            break
        if match.lastgroup == "end" and said.may_end:
            if said.anything:
                found.append(text[start : match.start()].strip())
            start, said = match.end(), Said()
        elif match.lastgroup != "gap":
            said.take(match[0].upper())
    return found, text[start:].strip() if said.anything else ""


def statements(text: str) -> list[str]:
    """All statements of `text`; the last one needs no semicolon."""
    found, rest = split(text)
    return [*found, rest] if rest else found


def open_comment(text: str) -> bool:
    """Whether `text` ends inside of a comment of several lines."""
    last = None
    for match in TOKEN.finditer(text):
        if match.lastgroup == "open":
            return False
        last = match
    if last is None or last.lastgroup != "gap" or not last[0].startswith("/*"):
        return False
    return not (last[0].endswith("*/") and len(last[0]) >= 4)
