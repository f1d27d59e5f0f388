"""API calls about an app's variables, and about the key that seals them. No answer ever shows a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.model import App, Event, Principal, Version
from steadyd.runner.start import Plan
from steadyd.variables import PRODUCTION, Change, Context, Value, change_in, check_name, check_text
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.rooms import Rooms
from steadyd.web.schema import EnvValue


class EnvQuery(schema.Strict):
    """Whose values; without it, production's are changed, and all are listed."""

    context: Context | UnsetType = UNSET


Values = dict[str, str | EnvValue | None]
"""What is set, by name; `null` removes."""


class Variable(schema.Strict):
    """`contexts` are those that have a value of their own; the others get production's. None at all: only the name is
    known, from the app that this one is a remix of."""

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


async def replace_env(call: Call) -> Response:
    return await _change(call, whole=True)


async def change_env(call: Call) -> Response:
    return await _change(call, whole=False)


async def apply(rooms: Rooms, by: Principal, app: App, change: Change) -> None:
    """Make a change true: of production's values with a fresh instance, which must start; nothing, if nothing differs.

    Raises:
        SteadyError: `deploy_failed` where it does not start that way, `too_large`, `secrets_locked`: nothing is changed
            then.
    """
    environment = rooms.library.environment
    if not await environment.differs(app.id, change):
        return

    async def plan(app: App, version: Version) -> Plan:
        return await rooms.fleet.ground.plan(replace(app, variables=change), version)

    write = environment.change(app.id, change, by, rooms.now())
    if PRODUCTION in change.contexts:
        await rooms.controller.change(by, app, KIND, plan, write)
    else:
        await rooms.controller.record(by, app, KIND, write)
    rooms.fleet.note(app.id, Event(rooms.now(), KIND, _told(change)))


def read(said: Mapping[str, Any], bytes_max: int) -> dict[str, Value | None]:
    """Values as they were sent: a text, or `{"value", "secret"?}`, or null.

    Raises:
        SteadyError: `invalid` or `too_large`, naming the variable and never its value.
    """
    values: dict[str, Value | None] = {}
    for name, sent in said.items():
        check_name(name)
        try:
            given = msgspec.convert(sent, str | EnvValue | None)
        except msgspec.ValidationError as error:
            advice = 'Send a text, {"value": "…", "secret": true}, or null to remove it.'
            raise SteadyError("invalid", f"“{name}”: {error}. {advice}", {"name": name}) from None
        if isinstance(given, EnvValue):
            secret = None if given.secret is UNSET else given.secret
            values[name] = Value(check_text(name, given.value, bytes_max), secret)
        else:
            values[name] = None if given is None else Value(check_text(name, given, bytes_max))
    return values


async def rotate_secrets(call: Call) -> Response:
    await call.body(schema.Nothing)
    sealed = await call.rooms.library.environment.rotate()
    return json_answer(SecretsAnswer(secrets=Sealed(sealed=sealed)))


KIND = "environment"
NAMES_TOLD_MAX = 20
"""Of each kind, in the event that tells of a change."""
ONE = "/api/apps/{name}/env"
ERRORS = tuple(
    "bad_request unauthorized not_found conflict invalid unsupported_media_type too_large deploy_failed secrets_locked "
    "disk_full overloaded shutting_down cancelled".split()
)
ENDPOINTS = (
    Endpoint(
        method="GET", path=ONE, handler=show_env, access=Access.OWNER, query=EnvQuery, answers=json_of(EnvAnswer),
        summary="The names of the app's variables; never a value.",
        errors=("unauthorized", "not_found", "conflict", "invalid"),
    ),
    Endpoint(
        method="PUT", path=ONE, handler=replace_env, access=Access.OWNER, query=EnvQuery, body=Values,
        answers=json_of(EnvAnswer), errors=ERRORS,
        summary="Replace all variables (of `context`) with a fresh instance; if it does not start, nothing changes.",
    ),
    Endpoint(
        method="PATCH", path=ONE, handler=change_env, access=Access.OWNER, query=EnvQuery, body=Values,
        answers=json_of(EnvAnswer), errors=ERRORS,
        summary="Change some; `null` removes. What is stored already changes nothing and starts nothing.",
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


async def _change(call: Call, whole: bool) -> Response:
    context = call.query(EnvQuery).context
    said = _unwrapped(await call.body(dict[str, Any]))
    values = read(said, call.rooms.env_value_bytes)
    change = change_in(PRODUCTION if context is UNSET else context, values, whole)
    await apply(call.rooms, call.principal, call.app, change)
    await call.rooms.library.blanks.drop(call.app.id, values)
    return await _answer(call, None if context is UNSET else context)


def _unwrapped(said: dict[str, Any]) -> dict[str, Any]:
    """The values, also where they come as they are answered and as a new app takes them: under `env`."""
    inner = said.get("env") if len(said) == 1 else None
    return inner if isinstance(inner, dict) and "value" not in inner else said


def _told(change: Change) -> str:
    """Names only."""
    done: dict[str, list[str]] = {"set": [], "removed": []}
    for (context, name), value in sorted(change.values.items()):
        where = "" if context == PRODUCTION else f" ({context})"
        done["set" if value is not None else "removed"].append(f"{name}{where}")
    parts = [f"{verb}: {', '.join(names[:NAMES_TOLD_MAX])}{_more(names)}" for verb, names in done.items() if names]
    parts += [f"all others of {', '.join(sorted(change.whole))} removed"] if change.whole else []
    return f"Variables {'; '.join(parts)}."


def _more(names: list[str]) -> str:
    return f" and {len(names) - NAMES_TOLD_MAX} more" if len(names) > NAMES_TOLD_MAX else ""


async def _answer(call: Call, only: Context | None) -> Response:
    found = await call.rooms.library.environment.shown(call.app.id, only)
    env = {
        name: Variable(secret=told.secret, updated_at=shown.moment(told.updated_at), contexts=list(told.contexts))
        for name, told in found.items()
    }
    blanks = await call.rooms.library.blanks.of(call.app.id) if only is None else {}
    for name, blank in blanks.items():
        env.setdefault(name, Variable(secret=blank.secret, updated_at=shown.moment(blank.at), contexts=[]))
    return json_answer(EnvAnswer(env=env))
