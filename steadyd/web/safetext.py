"""Foreign text made safe to show, in a terminal and on a page."""

from __future__ import annotations

import re

COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
"""Select Graphic Rendition (ECMA-48, 8.3.117): colours and the like."""


def terminal(text: str) -> str:
    """A line as a terminal would leave it, without its colours: of what overwrote itself, the last state."""
    lines = [line for line in COLOURS.sub("", text).split("\r") if line]
    return visible(lines[-1]) if lines else ""


def visible_lines(text: str) -> str:
    """The same for a text of several lines."""
    return "\n".join(map(visible, text.split("\n")))


def text_of(content: bytes) -> str | None:
    """A file's text; None where it is none, or could not come back unchanged from where text is typed."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def visible(text: str) -> str:
    """Text for a terminal: control characters, line breaks and direction marks are shown, not obeyed."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape", "replace").decode() for c in text)
