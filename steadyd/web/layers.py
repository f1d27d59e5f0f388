"""What every request passes on its way in and every answer on its way out, as ASGI layers: what is left of the body,
failures, headers, and the one cross-site rule."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from steadyd.backup.epochs import farewell
from steadyd.errors import SteadyError
from steadyd.urls import Urls
from steadyd.web.answers import error_answer, internal
from steadyd.web.auth import TRUSTED_SITES
from steadyd.web.policy import policy

DRAIN_BYTES_MAX = 256 << 10
"""Of a refused request's body, taken so that the connection can go on."""
DRAIN_SECONDS_MAX = 1.0
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
HEADERS = {
    "content-security-policy": policy(),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: with that a browser sends “Origin: null” with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Drain:
    """The outermost layer: no answer leaves before its request was taken whole.

    Hypercorn closes a connection whose request it has not read to the end when the answer ends, without having said
    so. The data plane would send the next request into it, and could not know whether that one was served. What is too
    much to take is announced instead: `Connection: close`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive)

        async def settle(message: Message) -> None:
            if message["type"] == "http.response.start" and not await body.is_taken():
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        await self._app(scope, body.receive, settle)


class _Body:
    """A request's body as it is received; `is_taken` takes what is left of it, within limits."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False
        self._gone: Message | None = None

    async def receive(self) -> Message:
        if self._gone is not None:
            return self._gone
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone = message
        elif not message.get("more_body", False):
            self._ended = True
        return message

    async def is_taken(self) -> bool:
        left = DRAIN_BYTES_MAX
        try:
            async with asyncio.timeout(DRAIN_SECONDS_MAX):
                while not self._ended and self._gone is None and left >= 0:
                    left -= len((await self.receive()).get("body", b""))
        except TimeoutError:
            return False
        return self._ended


class Failures:
    """Whatever escapes becomes an answer, and a traceback in the daemon's log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        request = Request(scope)
        try:
            await self._app(scope, receive, watch)
        except SteadyError as error:
            answer = error_answer(request, error)
        except Exception:
            answer = error_answer(request, internal(request))
        else:
            return
        if not started:
            await answer(scope, receive, send)


class Headers:
    """Security headers on every answer; a handler's own stricter one stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, add if scope["type"] == "http" else send)


class CrossSite:
    """Design section 4: no page of another origin (an app on a sibling subdomain is one) changes anything here, with
    or without a cookie. Only a bearer token exempts: a browser never sends one by itself."""

    def __init__(self, app: ASGIApp, urls: Urls) -> None:
        self._app = app
        self._urls = urls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            if is_foreign(request, self._urls):
                await error_answer(request, refusal(request, self._urls))(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Superseded:
    """A host that another one took the place of changes nothing any more; what there is can still be looked at."""

    def __init__(self, app: ASGIApp, superseded: Callable[[], SteadyError | None]) -> None:
        self._app = app
        self._superseded = superseded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS and self._superseded() is not None:
            await error_answer(Request(scope), farewell())(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_foreign(request: Request, urls: Urls) -> bool:
    """Whether the cross-site rule refuses this request."""
    if request.method in SAFE_METHODS:
        return False
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return False
    origins = request.headers.getlist("origin")
    if any(origin.strip() != urls.control for origin in origins):
        return True
    return request.headers.get("sec-fetch-site", "").strip().lower() not in TRUSTED_SITES


def refusal(request: Request, urls: Urls) -> SteadyError:
    origin = request.headers.get("origin", "")
    message = f"Only {urls.control} itself may change things here; a program sends a bearer token."
    if origin:
        message = f"A page of {origin[:200]} may not change things here; only {urls.control} may, or a bearer token."
    return SteadyError("cross_site", message, {"origin": origin[:200], "expected": urls.control})
