"""API calls of the operator that take apps out of service, and put them back."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from starlette.responses import Response

from steadyd.model import App, Principal
from steadyd.records.apps import suspending
from steadyd.runner.controller import RESUME, SUSPEND
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, absent, json_of
from steadyd.web.rooms import Rooms

REASON_CHARACTERS_MAX = 500
REASON = "The operator gave no reason."

Reason = Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX, description="What the owner is told.")]


class SuspendBody(schema.Strict):
    """The owner sees the reason; visitors do not."""

    reason: Reason = ""


async def suspend_app(call: Call) -> Response:
    return await _change(call, reason_of(await call.body(SuspendBody)))


async def resume_app(call: Call) -> Response:
    await call.body(schema.Nothing)
    return await _change(call, None)


async def set_suspended(rooms: Rooms, by: Principal, app: App, reason: str | None) -> App:
    """Take an app out of service for `reason`, or put it back."""
    kind = RESUME if reason is None else SUSPEND
    return await rooms.controller.suspension(by, app, kind, suspending(app.id, reason))


def reason_of(body: SuspendBody) -> str:
    """A sentence, whatever was sent."""
    return reason_given(body.reason)


def reason_given(text: str) -> str:
    """A sentence, whatever was typed."""
    return shown.clean(text).strip()[:REASON_CHARACTERS_MAX] or REASON


ONE = "/api/apps/{name}"
ERRORS = tuple(
    "bad_request unauthorized not_found conflict invalid unsupported_media_type too_large overloaded".split()
)
ENDPOINTS = (
    Endpoint(
        method="POST", path=f"{ONE}/suspend", handler=suspend_app, access=Access.OPERATOR, body=SuspendBody,
        answers=json_of(schema.AppAnswer), errors=ERRORS,
        summary="Take an app out of service: it stops, and answers 451 `suspended` until it is resumed.",
    ),
    Endpoint(
        method="POST", path=f"{ONE}/resume", handler=resume_app, access=Access.OPERATOR, body=schema.Nothing,
        answers=json_of(schema.AppAnswer), errors=ERRORS,
        summary="Put a suspended app back, asleep. It stays suspended while its owner is.",
    ),
)  # fmt: skip


# Private


async def _change(call: Call, reason: str | None) -> Response:
    rooms, name = call.rooms, call.request.path_params["name"]
    app = await rooms.apps.by_name(name)
    if app is None:
        raise await absent(rooms, name, call.caller)
    changed = await set_suspended(rooms, call.principal, app, reason)
    return json_answer(schema.AppAnswer(app=await shown.app(rooms, changed)))
