"""An API call as a value: path, who may, what goes in and out. Routes and openapi.json are both made from it, so
neither can lack what the other has."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.model import App, Durability, Principal, Scope
from steadyd.runner.controller import suspended
from steadyd.web import auth, core
from steadyd.web.auth import Caller
from steadyd.web.body import CALL_BYTES_MAX, Allowance, Holding, convert, decode, whole
from steadyd.web.following import Following
from steadyd.web.layers import SAFE_METHODS
from steadyd.web.rooms import Rooms
from steadyd.web.schema import CreateBody, DeployBody
from steadyd.web.upload import JSON_TYPES, Bounds, Upload, content_type, receive

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")


class Access(enum.Enum):
    """Who may make a call. What one may not know answers 404."""

    ANYONE = "anyone"
    KNOWN = "anyone with a token or a session"
    OWNER = "the app's owner and the operator"
    READER = "the same, and anyone where its source is public or unlisted"
    OWNER_OF_DELETED = "the same, and the app may be deleted"
    OPERATOR = "the operator"


@dataclass(frozen=True, slots=True)
class Call:
    """One call, ready for its handler: access is checked, body and query are not read yet."""

    rooms: Rooms
    request: Request
    endpoint: Endpoint
    caller: Caller
    holding: Holding
    found: App | None = None

    @property
    def app(self) -> App:
        """The app in the path (of calls that are the owner's)."""
        assert self.found is not None
        return self.found

    @property
    def principal(self) -> Principal:
        """Who asks (of calls that are not anyone's)."""
        assert self.caller.principal is not None
        return self.caller.principal

    def number(self, parameter: str) -> tuple[int, str]:
        """A number in the path, and what was said, to be shown. 0 for what is no number that a record can have."""
        said = str(self.request.path_params[parameter])[:20]
        number = int(said) if said.isascii() and said.isdigit() else 0
        return number if number < 2**53 else 0, said.encode("utf-8", "replace").decode()

    async def body(self, kind: type[T], bytes_max: int = CALL_BYTES_MAX) -> T:
        """The JSON body as `kind`; an empty body is `{}`."""
        if content_type(self.request) not in (*JSON_TYPES, "", "application/x-www-form-urlencoded"):
            raise SteadyError("unsupported_media_type", "This call takes application/json.")
        return decode(await whole(self.request, bytes_max, self.holding.allowance), kind)

    def query(self, kind: type[S]) -> S:
        strict = self.request.method not in SAFE_METHODS
        return convert(dict(self.request.query_params), kind, strict_names=strict)

    async def upload(self) -> Upload:
        """The body as files, in whatever form it came."""
        kind = CreateBody if self.endpoint.upload is CreateBody else DeployBody
        bounds = Bounds(self.rooms.body_bytes_max, self.holding.allowance, self.rooms.apps.policy.tree)
        upload = await receive(self.request, kind, bounds)
        # A deploy may wait for another one of the same app, with its whole tree in memory.
        self.holding.take(sum(len(content or b"") for content in upload.files.values()))
        if upload.carried is not None:
            self.holding.keep(upload.carried.file)
            self.holding.take(upload.carried.size)
        return upload


TAKING = frozenset({"bad_request", "invalid", "unsupported_media_type", "too_large", "overloaded"})
"""What a body can be refused for."""

Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method on one path. `answers` maps media type to type; for a stream the type is one item's.

    `scope` is what a token must be for; without one it follows from the rest (`needs`).
    """

    method: str
    path: str
    handler: Handler
    summary: str
    access: Access
    answers: dict[str, tuple[Any, ...]]
    status: int = 200
    body: Any = None
    """A type of JSON, mostly a Struct."""
    query: type[msgspec.Struct] | None = None
    upload: type[CreateBody | DeployBody] | None = None
    errors: tuple[str, ...] = ()
    scope: Scope | None = None
    harmless: bool = False
    """A token for one app may make this call although it is not about that app."""

    @property
    def about_app(self) -> bool:
        """Whether the path names the one app that this call is about."""
        return self.path.startswith("/api/apps/{name}")

    @property
    def suits_one_app(self) -> bool:
        """Whether a token for one app may make this call: it is about an app, or tells what everybody may know."""
        if self.access is Access.OPERATOR:
            return False
        return self.about_app or self.harmless or (self.access is Access.ANYONE and not self.changes)

    @property
    def needs(self) -> Scope:
        """Looking needs `read`, changing an app `deploy`; accounts and the operator's calls need `all`."""
        if self.scope is not None:
            return self.scope
        if self.access is Access.OPERATOR:
            return Scope.ALL
        if not self.changes:
            return Scope.READ
        return Scope.DEPLOY if self.path.startswith(("/api/apps", "/api/operations")) else Scope.ALL

    @property
    def changes(self) -> bool:
        return self.method not in SAFE_METHODS

    @property
    def may_go_on(self) -> bool:
        """Whether it may be work in several steps, which can go on after its answer."""
        return self.changes and self.path.startswith("/api/apps")

    @property
    def refusals(self) -> frozenset[str]:
        """Every code that it may answer instead: its own, and those that follow from what it takes and who may."""
        found = {*self.errors, "internal", "unauthorized"}
        if self.body is not None or self.upload is not None:
            found |= TAKING
        if self.query is not None:
            found.add("invalid")
        if self.changes:
            found |= {"cross_site", "unsupported_media_type"}
        if self.about_app and f"{self.method} {self.path}" not in core.OPEN:
            found.add("core_service")
        if self.changes and self.about_app:
            found.add("not_replicated")
        if self.changes and self.about_app and self.method != "DELETE":
            found.add("suspended")
        if self.may_go_on:
            found.add("overloaded")
        if self.needs is not Scope.READ or not self.suits_one_app:
            found.add("forbidden")
        return frozenset(found)


def json_of(*types: Any) -> dict[str, tuple[Any, ...]]:
    """The `answers` of a call that answers JSON of one of `types`."""
    return {"application/json": types}


async def handle(call: Call) -> Response:
    """Have the call's handler answer it; what it holds in memory is given back at the end."""
    with call.holding:
        answer = await call.endpoint.handler(call)
    if call.endpoint.changes and call.endpoint.about_app:
        await _until_replicated(call)
    return answer


def routes(endpoints: Iterable[Endpoint], rooms: Rooms, allowance: Allowance, run: Handler = handle) -> list[Route]:
    """The endpoints as Starlette routes: one for each path, so that a wrong method is told all right ones. `run` has
    each call handled, now or later."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return [_route(path, methods, rooms, allowance, run) for path, methods in by_path.items()]


# Private


async def _until_replicated(call: Call) -> None:
    """Of an app whose answers wait for the replica, nobody is told that something was done before that has it."""
    found, apps = call.found, call.rooms.apps
    app = await (apps.by_id(found.id) if found is not None else apps.by_name(call.request.path_params["name"]))
    if app is not None and app.settings.durability is Durability.REPLICA:
        await call.rooms.fleet.keeper.settle(app.id)


def _route(path: str, methods: dict[str, Endpoint], rooms: Rooms, allowance: Allowance, run: Handler) -> Route:
    async def serve(request: Request) -> Response:
        endpoint = methods["GET" if request.method == "HEAD" else request.method]
        caller = await auth.identify(rooms, request)
        if endpoint.changes and caller.via != "token":
            await _refuse_form_with_cookie(request, rooms)
        found = await _find(endpoint, rooms, request, caller)
        answer = await run(Call(rooms, request, endpoint, caller, Holding(allowance), found))
        if isinstance(answer, Following):
            answer.still = partial(auth.check_still, rooms, request, caller, found)
        return answer

    return Route(path, serve, methods=list(methods), name=path)


async def _refuse_form_with_cookie(request: Request, rooms: Rooms) -> None:
    """A browser sends cookies by itself, but JSON only after asking; so with a cookie, JSON it must be."""
    if not _shows_cookie(request, rooms):
        return
    kind = content_type(request)
    declared = request.headers.get("content-length", "0")
    empty = declared == "0" and "transfer-encoding" not in request.headers
    if kind not in JSON_TYPES and not (kind == "" and empty):
        raise SteadyError(
            "unsupported_media_type",
            f"With a cookie only application/json is accepted, not “{kind[:80]}”. Send a bearer token instead.",
        )


def _shows_cookie(request: Request, rooms: Rooms) -> bool:
    return bool(auth.session_secrets(rooms.urls, request))


async def _find(endpoint: Endpoint, rooms: Rooms, request: Request, caller: Caller) -> App | None:
    """Check access; the app in the path where the call is its owner's."""
    if endpoint.access is Access.OPERATOR and (caller.principal is None or not caller.principal.is_operator):
        raise SteadyError("not_found", "There is nothing at this address for you.")
    if endpoint.access is Access.KNOWN and caller.principal is None:
        raise SteadyError("unauthorized", "Send “Authorization: Bearer TOKEN”, or log in first.")
    _check_scope(endpoint, caller)
    if endpoint.about_app:
        ours = core.core_of(rooms, caller, request.path_params["name"], endpoint.method, endpoint.path)
        if ours is not None:
            return ours
    if endpoint.access not in (Access.OWNER, Access.READER, Access.OWNER_OF_DELETED):
        return None
    name = request.path_params["name"]
    app = await rooms.apps.by_name(name)
    may_read = endpoint.access is Access.READER and app is not None and app.is_open_source
    if app is None or not (caller.owns(app) or may_read):
        raise await absent(rooms, name, caller)
    if app.suspended and endpoint.changes and endpoint.method != "DELETE":
        raise suspended(app)
    if app.deleted_at is not None and endpoint.access is not Access.OWNER_OF_DELETED:
        raise SteadyError("conflict", f"“{name}” is deleted. Undelete it first: POST /api/apps/{name}/undelete.")
    return app


async def absent(rooms: Rooms, name: str, caller: Caller) -> SteadyError:
    """Why there is no app of that name for who asks: its owner is told what it is called now."""
    renamed_to = await renamed(rooms, name, caller)
    if not renamed_to:
        return no_such_app(name, caller)
    said = f"“{name}” was renamed to “{renamed_to}”: use /api/apps/{renamed_to}."
    return SteadyError("not_found", said, {"name": name, "renamed_to": renamed_to})


async def renamed(rooms: Rooms, name: str, caller: Caller) -> str:
    """What the caller's own app that gave up that name is called now; "" if there is none."""
    former = await rooms.names.former(name, rooms.now()) if caller.principal and not caller.app_id else None
    if former is None or caller.principal is None:
        return ""
    return former.renamed_to if caller.principal.is_operator or caller.principal.id == former.owner_id else ""


def _check_scope(endpoint: Endpoint, caller: Caller) -> None:
    """A token does what it is for. One for a single app is for nothing else, but may ask who it is and look around."""
    if not caller.scope.covers(endpoint.needs):
        need = endpoint.needs
        message = (
            f"This token is for “{caller.scope}”, and this call needs “{need}”. Make another: steadyd token create."
        )
        raise SteadyError("forbidden", message, {"scope": caller.scope, "needs": need})
    if caller.app_id and not endpoint.suits_one_app:
        raise SteadyError("forbidden", "This token is for one app only, and this call is about more than that one.")


def no_such_app(name: str, caller: Caller) -> SteadyError:
    """The same sentence whether the app is absent or somebody else's."""
    shown = name[:60].encode("utf-8", "replace").decode()
    advice = "" if caller.principal else " If it is yours, send its token: “Authorization: Bearer TOKEN”."
    return SteadyError("not_found", f"You have no app called “{shown}”.{advice}", {"name": shown})
