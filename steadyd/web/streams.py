"""An app's log, requests and events: the past, and with `follow` what comes, as text, NDJSON or server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from steadyd import model
from steadyd.errors import SteadyError
from steadyd.feed import Feed, Subscription
from steadyd.records.requests import Request as Asked
from steadyd.runner.logs import LogLine
from steadyd.web import schema, shown
from steadyd.web.answers import NO_STORE, json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, Handler
from steadyd.web.following import KEEP_ALIVE_SECONDS, Following, server_sent
from steadyd.web.safetext import visible

T = TypeVar("T")

FOLLOW_BATCH_MAX = 512
"""Items that are sent in one piece."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How one sort of item is found and shown. `words` is what `q` looks at."""

    event: str
    feed: Callable[[Call], Feed[T]]
    past: Callable[[Call, int, float | None, str], Awaitable[list[T]]]
    struct: Callable[[T], msgspec.Struct]
    line: Callable[[T], str]
    words: Callable[[T], str]
    at: Callable[[T], float]
    answer: Callable[[list[Any]], msgspec.Struct]

    def of(
        self,
        feed: Callable[[Call], Feed[T]],
        past: Callable[[Call, int, float | None, str], Awaitable[list[T]]],
    ) -> Kind[T]:
        """The same sort of item, from elsewhere."""
        return replace(self, feed=feed, past=past)


async def logs(call: Call) -> Response:
    return await stream(call, LOGS)


async def requests(call: Call) -> Response:
    return await stream(call, REQUESTS)


async def events(call: Call) -> Response:
    return await stream(call, EVENTS)


async def stream(call: Call, kind: Kind[T]) -> Response:
    """What the query asks for of one kind, in the form that the client accepts."""
    query = call.query(schema.TailQuery)
    since = parse_since(query.since or call.request.headers.get("last-event-id", ""))
    media_type = _media_type(call.request)
    subscription = kind.feed(call).subscribe(call.app.id) if query.follow else None
    try:
        past = await kind.past(call, query.tail, since, query.q)
    except BaseException:
        if subscription is not None:
            subscription.close()
        raise
    if subscription is not None:
        if media_type == "application/json":
            media_type = "application/x-ndjson"
        chunks = _follow(kind, past, subscription, media_type, query.q)
        return Following(chunks, subscription.close, media_type)
    if media_type == "application/json":
        return json_answer(kind.answer([kind.struct(item) for item in past]))
    return Response(_encode(kind, past, media_type), 200, NO_STORE, media_type)


def parse_since(text: str) -> float | None:
    """ISO 8601 (UTC unless it says otherwise) or seconds since 1970, as seconds.

    Raises:
        SteadyError: `invalid`.
    """
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.replace(" ", "+") if text.count(" ") == 1 and "T" in text else text)
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            seconds = float("nan")
    if not 0 <= seconds < 253402300800:  # the year 10000; also refuses nan
        raise SteadyError("invalid", "“since” is a time such as 2026-01-31T12:00:00Z, or seconds since 1970.")
    return seconds


def past_events(found: list[tuple[int, model.Event]], since: float | None, q: str) -> list[model.Event]:
    """Events without their ids, those after `since` that contain `q`."""
    return [
        event for _, event in found if (since is None or event.at >= since) and q in f"{event.kind} {event.message}"
    ]


def endpoint(path: str, handler: Handler, summary: str, types: tuple[Any, Any]) -> Endpoint:
    """A call that streams; `types` are those of an item and of the JSON answer."""
    item, answer = types
    return Endpoint(
        method="GET", path=f"/api/apps/{{name}}/{path}", handler=handler, access=Access.OWNER_OF_DELETED,
        summary=summary, query=schema.TailQuery,
        answers={
            "text/plain": (str,), "application/x-ndjson": (item,), "text/event-stream": (item,),
            "application/json": (answer,),
        },
        errors=("unauthorized", "not_found", "invalid", "overloaded"),
    )  # fmt: skip


# Private


async def _past_requests(call: Call, count: int, since: float | None, q: str) -> list[Asked]:
    wanted = count if since is None and not q else schema.TAIL_LINES_MAX
    found = await call.rooms.requests.tail(call.app.id, wanted)
    kept = [item for item in found if (since is None or item.at >= since) and q in _request_words(item)]
    return kept[len(kept) - count :] if count < len(kept) else kept


