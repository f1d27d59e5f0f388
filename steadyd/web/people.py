"""API calls of people: sign up, log in and out, sessions, a new password."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta
from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.model import Scope
from steadyd.web import auth, schema, shown
from steadyd.web.answers import NO_STORE, json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.entry import Newcomer, change_password, log_in, reset, sign_up

Secret = Annotated[str, Meta(max_length=200)]


class UserBody(schema.Strict):
    """A name by the rules of app names; a password of 8 to 1,024 bytes; the invitation where one is needed."""

    username: str
    password: str
    email: str = ""
    invitation: Secret = ""


class SessionBody(schema.Strict):
    username: str
    password: str


class PasswordBody(schema.Strict):
    """`password` is the new one. Either `reset`, the secret of a reset link, or your `current` password allows it."""

    password: str
    reset: Secret | None = None
    current: str | None = None


class Session(schema.Strict):
    """A browser that is logged in. `current` is the one that asks; `address` is where it logged in from, "" where
    nobody noted that."""

    id: str
    agent: str
    address: str
    current: bool
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class SessionsAnswer(schema.Strict):
    sessions: list[Session]


class EndedAnswer(schema.Strict):
    """How many sessions ended."""

    ended: int


async def make_user(call: Call) -> Response:
    body = await call.body(UserBody)
    new = Newcomer(body.username, body.password, body.email, body.invitation)
    made = await sign_up(call.rooms, call.caller, auth.client_address(call.request), new)
    response = json_answer(await shown.me(call.rooms, made), 201)
    if call.caller.principal is None or not call.caller.principal.is_operator:
        await auth.begin_session(call.rooms, call.request, response, made)
    return response


async def make_session(call: Call) -> Response:
    body = await call.body(SessionBody)
    address = auth.client_address(call.request)
    principal = await log_in(call.rooms, call.caller, address, body.username, body.password)
    response = json_answer(await shown.me(call.rooms, principal), 201)
    await auth.begin_session(call.rooms, call.request, response, principal)
    return response


async def list_sessions(call: Call) -> Response:
    rooms, principal = call.rooms, call.principal
    current = call.caller.secret if call.caller.via == "session" else ""
    found = [
        Session(
            id=session.id,
            agent=shown.clean(session.agent),
            address=shown.clean(session.address),
            current=session.is_of(current),
            created_at=shown.moment(session.created_at),
            expires_at=shown.moment(session.expires_at),
            last_used_at=shown.moment_or_none(session.last_used_at),
        )
        for session in await rooms.people.sessions(principal.id, rooms.now())
    ]
    return json_answer(SessionsAnswer(sessions=found))


async def end_this_session(call: Call) -> Response:
    if call.caller.via == "session":
        await call.rooms.people.end_session(call.caller.secret)
    response = Response(status_code=204, headers=NO_STORE)
    auth.end_session(call.request, response, call.rooms.urls)
    return response


async def end_session(call: Call) -> Response:
    await call.rooms.people.revoke_session(call.principal.id, call.request.path_params["id"])
    return Response(status_code=204, headers=NO_STORE)


async def end_other_sessions(call: Call) -> Response:
    kept = call.caller.secret if call.caller.via == "session" else ""
    ended = await call.rooms.people.end_other_sessions(call.principal.id, kept)
    return json_answer(EndedAnswer(ended=ended))


async def set_password(call: Call) -> Response:
    rooms, body, address = call.rooms, await call.body(PasswordBody), auth.client_address(call.request)
    if (body.reset is None) == (body.current is None):
        raise SteadyError("invalid", "Send “reset” or “current”, one of the two.", {"field": "reset"})
    if body.reset is not None:
        principal = await reset(rooms, address, body.reset, body.password)
    else:
        principal = await change_password(rooms, call.caller, address, body.current or "", body.password)
    return json_answer(await shown.me(rooms, principal))


BODY_ERRORS = tuple("bad_request invalid unsupported_media_type too_large unauthorized".split())
ENDPOINTS = (
    Endpoint(
        method="POST", path="/api/users", handler=make_user, access=Access.ANYONE, status=201, body=UserBody,
        answers=json_of(schema.MeAnswer), summary="Sign up, and be logged in. What you made as a guest is yours.",
        errors=(*BODY_ERRORS, "forbidden", "invalid_name", "name_taken", "rate_limited", "overloaded"),
    ),
    Endpoint(
        method="POST", path="/api/sessions", handler=make_session, access=Access.ANYONE, status=201, body=SessionBody,
        answers=json_of(schema.MeAnswer), summary="Log in: the answer sets a cookie.",
        errors=(*BODY_ERRORS, "suspended", "rate_limited", "overloaded"),
    ),
    Endpoint(
        method="DELETE", path="/api/sessions/current", handler=end_this_session, access=Access.ANYONE, status=204,
        answers={}, summary="Log out.", errors=("unauthorized",), scope=Scope.READ, harmless=True,
    ),
    Endpoint(
        method="GET", path="/api/sessions", handler=list_sessions, access=Access.KNOWN, scope=Scope.ALL,
        answers=json_of(SessionsAnswer), summary="Where you are logged in.", errors=("unauthorized", "forbidden"),
    ),
    Endpoint(
        method="DELETE", path="/api/sessions", handler=end_other_sessions, access=Access.KNOWN,
        answers=json_of(EndedAnswer), summary="Log every browser out but the one that asks.",
        errors=("unauthorized", "forbidden"),
    ),
    Endpoint(
        method="DELETE", path="/api/sessions/{id}", handler=end_session, access=Access.KNOWN, status=204,
        answers={}, summary="Log a browser out from afar.", errors=("unauthorized", "forbidden", "not_found"),
    ),
    Endpoint(
        method="POST", path="/api/passwords", handler=set_password, access=Access.ANYONE, body=PasswordBody,
        answers=json_of(schema.MeAnswer),
        summary="Set a new password by a reset link, or by the current one; your other sessions end.",
        errors=(*BODY_ERRORS, "forbidden", "suspended", "rate_limited", "overloaded"),
    ),
)  # fmt: skip
