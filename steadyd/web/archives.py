"""The API call that gives an app as one file: its versions, what is set of it and, on wish, its data."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from steadyd import model
from steadyd.appfile import SUFFIX, TYPE
from steadyd.web import schema
from steadyd.web.answers import NO_STORE
from steadyd.web.endpoint import Access, Call, Endpoint
from steadyd.web.forks import past_of


class ArchiveQuery(schema.Strict):
    """With `data`, its databases and other files too, as they are now or were `at` a moment."""

    data: bool = False
    at: str = ""


async def archive_app(call: Call) -> Response:
    query, app = call.query(ArchiveQuery), call.app
    past = await past_of(call, query.at)
    headers = {**NO_STORE, "content-disposition": f'attachment; filename="{app.name}{SUFFIX}"'}
    if call.request.method == "HEAD":
        return Response(None, 200, headers, TYPE)
    stack = contextlib.AsyncExitStack()
    made = call.rooms.archives.of(call.principal, app, query.data or past is not None, past)
    _, pieces = await stack.enter_async_context(made)
    return _Sending(pieces, stack, headers)


ENDPOINTS = (
    Endpoint(
        method="GET", path="/api/apps/{name}/archive", handler=archive_app, access=Access.OWNER, query=ArchiveQuery,
        scope=model.Scope.DEPLOY,
        summary="The app as one file: every version that is kept, settings, crons, names of variables, and with "
        "`data=1` what it wrote, as of one moment. To be sent to `POST /api/apps` here or elsewhere.",
        answers={TYPE: (bytes,)},
        errors=tuple(
            "unauthorized not_found suspended conflict too_large disk_full overloaded not_reachable backup_broken "
            "replica_away replica_refused".split()
        ),
    ),
)  # fmt: skip


# Private


class _Sending(StreamingResponse):
    """What is sent lies on the disk until the last byte has left, or whoever asked."""

    def __init__(
        self, pieces: AsyncIterator[bytes], behind: contextlib.AsyncExitStack, headers: dict[str, str]
    ) -> None:
        super().__init__(pieces, 200, headers, TYPE)
        self._behind = behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._behind:
            await super().__call__(scope, receive, send)
