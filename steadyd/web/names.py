"""API calls about an app's name."""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from steadyd.model import App, Event, Principal
from steadyd.runner.app import AT_REST
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.rooms import Rooms


class RenameBody(schema.Strict):
    """The new name."""

    name: str


async def rename_app(call: Call) -> Response:
    body = await call.body(RenameBody)
    assert call.caller.principal is not None
    app = await asyncio.shield(rename(call.rooms, call.caller.principal, call.app, body.name))
    return json_answer(schema.AppAnswer(app=await shown.app(call.rooms, app)))


async def rename(rooms: Rooms, by: Principal, app: App, name: str) -> App:
    """Give an app another name, and a fresh instance that knows it. The old name leads on to it for a while.

    Raises:
        SteadyError: `invalid_name` or `name_taken`; nothing is changed.
    """
    if name == app.name:
        return app
    runtime = await rooms.fleet.add(app)
    async with runtime.operation:
        await rooms.apps.write(rooms.names.rename(app.id, name, rooms.now()))
        await rooms.fleet.publish_routes()
        if runtime.state in AT_REST:
            runtime.plan = None
        else:
            async with runtime.swap():
                runtime.plan = None
    rooms.fleet.note(app.id, Event(rooms.now(), "rename", f"Renamed from “{app.name}” to “{name}” by {by.name}."))
    return await rooms.apps.by_id(app.id) or app


ENDPOINTS = (
    Endpoint(
        method="POST", path="/api/apps/{name}/rename", handler=rename_app, access=Access.OWNER, body=RenameBody,
        summary="Give the app another name. The old one leads on to it, and is kept from others for a while.",
        answers=json_of(schema.AppAnswer),
        errors=tuple(
            "bad_request unauthorized not_found cross_site conflict name_taken invalid invalid_name "
            "unsupported_media_type too_large".split()
        ),
    ),
)  # fmt: skip
