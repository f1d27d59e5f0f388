"""Who is asking: a bearer token, or a session cookie of this host alone. And what proves that a form is ours."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.model import App, Principal, Scope
from steadyd.records.people import SESSION_SECONDS_MAX
from steadyd.urls import Urls
from steadyd.web.rooms import Rooms

GUARD = "__Host-"
"""A browser takes a cookie of such a name from its host alone (RFC 6265bis section 4.1.3.2)."""
TRUSTED_SITES = ("", "none", "same-origin")
SAME_COOKIES_MAX = 8
"""Cookies of one name that are looked at in one request; an app's page may plant any number where it can plant one."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `via` is "token", "session" or "" (nobody we know); `secret` is what they showed.

    `scope` and `app_id` are a token's limits: how much it is for, and "" or the one app that it is for.
    """

    principal: Principal | None = None
    via: str = ""
    secret: str = ""
    scope: Scope = Scope.ALL
    app_id: str = ""

    @property
    def is_limited(self) -> bool:
        """A token that is not for everything that its owner may do."""
        return self.scope is not Scope.ALL or bool(self.app_id)

    def owns(self, app: App) -> bool:
        """Whether the app is theirs to deal with. A token for another app knows nothing of this one."""
        if self.principal is None or self.app_id not in ("", app.id):
            return False
        return self.principal.id == app.owner_id or self.principal.is_operator


async def identify(rooms: Rooms, request: Request) -> Caller:
    """Who sent this request. A bearer token is looked at alone; a stale cookie is nobody.

    Raises:
        SteadyError: `unauthorized` for an Authorization header that is not a token of ours.
    """
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.strip().partition(" ")
        token = token.strip()
        grant = await rooms.library.tokens.find(token, rooms.now()) if scheme.lower() == "bearer" and token else None
        if grant is None:
            raise SteadyError("unauthorized", "This token is not valid here. Send “Authorization: Bearer TOKEN”.")
        return Caller(grant.principal, "token", token, grant.scope, grant.app_id)
    return Caller() if _foreign_read(request) else await by_session(rooms, request)


async def by_session(rooms: Rooms, request: Request) -> Caller:
    """Whose session this browser shows. Where more than one cookie says so, the one that is valid; two that are valid
    are nobody's, or an app's page could make a visitor act as its author."""
    found = []
    for secret in session_secrets(rooms.urls, request):
        principal = await rooms.people.by_session(secret, rooms.now())
        if principal is not None:
            found.append(Caller(principal, "session", secret))
    return found[0] if len(found) == 1 else Caller()


async def check_still(rooms: Rooms, request: Request, caller: Caller, app: App | None) -> None:
    """Ask again of an answer that goes on: is the caller still who they were, and `app` theirs?

    Raises:
        SteadyError: `unauthorized` or `not_found`.
    """
    now = await identify(rooms, request)
    if now.principal is None and caller.principal is not None:
        raise SteadyError("unauthorized", "You were logged out.")
    found = app if app is None or app is rooms.core else await rooms.apps.by_id(app.id)
    if app is not None and (found is None or not now.owns(found)):
        raise SteadyError("not_found", f"“{app.name}” is not yours any more.")


def keeps_secure(urls: Urls, request: Request) -> bool:
    """Whether whoever asks keeps a Secure cookie of ours, so that its name may begin with `__Host-`, which no other
    host can plant or displace. On plain http browsers do so only for this machine itself, and WebKit not even there
    (https://bugs.webkit.org/show_bug.cgi?id=218980); programs with a jar of cookies do not."""
    if urls.control.startswith("https:"):
        return True
    agent = request.headers.get("user-agent", "")
    is_webkit = "AppleWebKit/" in agent and "Chrom" not in agent
    return urls.is_loopback and is_browser(request) and not is_webkit


def is_browser(request: Request) -> bool:
    """Whether a browser asks: to this machine, and over https, each says what made it ask
    (https://www.w3.org/TR/fetch-metadata/)."""
    return "sec-fetch-site" in request.headers


def cookie_name(urls: Urls, request: Request, kind: str) -> str:
    """The name in this browser. On plain http the port is part of it, because cookies ignore ports."""
    port = "" if urls.control.startswith("https:") else f"-{urlsplit(urls.control).port or 80}"
    return f"{GUARD if keeps_secure(urls, request) else ''}steady-{kind}{port}"


def session_secrets(urls: Urls, request: Request) -> list[str]:
    """What session cookies say. Several, where an app's page could plant one beside ours."""
    return _cookies(urls, request, "session")


async def begin_session(rooms: Rooms, request: Request, response: Response, principal: Principal) -> None:
    """Log this browser in as `principal`. The session it had, as somebody else, ends."""
    for before in session_secrets(rooms.urls, request):
        await rooms.people.end_session(before)
    agent, address = request.headers.get("user-agent", ""), client_address(request)
    secret = await rooms.people.add_session(principal, rooms.now(), agent, address)
    set_session(request, response, rooms.urls, secret)


def set_session(request: Request, response: Response, urls: Urls, secret: str) -> None:
    """Log this browser in."""
    _set(request, response, urls, ("session", secret, int(SESSION_SECONDS_MAX)))


def end_session(request: Request, response: Response, urls: Urls) -> None:
    """Make this browser forget its session."""
    _set(request, response, urls, ("session", "", 0))


def form_token(request: Request, urls: Urls, caller: Caller) -> tuple[str, str]:
    """The token that this browser's forms must carry, and a new visitor secret to set as a cookie ("" if not needed).

    It is derived from the session, or without one from a random cookie, so nothing is stored.
    """
    visitors = _cookies(urls, request, "visitor")
    secret = caller.secret if caller.via == "session" else "\n".join(visitors)
    if secret:
        return _derive(secret), ""
    secret = secrets.token_urlsafe(18)
    return _derive(secret), secret


def set_visitor(request: Request, response: Response, urls: Urls, secret: str) -> None:
    """Remember a visitor without a session, for the form token only."""
    _set(request, response, urls, ("visitor", secret, None))


def check_form_token(request: Request, urls: Urls, caller: Caller, shown: str) -> None:
    """Refuse a form that was not made for this browser.

    Raises:
        SteadyError: `cross_site`.
    """
    expected, fresh = form_token(request, urls, caller)
    if fresh or not hmac.compare_digest(expected.encode(), shown.encode("utf-8", "replace")):
        raise SteadyError("cross_site", "This form is too old, or cookies are off. Load the page again and resend it.")


def client_address(request: Request) -> str:
    """The client as our own proxy saw it: it appends to X-Forwarded-For, so the last one is its word."""
    return request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()


# Private


def _foreign_read(request: Request) -> bool:
    """Another site's page (an app's, say) asks the API: it gets what a stranger gets, so that not even the status
    or the duration tells it what the person behind the browser may see."""
    foreign = request.headers.get("sec-fetch-site", "") not in TRUSTED_SITES
    return foreign and request.url.path.startswith("/api")


def _cookies(urls: Urls, request: Request, kind: str) -> list[str]:
    """The different values of a cookie, as many as are looked at. Nobody can plant one with a program, so that may show
    what a browser was given, too."""
    name, found = cookie_name(urls, request, kind), []
    names = (name,) if is_browser(request) or name.startswith(GUARD) else (name, GUARD + name)
    for header in request.headers.getlist("cookie"):
        for pair in header.split(";"):
            key, equals, value = pair.strip().partition("=")
            if equals and key in names and value:
                found.append(value.strip('"'))
    return list(dict.fromkeys(found))[:SAME_COOKIES_MAX]


def _set(request: Request, response: Response, urls: Urls, cookie: tuple[str, str, int | None]) -> None:
    """`cookie` is its kind, its value and how many seconds it is kept; None: until the browser ends."""
    kind, value, seconds = cookie
    response.set_cookie(
        cookie_name(urls, request, kind), value, max_age=seconds, path="/", httponly=True, samesite="lax",
        secure=keeps_secure(urls, request),
    )  # fmt: skip


def _derive(secret: str) -> str:
    return hmac.new(secret.encode(), b"steadyd form", hashlib.sha256).hexdigest()
