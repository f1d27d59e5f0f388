"""The API call that asks an app something, as a visitor would, and tells all about the answer."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from msgspec import Meta, field
from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.runner.tries import PATH_CHARACTERS_MAX, Asking, Tried, Tries
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.shown import clean


class TryBody(schema.Strict):
    """A request to the app; with `preview`, to the draft that runs. `path` may have a query."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"] = "GET"
    path: Annotated[str, Meta(max_length=PATH_CHARACTERS_MAX)] = "/"
    headers: dict[str, str] = field(default_factory=dict)
    body: str | schema.Base64 | None = None
    preview: bool = False


class Field(schema.Strict):
    """One header."""

    name: str
    value: str


class Timing(schema.Strict):
    """Milliseconds: until an instance was there, of which `start_ms` for an app that slept, and until the answer was
    complete."""

    gate_ms: float
    start_ms: float | None
    app_ms: float


class Refusal(schema.Strict):
    """Why it is the platform that answered."""

    code: str
    message: str


class Answer(schema.Strict):
    """`body` is the text, or its bytes where it is none, up to where it was `truncated`. `logs` is what the app wrote
    meanwhile, whoever asked it."""

    status: int
    headers: list[Field]
    body: str | schema.Base64
    truncated: bool
    ms: float
    timing: Timing
    request_id: str
    version: int
    logs: list[schema.LogLine]
    error: Refusal | None


class TryAnswer(schema.Strict):
    answer: Answer


async def try_it(call: Call) -> Response:
    body = await call.body(TryBody)
    asking = Asking(body.method, body.path, body.headers, _bytes(body.body))
    rooms = call.rooms
    tries = Tries(rooms.fleet, rooms.previews, rooms.record)
    async with rooms.tries():
        tried = await (tries.ask_draft if body.preview else tries.ask)(call.app, asking)
    return json_answer(TryAnswer(answer=_answer(tried)))


ENDPOINTS = (
    Endpoint(
        method="POST", path="/api/apps/{name}/try", handler=try_it, access=Access.OWNER, body=TryBody,
        summary="Ask the app something, as a visitor would. It wakes, and the request stands in its log.",
        answers=json_of(TryAnswer),
        errors=("unauthorized", "not_found", "conflict", "cross_site", "invalid", "overloaded"),
    ),
)  # fmt: skip


# Private


def _bytes(body: str | schema.Base64 | None) -> bytes:
    if body is None or isinstance(body, str):
        return (body or "").encode("utf-8", "replace")
    try:
        return base64.b64decode(body.base64, validate=True)
    except binascii.Error:
        raise SteadyError("invalid", "“body” is not base64.", {"field": "body"}) from None


def _answer(tried: Tried) -> Answer:
    ms, gate, app = (round(value, 1) for value in (tried.ms, tried.gate_ms, tried.app_ms))
    return Answer(
        status=tried.status,
        headers=[Field(name=clean(name), value=clean(value)) for name, value in tried.headers],
        body=_text(tried),
        truncated=tried.truncated,
        ms=ms,
        timing=Timing(gate_ms=gate, start_ms=gate if tried.start_ms is not None else None, app_ms=app),
        request_id=tried.request_id,
        version=tried.version,
        logs=[shown.log_line(line) for line in tried.lines],
        error=Refusal(code=tried.error[0], message=tried.error[1]) if tried.error else None,
    )


def _text(tried: Tried) -> str | schema.Base64:
    """What is cut in the middle of a character is a text too."""
    try:
        text = tried.body.decode()
    except UnicodeDecodeError as error:
        if not tried.truncated or error.start < len(tried.body) - 3:
            return schema.Base64(base64=base64.b64encode(tried.body).decode())
        text = tried.body[: error.start].decode()
    return text if "\0" not in text else schema.Base64(base64=base64.b64encode(tried.body).decode())
