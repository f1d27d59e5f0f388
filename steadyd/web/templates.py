"""Pages: Jinja2 with everything escaped, from the templates/ folder (inside the package once installed)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from markupsafe import Markup
from starlette.requests import Request

from steadyd.errors import plain
from steadyd.model import Deploy
from steadyd.web.safetext import terminal, visible, visible_lines
from steadyd.web.shipped import folder
from steadyd.web.static import link

FORM_TOKEN_FIELD = "form_token"


def render(template: str, request: Request, **values: Any) -> str:
    """One page as text. Every page knows who looks at it, its form token, the files' fingerprints, what this machine
    lacks to confine apps, and whom to tell what an app does to people."""
    state, has_app = request.scope.get("state", {}), "app" in request.scope
    values.setdefault("who", state.get("principal"))
    values.setdefault("form_token", state.get("form_token", ""))
    values.setdefault("path", request.url.path)
    values.setdefault("missing", request.app.state.lacking() if has_app else ())
    values.setdefault("urls", request.app.state.urls if has_app else None)
    return plain(environment().get_template(template).render(**values))


@cache
def environment() -> jinja2.Environment:
    """The one Jinja2 environment: autoescape on, an unknown variable is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder("templates")),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "when": when,
        "iso": iso,
        "clock": clock,
        "size": size,
        "span": span,
        "left": left,
        "took": took,
        "urlencode": encoded,
        "terminal": terminal,
        "visible": visible,
        "visible_lines": visible_lines,
    }
    made.globals |= {"static": link, "token_field": token_field, "shape": shape}
    return made


@jinja2.pass_context
def token_field(context: jinja2.runtime.Context) -> Markup:
    """The hidden field that proves a form to be ours."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FORM_TOKEN_FIELD, context["form_token"])


def encoded(value: str | Mapping[str, object]) -> str:
    """A part of a path, or a whole query, in a URL: names of files that are no UTF-8 too."""
    if isinstance(value, Mapping):
        return urlencode(value, errors="surrogateescape")
    return quote(value, errors="surrogateescape")


def shape(kind: dict[str, Any]) -> Markup:
    """A JSON schema in a few words, with links to the named types."""
    if "$ref" in kind:
        name = str(kind["$ref"]).rpartition("/")[2]
        return Markup('<a href="#type-{}">{}</a>').format(name, name)
    for key in ("anyOf", "oneOf"):
        if key in kind:
            return Markup(" or ").join(shape(part) for part in kind[key])
    if "enum" in kind:
        return Markup(", ").join(Markup("<code>{}</code>").format(value) for value in kind["enum"])
    if kind.get("type") == "array":
        return Markup("list of {}").format(shape(kind.get("items", {})))
    if isinstance(kind.get("additionalProperties"), dict):
        return Markup("object of {}").format(shape(kind["additionalProperties"]))
    return Markup("{}").format(kind.get("format", kind.get("type", "anything")))


def when(seconds: float | None) -> str:
    """A moment for a `<time>` element, in UTC; the browser's script shows it in local time."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(seconds: float) -> str:
    """A moment for `<time datetime>`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def took(deploy: Deploy) -> str:
    """How long a finished deploy took, from accepted to live."""
    return span(((deploy.finished_at or deploy.started_at) - deploy.started_at) * 1000)


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


def left(seconds: float) -> str:
    """How much time is left, in the largest unit of which there are two or more: `6 days`, `90 minutes`."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return "a minute"


def span(milliseconds: float) -> str:
    """A duration for people."""
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:.1f} s"
