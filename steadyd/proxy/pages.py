"""The platform's own answers: one template for browsers, JSON for programs. No I/O."""

from __future__ import annotations

import html
import json
from typing import NamedTuple

from steadyd.errors import SteadyError
from steadyd.proxy.answer import AnswerHead, make_answer

TITLES = {
    "bad_host": "That address does not say which app it means",
    "unknown_host": "Nothing is served here",
    "app_died": "The app stopped while it was answering",
    "bad_upstream": "The app's answer could not be read",
    "app_timeout": "The app took too long",
    "app_failed": "The app does not start",
    "held": "The app is held",
    "suspended": "The app is suspended",
    "secrets_locked": "The app is locked",
    "gate_full": "Too many visitors are waiting",
    "gate_timeout": "The app did not wake in time",
    "overloaded": "This host is full",
    "shutting_down": "This host is shutting down",
    "superseded": "This host was replaced",
}

OWNERS_BUSINESS = frozenset({"app_died", "app_failed", "app_timeout", "bad_upstream", "gate_timeout", "suspended"})
"""What only the app's owner can mend: the page says where they see more. It links and shows nothing, because no
session of the control plane may reach an app's origin."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><title>{title}</title><style>
:root{{color-scheme:light dark;--ink:#1c2024;--soft:#60646c;--ground:#fbfcfd;--line:#d9dce1;--mark:#c2410c}}
@media(prefers-color-scheme:dark){{:root{{--ink:#edeef0;--soft:#a3a9b2;--ground:#14171a;--line:#333940;--mark:#fb923c}}}}
body{{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--ground);color:var(--ink);
font:17px/1.55 system-ui,sans-serif}}main{{max-width:34rem;padding:2rem;border-left:3px solid var(--mark)}}
h1{{font-size:1.45rem;line-height:1.25;margin:0 0 .7rem;text-wrap:balance}}p{{margin:0 0 1.2rem;overflow-wrap:anywhere}}
a{{color:inherit}}
footer{{color:var(--soft);font:13px/1.5 ui-monospace,monospace;border-top:1px solid var(--line);padding-top:.8rem}}
</style></head><body><main><h1>{title}</h1><p>{message}</p>{owner}
<footer>{status} &middot; {code}<br>request {request_id}{abuse}</footer></main></body></html>
"""


class Links(NamedTuple):
    """What a page of ours leads to: the app's page, if it has one; whom to tell what the app does to people; and the
    page of all errors."""

    owners_page: str = ""
    abuse_contact: str = ""
    abuse: str = ""
    """The contact as a link."""
    errors: str = ""


NO_LINKS = Links()


def error_page(
    error: SteadyError, wants_html: bool, request_id: bytes, links: Links = NO_LINKS
) -> tuple[AnswerHead, bytes]:
    """The answer to a request that ends with `error`."""
    body = _html(error, request_id, links) if wants_html else json.dumps(error.body(), default=str).encode() + b"\n"
    fields = [
        (b"Content-Type", b"text/html; charset=utf-8" if wants_html else b"application/json"),
        (b"Cache-Control", b"no-store"),
        (b"Steady-Error", error.code.encode()),
        (b"Steady-Request-Id", request_id),
        (b"X-Content-Type-Options", b"nosniff"),
    ]
    if wants_html:
        fields.append((b"Content-Security-Policy", b"default-src 'none'; style-src 'unsafe-inline'"))
    if error.retry_after is not None:
        fields.append((b"Retry-After", b"%d" % error.retry_after))
    if error.code == "method_not_allowed":
        fields.append((b"Allow", b"GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"))
    return make_answer(error.status, fields, len(body)), body


def redirect(status: int, location: bytes, request_id: bytes) -> tuple[AnswerHead, bytes]:
    """Send a client to another address. Nobody may remember it: an app's name can be its own again tomorrow."""
    fields = [(b"Location", location), (b"Cache-Control", b"no-store"), (b"Steady-Request-Id", request_id)]
    return make_answer(status, fields, 0), b""


def _html(error: SteadyError, request_id: bytes, links: Links) -> bytes:
    owner = abuse = ""
    if links.owners_page and error.code in OWNERS_BUSINESS:
        link = f'<a href="{html.escape(links.owners_page)}" rel="noreferrer">see what happened</a>'
        owner = f"<p>If this is your app, {link}.</p>"
    if links.abuse:
        named = f'<a href="{html.escape(links.abuse)}" rel="noreferrer">{html.escape(links.abuse_contact)}</a>'
        abuse = f"<br>report abuse: {named}"
    code = html.escape(error.code)
    if links.errors:
        code = f'<a href="{html.escape(links.errors)}#{code}" rel="noreferrer">{code}</a>'
    title = TITLES.get(error.code, "That did not work")
    return _PAGE.format(
        title=html.escape(title),
        message=html.escape(error.message),
        owner=owner,
        abuse=abuse,
        status=error.status,
        code=code,
        request_id=html.escape(request_id.decode("latin-1")),
    ).encode()
