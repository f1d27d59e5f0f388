"""API calls about an app's variables, and about the key that seals them. No answer ever shows a value."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, UnsetType
from starlette.responses import Response

from steadyd.variables import Context
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of


class EnvQuery(schema.Strict):
    """Whose values; without it, production's are changed, and all are listed."""

    context: Context | UnsetType = UNSET


class Variable(schema.Strict):
    """`contexts` are those that have a value of their own; the others get production's."""

    secret: bool
    updated_at: datetime
    contexts: list[Context]


class EnvAnswer(schema.Strict):
    """What is set, by name. Values are write-only once stored."""

    env: dict[str, Variable]


class Sealed(schema.Strict):
    """How many values are sealed anew."""

    sealed: int


class SecretsAnswer(schema.Strict):
    secrets: Sealed


async def show_env(call: Call) -> Response:
    context = call.query(EnvQuery).context
    return await _answer(call, None if context is UNSET else context)


async def rotate_secrets(call: Call) -> Response:
    await call.body(schema.Nothing)
    sealed = await call.rooms.library.environment.rotate()
    return json_answer(SecretsAnswer(secrets=Sealed(sealed=sealed)))


ONE = "/api/apps/{name}/env"
ENDPOINTS = (
    Endpoint(
        method="GET", path=ONE, handler=show_env, access=Access.OWNER, query=EnvQuery, answers=json_of(EnvAnswer),
        summary="The names of the app's variables; never a value.",
        errors=("unauthorized", "not_found", "conflict", "invalid"),
    ),
    Endpoint(
        method="POST", path="/api/host/secrets/rotate", handler=rotate_secrets, access=Access.OPERATOR,
        body=schema.Nothing, answers=json_of(SecretsAnswer),
        summary="Seal every app's variables with a new key, in one transaction.",
        errors=tuple(
            "bad_request unauthorized not_found invalid unsupported_media_type too_large secrets_locked disk_full"
            .split()
        ),
    ),
)  # fmt: skip


# Private


async def _answer(call: Call, only: Context | None) -> Response:
    found = await call.rooms.library.environment.shown(call.app.id, only)
    env = {
        name: Variable(secret=told.secret, updated_at=shown.moment(told.updated_at), contexts=list(told.contexts))
        for name, told in found.items()
    }
    return json_answer(EnvAnswer(env=env))
