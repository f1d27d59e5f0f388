"""API calls about an app's preview: the draft that runs beside what is live."""

from __future__ import annotations

import time
from datetime import datetime

from starlette.responses import Response

from steadyd.runner.logs import LogLine
from steadyd.runner.preview import Preview as Running
from steadyd.runner.previews import Wish
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.body import JSON_BYTES_MAX
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.logs import LOGS
from steadyd.web.streams import endpoint, parse_since, stream
from steadyd.web.upload import content_of


class PreviewBody(schema.Strict):
    """With `merge`, `files` is what differs from the live version and `null` deletes one; without it, the whole app.
    `fresh` says whether the draft runs on a new copy of the data, or on what the last preview left; without it the copy
    is new where the app's databases have changed since."""

    files: dict[str, str | schema.Base64 | None]
    merge: bool = False
    fresh: bool | None = None


class Preview(schema.Strict):
    """Whoever has `url` may open it, until `expires_at`, which each request puts off. `started_ms` is from the call to
    the moment at which it listened. `death` says why it does not run any more."""

    url: str
    expires_at: datetime
    started_ms: float
    base_version: int
    fresh: bool
    notes: list[str]
    death: str


class PreviewAnswer(schema.Strict):
    preview: Preview


class PreviewOrNone(schema.Strict):
    preview: Preview | None


class PreviewLogsAnswer(schema.Strict):
    logs: list[schema.LogLine]


async def start_preview(call: Call) -> Response:
    rooms = call.rooms
    body = await call.body(PreviewBody, min(JSON_BYTES_MAX, rooms.body_bytes_max))
    files = {path: content_of(path, value) for path, value in body.files.items()}
    call.holding.take(sum(len(content or b"") for content in files.values()))
    await rooms.household.check_room(call.principal, (content for content in files.values() if content is not None))
    found = await rooms.previews.start(call.app, Wish(files, body.merge, body.fresh))
    return json_answer(PreviewAnswer(preview=_shown(call, found)), 201)


async def see_preview(call: Call) -> Response:
    found = call.rooms.previews.of(call.app.id)
    return json_answer(PreviewOrNone(preview=_shown(call, found) if found is not None else None))


async def end_preview(call: Call) -> Response:
    await call.rooms.previews.end(call.app.id)
    return Response(status_code=204)


async def preview_logs(call: Call) -> Response:
    return await stream(call, LINES)


# Private


async def _past(call: Call, query: schema.TailQuery) -> list[LogLine]:
    scroll = call.rooms.previews.scrolls.of(call.app.id)
    return scroll.tail(query.tail, parse_since(query.since), query.q) if scroll is not None else []


LINES = LOGS.of(
    query=schema.TailQuery, feed=lambda call: call.rooms.previews.scrolls.feed, past=_past,
    takes=lambda query, line: query.q in line.text, answer=lambda lines: PreviewLogsAnswer(logs=lines),
)  # fmt: skip

PREVIEW = "/api/apps/{name}/preview"
ERRORS = ("unauthorized", "not_found", "conflict")
ENDPOINTS = (
    Endpoint(
        method="POST", path=PREVIEW, handler=start_preview, access=Access.OWNER, status=201, body=PreviewBody,
        summary="Run a draft beside what is live, on a copy of the data, at a URL of its own. Nothing goes live.",
        answers=json_of(PreviewAnswer),
        errors=(
            *ERRORS, "cross_site", "invalid_path", "no_entry", "deploy_failed", "secrets_locked", "cancelled",
            "forbidden", "overloaded", "disk_full", "shutting_down",
        ),
    ),
    Endpoint(
        method="GET", path=PREVIEW, handler=see_preview, access=Access.OWNER, answers=json_of(PreviewOrNone),
        summary="The draft that runs, or null.", errors=ERRORS,
    ),
    Endpoint(
        method="DELETE", path=PREVIEW, handler=end_preview, access=Access.OWNER, status=204, answers={},
        summary="End the draft, whether it runs or starts. Its copy of the data goes.", errors=ERRORS,
    ),
    endpoint(
        "preview/logs", preview_logs, "What the draft wrote. It is no part of the app's log.", schema.TailQuery,
        (schema.LogLine, PreviewLogsAnswer),
    ),
)  # fmt: skip


def _shown(call: Call, found: Running) -> Preview:
    started = found.started
    return Preview(
        url=call.rooms.previews.url(found),
        expires_at=shown.moment(time.time() + found.ends_at - time.monotonic()),
        started_ms=round(started.ms, 1),
        base_version=started.base_version,
        fresh=started.fresh,
        notes=list(started.notes),
        death=found.death,
    )
