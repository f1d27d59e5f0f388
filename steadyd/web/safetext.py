"""Foreign text made safe to show, in a terminal and on a page."""

from __future__ import annotations


def visible_lines(text: str) -> str:
    """The same for a text of several lines."""
    return "\n".join(map(visible, text.split("\n")))


def visible(text: str) -> str:
    """Text for a terminal: control characters, line breaks and direction marks are shown, not obeyed."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape", "replace").decode() for c in text)