async def _past_events(call: Call, count: int, since: float | None, q: str) -> list[model.Event]:
    wanted = count if since is None and not q else schema.TAIL_LINES_MAX
    kept = past_events(await call.rooms.journal.events(call.app.id, wanted), since, q)
    return kept[len(kept) - count :] if count < len(kept) else kept


async def _past_logs(call: Call, count: int, since: float | None, q: str) -> list[LogLine]:
    return await call.rooms.logs.tail(call.app.id, count, since, q or None) if count else []


def _request_words(item: Asked) -> str:
    return f"{item.method} {item.path} {item.status} {item.error}"


def _log_text(item: LogLine) -> str:
    mark = "|" if item.source == "app" else "#"
    return f"{_stamp(item.at)} v{item.version} {mark} {visible(item.text)}"


def _request_text(item: Asked) -> str:
    error = f" {item.error}" if item.error else ""
    took = f"{item.total_us / 1000:.1f} ms"
    return f"{_stamp(item.at)} {visible(item.method)} {visible(item.path)} {item.status} {took} {item.client}{error}"


def _event_text(item: model.Event) -> str:
    return f"{_stamp(item.at)} {item.kind}: {visible(item.message)}"


def _stamp(at: float) -> str:
    return shown.moment(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


LOGS: Kind[LogLine] = Kind(
    "log", lambda call: call.rooms.logs.feed, _past_logs, shown.log_line, _log_text, lambda line: line.text,
    lambda line: line.at, lambda items: schema.LogsAnswer(logs=items),
)  # fmt: skip
REQUESTS: Kind[Asked] = Kind(
    "request", lambda call: call.rooms.requests.feed, _past_requests, shown.request, _request_text, _request_words,
    lambda item: item.at, lambda items: schema.RequestsAnswer(requests=items),
)  # fmt: skip
EVENTS: Kind[model.Event] = Kind(
    "event", lambda call: call.rooms.fleet.events, _past_events, shown.event, _event_text,
    lambda event: f"{event.kind} {event.message}", lambda event: event.at,
    lambda items: schema.EventsAnswer(events=items),
)  # fmt: skip


def _media_type(request: Request) -> str:
    accept = request.headers.get("accept", "")
    for media_type in ("text/event-stream", "application/x-ndjson", "application/json"):
        if media_type in accept:
            return media_type
    return "text/plain"


def _encode(kind: Kind[T], items: list[T], media_type: str) -> bytes:
    if media_type == "text/event-stream":
        return b"".join(server_sent(kind.event, kind.struct(item), f"{kind.at(item):.6f}") for item in items)
    if media_type == "application/x-ndjson":
        return b"".join(msgspec.json.encode(kind.struct(item)) + b"\n" for item in items)
    return "".join(kind.line(item) + "\n" for item in items).encode("utf-8", "replace")


async def _follow(
    kind: Kind[T], past: list[T], subscription: Subscription[T], media_type: str, q: str
) -> AsyncIterator[bytes]:
    """The past, then what comes. What was published while the past was read is in both, and told once."""
    yield _encode(kind, past, media_type)
    overlap = True
    while True:
        try:
            # Not wait_for: before Python 3.12 it may swallow the cancellation that ends this.
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                items = [await anext(subscription)]
        except TimeoutError:
            if media_type == "text/event-stream":
                yield b": still here\n\n"
            continue
        except StopAsyncIteration:
            return
        if subscription.missed:
            missed, subscription.missed = subscription.missed, 0
            yield _missed(missed, media_type)
        items += subscription.take(FOLLOW_BATCH_MAX)
        while overlap and items:
            overlap = items[0] in past
            if overlap:
                del items[0]
        if chunk := _encode(kind, [item for item in items if q in kind.words(item)], media_type):
            yield chunk


def _missed(count: int, media_type: str) -> bytes:
    item = schema.Missed(missed=count)
    if media_type == "text/event-stream":
        return server_sent("missed", item)
    if media_type == "application/x-ndjson":
        return msgspec.json.encode(item) + b"\n"
    return f"# {count} left out here: this reader was too slow\n".encode()


ENDPOINTS = (
    endpoint(
        "logs", logs, "What the app wrote, oldest first. `follow=1` goes on.", (schema.LogLine, schema.LogsAnswer)
    ),
    endpoint("requests", requests, "What was asked of the app.", (schema.Request, schema.RequestsAnswer)),
    endpoint("events", events, "What happened to the app.", (schema.Event, schema.EventsAnswer)),
)
