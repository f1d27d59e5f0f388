"""API calls about one's own bearer tokens: list, make, revoke."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta
from starlette.responses import Response

from steadyd.model import Scope
from steadyd.records import tokens
from steadyd.records.tokens import LABEL_CHARACTERS_MAX, Wish
from steadyd.web import schema, shown
from steadyd.web.answers import NO_STORE, json_answer
from steadyd.web.auth import Caller
from steadyd.web.endpoint import Access, Call, Endpoint, json_of, no_such_app
from steadyd.web.rooms import Rooms

EXPIRY_DAYS_MAX = 3_650


class TokenBody(schema.Strict):
    """`scope`: `read` looks, `deploy` also changes apps, `all` is everything you may. `app`: only for this one."""

    label: Annotated[str, Meta(min_length=1, max_length=LABEL_CHARACTERS_MAX)]
    scope: Scope = Scope.ALL
    app: str | None = None
    expires_in_days: Annotated[int, Meta(ge=1, le=EXPIRY_DAYS_MAX, description="Without it, never.")] | None = None


class Token(schema.Strict):
    """A token without its secret. `id` is the head of the secret's SHA-256 in hexadecimal; `app` is the one app that it
    is for, or null."""

    id: str
    label: str
    scope: Scope
    app: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewToken(schema.Strict):
    """`secret` is what is sent as `Authorization: Bearer`; it is shown this once."""

    token: Token
    secret: str


class TokensAnswer(schema.Strict):
    tokens: list[Token]


async def list_tokens(call: Call) -> Response:
    found = await call.rooms.library.tokens.of(call.principal.id)
    return json_answer(TokensAnswer(tokens=[_shown(token) for token in found]))


async def make_token(call: Call) -> Response:
    secret, token = await grant(call.rooms, call.caller, await call.body(TokenBody))
    return json_answer(NewToken(token=_shown(token), secret=secret), 201)


async def grant(rooms: Rooms, caller: Caller, body: TokenBody) -> tuple[str, tokens.Token]:
    """A new token of the caller's: its secret, and what is known of it.

    Raises:
        SteadyError: `not_found` for an app that is not theirs, `conflict` for one token too many.
    """
    assert caller.principal is not None
    now = rooms.now()
    expires_at = None if body.expires_in_days is None else now + body.expires_in_days * 86_400.0
    wish = Wish(shown.clean(body.label), body.scope, await _app_id(rooms, caller, body.app), expires_at)
    return await rooms.library.tokens.add(caller.principal, wish, now)


async def revoke_token(call: Call) -> Response:
    await call.rooms.library.tokens.revoke(call.principal.id, call.request.path_params["id"])
    return Response(status_code=204, headers=NO_STORE)


ALL = "/api/tokens"
ENDPOINTS = (
    Endpoint(
        method="GET", path=ALL, handler=list_tokens, access=Access.KNOWN, scope=Scope.ALL,
        answers=json_of(TokensAnswer), summary="Your tokens, newest first.", errors=("unauthorized", "forbidden"),
    ),
    Endpoint(
        method="POST", path=ALL, handler=make_token, access=Access.KNOWN, status=201, body=TokenBody,
        answers=json_of(NewToken), summary="A new token; its secret is shown once.",
        errors=tuple(
            "bad_request invalid unsupported_media_type too_large unauthorized forbidden not_found conflict".split()
        ),
    ),
    Endpoint(
        method="DELETE", path=f"{ALL}/{{id}}", handler=revoke_token, access=Access.KNOWN, status=204,
        answers={}, summary="Revoke a token, at once.", errors=("unauthorized", "forbidden", "not_found"),
    ),
)  # fmt: skip


# Private


async def _app_id(rooms: Rooms, caller: Caller, name: str | None) -> str | None:
    if name is None:
        return None
    app = await rooms.apps.by_name(name)
    if app is None or not caller.owns(app):
        raise no_such_app(name, caller)
    return app.id


def _shown(token: tokens.Token) -> Token:
    return Token(
        id=token.id,
        label=token.label,
        scope=token.scope,
        app=token.app_name,
        created_at=shown.moment(token.created_at),
        expires_at=shown.moment_or_none(token.expires_at),
        last_used_at=shown.moment_or_none(token.last_used_at),
    )
