"""A browser in words, from what it calls itself (RFC 9110 section 10.1.5). No I/O."""

from __future__ import annotations

UNKNOWN_CHARACTERS_MAX = 60
PROGRAMS = (
    # The first that is named counts: most browsers name those that they want to be taken for, too.
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi", "Vivaldi"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("HeadlessChrome", "Chrome without a window"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("steadyd/", "steadyd"),
)
SYSTEMS = (
    ("iPhone", "an iPhone"),
    ("iPad", "an iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "a Mac"),
    ("Linux", "Linux"),
)


def in_words(agent: str) -> str:
    """`Firefox on Linux`; of what is not known, the beginning of its own words."""
    program = next((name for mark, name in PROGRAMS if mark in agent), "")
    system = next((name for mark, name in SYSTEMS if mark in agent), "")
    if program and system:
        return f"{program} on {system}"
    return program or agent[:UNKNOWN_CHARACTERS_MAX].strip() or "A program that did not say what it is"
