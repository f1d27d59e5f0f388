"""What every page and every form goes through: who looks, the form token, and the answer as HTML."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.model import App, Principal
from steadyd.web import auth
from steadyd.web.auth import Caller
from steadyd.web.body import Allowance, convert, whole
from steadyd.web.core import core_of
from steadyd.web.policy import app_frames, policy
from steadyd.web.rooms import Rooms
from steadyd.web.templates import FORM_TOKEN_FIELD, render
from steadyd.web.upload import content_type

FORM_BYTES_MAX = 8 << 20
FORM_FIELDS_MAX = 300
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a page, or one form that was sent. `form` has the fields in order, the last of a name wins."""

    rooms: Rooms
    request: Request
    caller: Caller
    form: dict[str, str] = field(default_factory=dict)
    core: App | None = None
    """The control plane, where the page is about it."""

    @property
    def principal(self) -> Principal:
        """Who it is (of forms about an app of theirs)."""
        assert self.caller.principal is not None
        return self.caller.principal

    def html(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page. It may show what only this person may see, so nobody keeps it."""
        nonce, urls = secrets.token_urlsafe(12), self.rooms.urls
        guarded = auth.keeps_secure(urls, self.request)
        page = render(template, self.request, urls=urls, rooms=self.rooms, nonce=nonce, guarded=guarded, **values)
        headers = {"cache-control": "no-store", "content-security-policy": policy(nonce, app_frames(urls))}
        return Response(page, status, headers, HTML)

    def go(self, path: str) -> Response:
        """Off to a page of ours, after a form."""
        return RedirectResponse(path, 303, {"cache-control": "no-store"})

    async def app(self) -> App:
        """The app in the path, if it is this person's.

        Raises:
            SteadyError: `not_found`.
        """
        if self.core is not None:
            return self.core
        name = self.request.path_params["name"]
        app = await self.rooms.apps.by_name(name)
        if app is None or not self.caller.owns(app):
            raise absent(name)
        return app


Handler = Callable[[Visit], Awaitable[Response]]
Query = TypeVar("Query", bound=msgspec.Struct)


def asked(visit: Visit, kind: type[Query], check: Callable[[Query], object]) -> tuple[Query, SteadyError | None]:
    """What a form that only looks says, in the page's address: a field left empty says nothing, and `tail` is for
    programs. Where `kind` or `check` refuses it: why, and what an empty form says."""
    said = {name: value.strip() for name, value in visit.request.query_params.items() if value.strip()}
    try:
        query = convert({name: value for name, value in said.items() if name != "tail"}, kind, strict_names=False)
        check(query)
    except SteadyError as error:
        return kind(), error
    return query, None


def page_route(path: str, handler: Handler, rooms: Rooms) -> Route:
    """A page that is looked at."""

    async def serve(request: Request) -> Response:
        return await _visit(request, rooms, handler, {}, path)

    return Route(path, serve, methods=["GET"], name=path)


def form_route(path: str, handler: Handler, rooms: Rooms, allowance: Allowance) -> Route:
    """A form that is sent: it must carry the token of the browser that it was made for."""

    async def serve(request: Request) -> Response:
        if content_type(request) != "application/x-www-form-urlencoded":
            raise SteadyError("unsupported_media_type", "This address takes a form. Programs use /api.")
        form = parse_form(await whole(request, FORM_BYTES_MAX, allowance))
        return await _visit(request, rooms, handler, form, path)

    return Route(path, serve, methods=["POST"], name=f"form {path}")


def parse_form(content: bytes) -> dict[str, str]:
    """The fields of an HTML form. Browsers send line breaks as CR LF; ours are LF.

    Raises:
        SteadyError: `invalid`.
    """
    try:
        pairs = parse_qsl(
            content.decode("ascii"), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX, errors="strict"
        )
    except (ValueError, UnicodeError):
        raise SteadyError("invalid", "The form cannot be read, or has too many fields.") from None
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


def local_path(text: str) -> str:
    """Where to go after a log-in: a path of ours, else the list of apps. Never another site."""
    plain = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if plain else "/apps"


def absent(name: str) -> SteadyError:
    shown = name[:60].encode("utf-8", "replace").decode()
    return SteadyError("not_found", f"There is no app called “{shown}” here, or it is not yours.", {"name": shown})


# Private


async def _visit(request: Request, rooms: Rooms, handler: Handler, form: dict[str, str], path: str) -> Response:
    caller = await auth.identify(rooms, request)
    if request.method == "POST":
        auth.check_form_token(request, rooms.urls, caller, form.get(FORM_TOKEN_FIELD, ""))
    if caller.is_limited:
        raise SteadyError("forbidden", "This token is not for everything, and pages are. Use it with /api.")
    token, fresh = auth.form_token(request, rooms.urls, caller)
    request.state.principal = caller.principal
    request.state.form_token = token
    name = request.path_params.get("name", "") if path.startswith("/apps/{name}") else ""
    ours = core_of(rooms, caller, name, request.method, path)
    response = await handler(Visit(rooms, request, caller, form, ours))
    if fresh:
        auth.set_visitor(request, response, rooms.urls, fresh)
    return response
