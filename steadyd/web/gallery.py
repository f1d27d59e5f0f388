"""Templates: examples that one can open in the editor without running them. They are ordinary apps, in examples/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from steadyd.errors import SteadyError
from steadyd.web.shipped import folder


@dataclass(frozen=True, slots=True)
class Template:
    """One of them: what it is called, and what it does in one line."""

    title: str
    about: str


OPENING = "visitors"
"""The one that is open at the first visit. It writes to SQLite, so a second visit shows that data stayed."""
TEMPLATES: Mapping[str, Template] = {
    OPENING: Template("Visitor counter", "A page and a SQLite table: the count is there tomorrow."),
    "hello": Template("Hello", "The smallest app: one function that answers."),
    "hono": Template("API with Hono", "Routes and JSON with a framework from npm."),
    "guestbook": Template("Guestbook", "A form, a SQLite table, and what people wrote, escaped."),
    "chat": Template("Chat", "WebSockets: everybody who has the page open sees every message."),
    "crons": Template("Crons", "Functions and paths that are asked by the clock, also while it sleeps."),
    "static-site": Template("Static site", "A page and a stylesheet, and no code."),
    "htmx": Template("HTMX", "A list of things to do without a line of script, htmx from npm."),
}
"""Folder in examples/ → what it is, in the order of the page."""


def files_of(name: str) -> dict[str, str]:
    """A template's files by path, the entry first.

    Raises:
        SteadyError: `not_found`.
    """
    if name not in TEMPLATES:
        said = name[:40].encode("utf-8", "replace").decode()
        known = ", ".join(TEMPLATES)
        raise SteadyError("not_found", f"There is no template “{said}”. There are: {known}.", {"template": said})
    return dict(_read(name))


# Private


@cache
def _read(name: str) -> Mapping[str, str]:
    root = folder("examples") / name
    paths = sorted(path for path in root.rglob("*") if path.is_file() and "node_modules" not in path.parts)
    texts = {path.relative_to(root).as_posix(): path.read_text() for path in paths}
    return dict(sorted(texts.items(), key=lambda file: (not file[0].startswith("index."), file[0])))
