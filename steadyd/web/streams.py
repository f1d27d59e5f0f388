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
    """How one sort of item is found and shown; `takes` says which of those that come are wanted."""

    event: str
    query: type[schema.TailQuery]
    feed: Callable[[Call], Feed[T]]
    past: Callable[[Call, Any], Awaitable[list[T]]]
    takes: Callable[[Any, T], bool]
    struct: Callable[[T], msgspec.Struct]
    line: Callable[[T], str]
    at: Callable[[T], float]
    answer: Callable[[list[Any]], msgspec.Struct] | None = None
    """The JSON of all; None where whoever calls answers JSON itself."""

    def of(self, **changes: Any) -> Kind[T]:
        """The same sort of item, from elsewhere."""
        return replace(self, **changes)


class EventsAnswer(schema.Strict):
    events: list[schema.Event]


async def events(call: Call) -> Response:
    return await stream(call, EVENTS)


def parse_since(text: str, name: str = "since") -> float | None:
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
        raise SteadyError("invalid", f"“{name}” is a time such as 2026-01-31T12:00:00Z, or seconds since 1970.")
    return seconds


def past_events(found: list[tuple[int, model.Event]], since: float | None, q: str) -> list[model.Event]:
    """Events without their ids, those after `since` that contain `q`."""
    return [
        event for _, event in found if (since is None or event.at >= since) and q in f"{event.kind} {event.message}"
    ]


def stamp(at: float) -> str:
    """A time as lines of text have it."""
    return shown.moment(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def media_type(request: Request) -> str:
    """What is asked for: text, unless it says otherwise."""
    accept = request.headers.get("accept", "")
    for kind in ("text/event-stream", "application/x-ndjson", "application/json"):
        if kind in accept:
            return kind
    return "text/plain"


async def stream(call: Call, kind: Kind[T]) -> Response:
    """The past, and with `follow` what comes, in the form that is asked for; JSON that goes on is NDJSON."""
    query, form = call.query(kind.query), media_type(call.request)
    if not query.since and (last := call.request.headers.get("last-event-id", "")):
        query = msgspec.structs.replace(query, since=last)
    if form == "application/json" and not query.follow and kind.answer is not None:
        return json_answer(kind.answer([kind.struct(item) for item in await kind.past(call, query)]))
    if not query.follow:
        return Response(encode(kind, await kind.past(call, query), form), 200, NO_STORE, form)
    subscription = kind.feed(call).subscribe(call.app.id)
    try:
        past = await kind.past(call, query)
    except BaseException:
        subscription.close()
        raise
    form = "application/x-ndjson" if form == "application/json" else form
    return Following(_follow(kind, past, subscription, form, query), subscription.close, form)


def encode(kind: Kind[T], items: list[T], form: str) -> bytes:
    """Items in that form."""
    if form == "text/event-stream":
        return b"".join(server_sent(kind.event, kind.struct(item), f"{kind.at(item):.6f}") for item in items)
    if form in ("application/x-ndjson", "application/json"):
        return b"".join(msgspec.json.encode(kind.struct(item)) + b"\n" for item in items)
    return "".join(kind.line(item) + "\n" for item in items).encode("utf-8", "replace")


def endpoint(
    path: str, handler: Handler, summary: str, query: type[schema.TailQuery], types: tuple[Any, Any]
) -> Endpoint:
    """A call that tells of an app in every form. `types`: of one item, and of the JSON answer."""
    item, answer = types
    return Endpoint(
        method="GET", path=f"/api/apps/{{name}}/{path}", handler=handler, access=Access.OWNER_OF_DELETED,
        summary=summary, query=query,
        answers={
            "text/plain": (str,), "application/x-ndjson": (item,), "text/event-stream": (item,),
            "application/json": (answer,),
        },
        errors=("unauthorized", "not_found", "invalid", "overloaded"),
    )  # fmt: skip


# Private


async def _past_events(call: Call, query: schema.TailQuery) -> list[model.Event]:
    since = parse_since(query.since)
    wanted = query.tail if since is None and not query.q else schema.TAIL_LINES_MAX
    kept = past_events(await call.rooms.journal.events(call.app.id, wanted), since, query.q)
    return kept[len(kept) - query.tail :] if query.tail < len(kept) else kept


def _event_text(item: model.Event) -> str:
    return f"{stamp(item.at)} {item.kind}: {visible(item.message)}"


EVENTS: Kind[model.Event] = Kind(
    "event", schema.TailQuery, lambda call: call.rooms.fleet.events, _past_events,
    lambda query, event: query.q in f"{event.kind} {event.message}", shown.event, _event_text, lambda event: event.at,
    lambda events: EventsAnswer(events=events),
)  # fmt: skip


async def _follow(
    kind: Kind[T], past: list[T], subscription: Subscription[T], form: str, query: schema.TailQuery
) -> AsyncIterator[bytes]:
    """The past, then what comes. What was published while the past was read is in both, and told once."""
    yield encode(kind, past, form)
    overlap = True
    while True:
        try:
            # Not wait_for: before Python 3.12 it may swallow the cancellation that ends this.
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                items = [await anext(subscription)]
        except TimeoutError:
            if form == "text/event-stream":
                yield b": still here\n\n"
            continue
        except StopAsyncIteration:
            return
        if subscription.missed:
            missed, subscription.missed = subscription.missed, 0
            yield _missed(missed, form)
        items += subscription.take(FOLLOW_BATCH_MAX)
        while overlap and items:
            overlap = items[0] in past
            if overlap:
                del items[0]
        if chunk := encode(kind, [item for item in items if kind.takes(query, item)], form):
            yield chunk


def _missed(count: int, form: str) -> bytes:
    item = schema.Missed(missed=count)
    if form == "text/event-stream":
        return server_sent("missed", item)
    if form == "application/x-ndjson":
        return msgspec.json.encode(item) + b"\n"
    return f"# {count} left out here: this reader was too slow\n".encode()


ENDPOINTS = (endpoint("events", events, "What happened to the app.", schema.TailQuery, (schema.Event, EventsAnswer)),)
