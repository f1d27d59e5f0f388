"""API calls about notices: whether they arrive."""

from __future__ import annotations

from starlette.responses import Response

from steadyd.model import App, Principal
from steadyd.notices import Sent
from steadyd.web import auth, schema
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.rooms import Rooms


class SentNotice(schema.Strict):
    """A notice that was taken: by which host, with which status."""

    host: str
    status: int


class SentAnswer(schema.Strict):
    sent: SentNotice


async def test_mine(call: Call) -> Response:
    return await _test(call, None)


async def test_apps(call: Call) -> Response:
    return await _test(call, call.app)


async def send_test(rooms: Rooms, principal: Principal, app: App | None, address: str) -> Sent:
    """Send a test notice on behalf of a client at `address`.

    Raises:
        SteadyError: `rate_limited`; `invalid` if there is no address; `notify_failed` with the reason.
    """
    rooms.tests.take(address, rooms.now())
    return await rooms.notices.test(principal, app)


# Private


async def _test(call: Call, app: App | None) -> Response:
    await call.body(schema.Nothing)
    principal = call.caller.principal
    assert principal is not None
    sent = await send_test(call.rooms, principal, app, auth.client_address(call.request))
    return json_answer(SentAnswer(sent=SentNotice(host=sent.host, status=sent.status)))


SENDING = tuple("unauthorized invalid notify_failed rate_limited unsupported_media_type too_large".split())
ENDPOINTS = (
    Endpoint(
        method="POST", path="/api/me/notify/test", handler=test_mine, access=Access.KNOWN, body=schema.Nothing,
        answers=json_of(SentAnswer), summary="Send a test notice to your address; says what became of it.",
        errors=SENDING,
    ),
    Endpoint(
        method="POST", path="/api/apps/{name}/notify/test", handler=test_apps, access=Access.OWNER,
        body=schema.Nothing, answers=json_of(SentAnswer), errors=(*SENDING, "not_found", "conflict"),
        summary="Send a test notice to where notices about the app go; says what became of it.",
    ),
)  # fmt: skip
