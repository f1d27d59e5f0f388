"""The one live stream of an app's page: log lines, requests, operations, events and the state together, because a
browser opens only six connections to one host over HTTP/1.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Literal
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.runner.logparts import Wish, parse_place
from steadyd.web import auth, schema, shown
from steadyd.web.body import convert
from steadyd.web.core import core_of
from steadyd.web.following import KEEP_ALIVE_SECONDS, Following, server_sent
from steadyd.web.frame import SENTENCES
from steadyd.web.news import Asked, Happenings, Log, Source
from steadyd.web.page import absent
from steadyd.web.rooms import Rooms

KINDS = ("state", "log", "request", "operation", "event")
STATE_SECONDS = 1.0
HAPPENINGS = 0
"""Which source of a stream is always there, and often tells of another state."""
PACE_SECONDS = 0.1
"""Between two pieces: a page that is told more often draws no better."""


class StateNow(msgspec.Struct):
    """What the page's head shows."""

    state: str
    sentence: str
    version: int
    memory_bytes: int
    cpu_seconds: float
    requests: int


class LiveQuery(schema.Strict):
    """`only` names the kinds that are told. `log` and `requests` are where those begin: now, if nothing is said. `q`,
    `version` and `source` say which log lines."""

    only: Annotated[str, Meta(max_length=100)] = ",".join(KINDS)
    log: Annotated[str, Meta(max_length=40)] = ""
    requests: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    q: Annotated[str, Meta(max_length=200)] = ""
    version: Annotated[int, Meta(ge=0, le=2**53)] = 0
    source: Literal["", "app", "steadyd"] = ""

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(self.only.split(","))

    @property
    def wish(self) -> Wish:
        return Wish(self.q.encode(), self.version, self.source.encode())


def routes(rooms: Rooms) -> list[Route]:
    async def serve(request: Request) -> Response:
        caller = await auth.identify(rooms, request)
        name = request.path_params["name"]
        app = core_of(rooms, caller, name, "GET", "/apps/{name}/live") or await rooms.apps.by_name(name)
        if app is None or caller.is_limited or not caller.owns(app):
            raise absent(name)
        sources = _sources(rooms, app, _asked(request))
        answer = Following(_told(rooms, app, sources), lambda: _close(sources), "text/event-stream")
        answer.still = partial(auth.check_still, rooms, request, caller, app)
        return answer

    return [Route("/apps/{name}/live", serve, methods=["GET"])]


# Private


def _asked(request: Request) -> LiveQuery:
    """A browser that reconnects says in `Last-Event-ID` where it was, which its address does not know."""
    said = {name: values[-1] for name, values in parse_qs(request.headers.get("last-event-id", "")).items()}
    return convert({**request.query_params, **said}, LiveQuery, strict_names=False)


def _sources(rooms: Rooms, app: App, asked: LiveQuery) -> list[Source]:
    place = parse_place(asked.log)
    if asked.log and place is None:
        raise SteadyError("invalid", "“log” is a place in the log, as it was told.")
    sources: list[Source] = []
    try:
        sources.append(Happenings(rooms, app, asked.kinds))
        if "log" in asked.kinds:
            sources.append(Log(rooms, app, place, asked.wish))
        if "request" in asked.kinds:
            sources.append(Asked(rooms, app, asked.requests))
    except BaseException:
        _close(sources)
        raise
    return sources


def _close(sources: list[Source]) -> None:
    for source in sources:
        source.subscription.close()


async def _told(rooms: Rooms, app: App, sources: list[Source]) -> AsyncIterator[bytes]:
    """What each source tells as it is woken, and the state whenever it differs; until a feed ends."""
    state = await _state(rooms, app)
    yield b"retry: 2000\n\n" + server_sent("state", state)
    clock = asyncio.get_running_loop().time
    due, looked, told, at = set(range(len(sources))), clock(), clock(), ""
    waiting = [asyncio.ensure_future(source.subscription.ready()) for source in sources]
    try:
        while True:
            chunk = b"".join([await sources[number].news() for number in sorted(due)])
            if HAPPENINGS in due or clock() - looked >= STATE_SECONDS:
                looked, before = clock(), state
                state = await _state(rooms, app)
                chunk += server_sent("state", state) if state != before else b""
            before_at, at = at, "&".join(source.cursor for source in sources if source.cursor)
            if chunk or at != before_at:
                told = clock()
                yield chunk + f"id: {at}\n\n".encode()  # last: who was told all of it goes on from here
                await asyncio.sleep(PACE_SECONDS)
            elif clock() - told >= KEEP_ALIVE_SECONDS:
                told = clock()
                yield b": still here\n\n"
            behind = any(source.behind for source in sources)
            await asyncio.wait(waiting, timeout=0 if behind else STATE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            due = {number for number, source in enumerate(sources) if waiting[number].done() or source.behind}
            for number in due:
                if waiting[number].done():
                    if not waiting[number].result():
                        return
                    waiting[number] = asyncio.ensure_future(sources[number].subscription.ready())
    finally:
        for task in waiting:
            task.cancel()


async def _state(rooms: Rooms, app: App) -> StateNow:
    now = await rooms.apps.by_id(app.id) or app
    state, usage = shown.state(rooms, now), rooms.fleet.usage(now.id)
    # Coarse on purpose: a state is sent when it differs, and memory differs always.
    memory = usage.memory_bytes >> 20 << 20
    return StateNow(state.value, SENTENCES[state], now.version, memory, round(usage.cpu_seconds, 1), usage.requests)
