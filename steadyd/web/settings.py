"""API calls about an app's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET
from msgspec.structs import asdict
from starlette.responses import Response

from steadyd.model import App, Choices
from steadyd.settings import change
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.rooms import Rooms


async def show_settings(call: Call) -> Response:
    return json_answer(shown.settings(call.rooms, call.app))


async def change_settings(call: Call) -> Response:
    body = await call.body(schema.SettingsBody)
    wishes = {name: value for name, value in asdict(body).items() if value is not UNSET}
    return json_answer(shown.settings(call.rooms, await choose(call.rooms, call.app, wishes)))


async def choose(rooms: Rooms, app: App, wishes: Mapping[str, Any]) -> App:
    """Set what the owner wishes and make it true; returns the app as it is then.

    Raises:
        SteadyError: `invalid`, naming the field, and the ceiling where it is too much.
    """

    def chosen(before: Choices) -> Choices:
        rooms.apps.policy.check(change(Choices(), wishes), app.owner_kind)
        return change(before, wishes)

    await rooms.apps.choose(app.id, chosen)
    await rooms.fleet.apply(app)
    return await rooms.apps.by_id(app.id) or app


ONE = "/api/apps/{name}/settings"
ENDPOINTS = (
    Endpoint(
        method="GET", path=ONE, handler=show_settings, access=Access.OWNER, answers=json_of(schema.SettingsAnswer),
        summary="What the app may use and reach, who said so, and how far it may go.",
        errors=("unauthorized", "not_found", "conflict"),
    ),
    Endpoint(
        method="PATCH", path=ONE, handler=change_settings, access=Access.OWNER, body=schema.SettingsBody,
        summary="Change settings of a running app without losing a request; `null` takes a choice back.",
        answers=json_of(schema.SettingsAnswer),
        errors=tuple(
            "bad_request unauthorized not_found conflict invalid unsupported_media_type too_large".split()
        ),
    ),
)  # fmt: skip
