"""API calls about an app's REPL: one answer that goes on as long as the REPL lives, and a call for each entry."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from starlette.responses import Response

from steadyd.runner.repl import Repl
from steadyd.web import schema
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.following import Following


class ReplEvent(schema.Strict):
    """`ready` with the `session` to send entries to; `output` is what was printed; each entry is followed by one of
    `value`, `nothing`, `error` and `incomplete` (send it again with more); `ended` says why."""

    event: str
    text: str = ""
    session: str = ""


class ReplEntry(schema.Strict):
    """TypeScript, with `await` and imports as they are written in a module."""

    code: str


async def open_repl(call: Call) -> Response:
    await call.body(schema.Nothing)
    assert call.caller.principal is not None
    repl = await call.rooms.workshop.repls.open(call.app, call.caller.principal.id)
    return Following(_lines(repl), lambda: repl.end_soon("Its connection ended."), "application/x-ndjson")


async def enter(call: Call) -> Response:
    body = await call.body(ReplEntry)
    assert call.caller.principal is not None
    repl = call.rooms.workshop.repls.find(call.app, call.caller.principal.id, call.request.path_params["session"])
    await repl.evaluate(body.code)
    return json_answer(schema.Nothing())


ALL = "/api/apps/{name}/repl"
ERRORS = (
    "bad_request", "unauthorized", "not_found", "conflict", "cross_site", "invalid", "too_large",
    "unsupported_media_type",
)  # fmt: skip
ENDPOINTS = (
    Endpoint(
        method="POST", path=ALL, handler=open_repl, access=Access.OWNER, body=schema.Nothing,
        answers={"application/x-ndjson": (ReplEvent,)}, errors=(*ERRORS, "forbidden", "overloaded", "cannot_start"),
        summary="A TypeScript REPL beside the app's databases. It lives until this answer ends, or the app is swapped.",
    ),
    Endpoint(
        method="POST", path=f"{ALL}/{{session}}", handler=enter, access=Access.OWNER, body=ReplEntry,
        answers=json_of(schema.Nothing), errors=ERRORS,
        summary="Have an entry evaluated; what comes of it is told where the REPL was opened.",
    ),
)  # fmt: skip


# Private


async def _lines(repl: Repl) -> AsyncIterator[bytes]:
    yield _line(ReplEvent(event="ready", session=repl.id, text=f"version {repl.plan.version}"))
    async for said in repl.events():
        yield _line(ReplEvent(event=said.event, text=said.text))


def _line(event: ReplEvent) -> bytes:
    return msgspec.json.encode(event) + b"\n"
