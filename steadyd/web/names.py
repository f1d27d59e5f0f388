"""API calls about an app's name."""

from __future__ import annotations

from starlette.responses import Response

from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of


class RenameBody(schema.Strict):
    """The new name."""

    name: str


async def rename_app(call: Call) -> Response:
    body = await call.body(RenameBody)
    app = await call.rooms.identity.rename(call.principal, call.app, body.name)
    return json_answer(schema.AppAnswer(app=await shown.app(call.rooms, app)))


ENDPOINTS = (
    Endpoint(
        method="POST", path="/api/apps/{name}/rename", handler=rename_app, access=Access.OWNER, body=RenameBody,
        summary="Give the app another name. The old one leads on to it, and is kept from others for a while.",
        answers=json_of(schema.AppAnswer),
        errors=tuple(
            "bad_request unauthorized not_found cross_site conflict name_taken invalid invalid_name deploy_failed "
            "secrets_locked unsupported_media_type too_large".split()
        ),
    ),
)  # fmt: skip
