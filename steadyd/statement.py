"""Where one SQL statement ends and the next begins, as text. No I/O.

Source: the tokens of https://sqlite.org/lang_comment.html and https://sqlite.org/lang_keywords.html. The body of a
trigger is not understood: whoever asks here only reads.
"""

from __future__ import annotations

import re

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


def split(text: str) -> tuple[list[str], str]:
    """The statements of `text` that a semicolon ends, without it, and the rest ("" if that says nothing).

    A rest that is inside of an unfinished quotation runs to the end, whatever follows.
    """
    found: list[str] = []
    start = 0
    says = False
    for match in TOKEN.finditer(text):
        if match.lastgroup == "open":
            says = True
            break
        if match.lastgroup == "end":
            if says:
                found.append(text[start : match.start()].strip())
            start, says = match.end(), False
        elif match.lastgroup != "gap":
            says = True
    return found, text[start:].strip() if says else ""


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
