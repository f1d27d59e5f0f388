"""The API describes itself: openapi.json for programs, /api/docs for people."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.responses import Response

from steadyd.web.answers import NO_STORE
from steadyd.web.auth import form_token
from steadyd.web.curls import curl
from steadyd.web.endpoint import Access, Call, Endpoint
from steadyd.web.openapi import document
from steadyd.web.templates import render


def endpoints(calls: Sequence[Endpoint], control_url: str) -> tuple[Endpoint, ...]:
    """The two calls that describe `calls` and themselves."""

    async def openapi(call: Call) -> Response:
        return Response(encoded, 200, {"cache-control": "no-cache"}, "application/json")

    async def docs(call: Call) -> Response:
        call.request.state.principal = call.caller.principal
        call.request.state.form_token = form_token(call.request, call.rooms.urls, call.caller)[0]
        who, apps = call.caller.principal, call.rooms.apps
        names = sorted(app.name for app in await apps.of_owner(who.id)) if who is not None else []
        page = render("docs.html", call.request, document=described, lines=lines, names=names)
        return Response(page, 200, NO_STORE, "text/html; charset=utf-8")

    both = (
        Endpoint(
            method="GET", path="/api/openapi.json", handler=openapi, access=Access.ANYONE,
            summary="This description.", answers={"application/json": (dict,)},
        ),
        Endpoint(
            method="GET", path="/api/docs", handler=docs, access=Access.ANYONE,
            summary="This description as a page.", answers={"text/html": (str,)},
        ),
    )  # fmt: skip
    described = document([*calls, *both], control_url)
    parts = described["components"]["schemas"]
    lines = {
        call["operationId"]: curl(control_url, method, path, call, parts)
        for path, methods in described["paths"].items()
        for method, call in methods.items()
    }
    encoded = msgspec.json.format(msgspec.json.encode(described)) + b"\n"
    return both
