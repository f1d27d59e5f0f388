"""Pages: Jinja2 with everything escaped, from the templates/ folder (inside the package once installed)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request

PACKAGE = Path(__file__).resolve().parent.parent


def folder(name: str) -> Path:
    """Where `templates` or `static` lies: in an installed package beside the code, in a checkout at the root."""
    installed = PACKAGE / name
    return installed if installed.is_dir() else PACKAGE.parent / name


def render(template: str, request: Request, **values: Any) -> str:
    """One page as text. Every page knows who looks at it, its form token and the files' fingerprints."""
    state = request.scope.get("state", {})
    values.setdefault("who", state.get("principal"))
    values.setdefault("form_token", state.get("form_token", ""))
    values.setdefault("path", request.url.path)
    return environment().get_template(template).render(**values)


@cache
def environment() -> jinja2.Environment:
    """The one Jinja2 environment: autoescape on, an unknown variable is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder("templates")),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["when"] = when
    made.filters["clock"] = clock
    made.filters["size"] = size
    made.filters["span"] = span
    return made


def when(seconds: float | None) -> str:
    """A moment for a `<time>` element, in UTC; the browser's script shows it in local time."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(seconds: float) -> str:
    """The time of day with milliseconds, for log lines."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S.%f")[:-3]


def size(count: int) -> str:
    """Bytes for people."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def span(milliseconds: float) -> str:
    """A duration for people."""
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:.1f} s"
