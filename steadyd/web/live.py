"""The app page's one live stream: log lines, requests and the state together, because a browser opens only six
connections to one host over HTTP/1.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from steadyd.feed import Subscription
from steadyd.model import App
from steadyd.web import auth, shown
from steadyd.web.following import KEEP_ALIVE_SECONDS, Following, server_sent
from steadyd.web.frame import SENTENCES
from steadyd.web.page import absent
from steadyd.web.rooms import Rooms
from steadyd.web.schema import Missed
from steadyd.web.streams import parse_since

PAST_MAX = 500
STATE_SECONDS = 1.0
BATCH_MAX = 256
"""Items that are sent at once. A browser is given no more than this each PACE_SECONDS: the feeds drop and count what
comes faster, because drawing it would freeze the page."""
PACE_SECONDS = 0.1


class StateNow(msgspec.Struct):
    """What the page's head shows."""

    state: str
    sentence: str
    version: int
    memory_bytes: int
    cpu_seconds: float
    requests: int


def routes(rooms: Rooms) -> list[Route]:
    async def serve(request: Request) -> Response:
        caller = await auth.identify(rooms, request)
        name = request.path_params["name"]
        app = await rooms.apps.by_name(name)
        if app is None or caller.is_limited or not caller.owns(app):
            raise absent(name)
        since = parse_since(request.headers.get("last-event-id") or request.query_params.get("since", ""))
        answer = await _live(rooms, app, since or rooms.now())
        answer.still = partial(auth.check_still, rooms, request, caller, app)
        return answer

    return [Route("/apps/{name}/live", serve, methods=["GET"])]


# Private


async def _live(rooms: Rooms, app: App, since: float) -> Following:
    subscriptions: list[Subscription[Any]] = []
    try:
        for feed in (rooms.logs.feed, rooms.requests.feed):
            subscriptions.append(feed.subscribe(app.id))
        lines = [line for line in await rooms.logs.tail(app.id, PAST_MAX, since) if line.at > since]
        asked = [item for item in await rooms.requests.tail(app.id, PAST_MAX) if item.at > since]
    except BaseException:
        _close(subscriptions)
        raise
    past: list[Any] = [*lines, *asked]
    past.sort(key=lambda item: item.at)
    return Following(_events(rooms, app, past, subscriptions), lambda: _close(subscriptions), "text/event-stream")


def _close(subscriptions: list[Subscription[Any]]) -> None:
    for subscription in subscriptions:
        subscription.close()


async def _events(
    rooms: Rooms, app: App, past: list[Any], subscriptions: list[Subscription[Any]]
) -> AsyncIterator[bytes]:
    """The past, then all feeds merged, and the state whenever it differs."""
    state = await _state(rooms, app)
    yield b"retry: 2000\n\n" + server_sent("state", state) + b"".join(_event(item) for item in past)
    news: asyncio.Queue[Any] = asyncio.Queue(BATCH_MAX)
    readers = [asyncio.create_task(_read(subscription, news)) for subscription in subscriptions]
    loop = asyncio.get_running_loop()
    looked = told = loop.time()
    try:
        while not all(reader.done() for reader in readers):
            chunk = b"".join([_event(item) for item in await _some(news) if item not in past])
            now = loop.time()
            if now - looked >= STATE_SECONDS:
                looked, before = now, state
                state = await _state(rooms, app)
                chunk += server_sent("state", state) if state != before else b""
            if not chunk and now - told >= KEEP_ALIVE_SECONDS:
                chunk = b": still here\n\n"
            if chunk:
                told = now
                yield chunk
                await asyncio.sleep(PACE_SECONDS)
    finally:
        for reader in readers:
            reader.cancel()


async def _read(subscription: Subscription[Any], news: asyncio.Queue[Any]) -> None:
    async for item in subscription:
        if subscription.missed:
            missed, subscription.missed = subscription.missed, 0
            await news.put(Missed(missed=missed))
        await news.put(item)


async def _some(news: asyncio.Queue[Any]) -> list[Any]:
    """Everything that is there, or the first that comes within STATE_SECONDS."""
    try:
        async with asyncio.timeout(STATE_SECONDS):
            items = [await news.get()]
    except TimeoutError:
        return []
    while not news.empty() and len(items) < BATCH_MAX:
        items.append(news.get_nowait())
    return items


def _event(item: Any) -> bytes:
    """A log line or a request; its time is the id from which a broken stream goes on."""
    if isinstance(item, Missed):
        return server_sent("missed", item)
    kind = "log" if hasattr(item, "text") else "request"
    struct = shown.log_line(item) if kind == "log" else shown.request(item)
    return server_sent(kind, struct, f"{item.at:.6f}")


async def _state(rooms: Rooms, app: App) -> StateNow:
    now = await rooms.apps.by_id(app.id) or app
    state, usage = shown.state(rooms, now), rooms.fleet.usage(now.id)
    # Coarse on purpose: a state is sent when it differs, and memory differs always.
    memory = usage.memory_bytes >> 20 << 20
    return StateNow(state.value, SENTENCES[state], now.version, memory, round(usage.cpu_seconds, 1), usage.requests)
