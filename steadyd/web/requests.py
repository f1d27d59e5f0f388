"""What was asked of an app: the API's calls, and the pages of all requests and of one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlencode

from msgspec import Meta
from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.records.heads import NEWEST_MAX, Fields, Heads, fields
from steadyd.records.requests import Asking, Found
from steadyd.records.requests import Request as Asked
from steadyd.runner.logparts import Wish
from steadyd.runner.logs import LogLine
from steadyd.web import frame, schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.logpage import Ask, look
from steadyd.web.page import Visit, asked, page_route
from steadyd.web.rooms import Rooms
from steadyd.web.safetext import visible
from steadyd.web.streams import Kind, endpoint, media_type, parse_since, stamp, stream

SHOWN_MAX = 100
LINES_MAX = 200
"""Of the log, beside one request."""
EARLY_SECONDS = 0.001
"""Before its beginning: the two clocks are compared once a second."""
LATE_SECONDS = 0.05
"""After its end, in which a line of a request may still come out of the app's pipe."""

Status = Annotated[str, Meta(pattern="^([1-5]xx|[1-5][0-9]{2}|failed)?$", description="404, 5xx, or failed (400 up).")]
Number = Annotated[int, Meta(ge=0, le=2**53)]


class RequestsQuery(schema.TailQuery):
    """Requests that began between `since` and `until`: the last `tail` before the one with id `before`, or the first
    after the one with id `after`."""

    until: Annotated[str, Meta(max_length=60, description="As `since`.")] = ""
    status: Status = ""
    method: Annotated[str, Meta(max_length=20)] = ""
    path: Annotated[str, Meta(max_length=200, description="Contained in it.")] = ""
    error: Annotated[str, Meta(max_length=60, description="A code of the platform's.")] = ""
    slower_ms: Annotated[float, Meta(ge=0, le=1e12)] = 0.0
    version: Number = 0
    before: Number = 0
    after: Number | None = None

    def asking(self, count: int) -> Asking:
        """Raises SteadyError: `invalid`."""
        low, high = {"": (0, 0), "failed": (400, 599)}.get(self.status, (0, 0))
        if self.status and not high:
            low = int(self.status.replace("xx", "00"))
            high = low + 99 if "x" in self.status else low
        return Asking(
            count, (low, high), self.method.upper(), self.path, self.error, self.q, int(self.slower_ms * 1000),
            parse_since(self.since) or 0.0, parse_since(self.until, "until") or 0.0, self.version,
        )  # fmt: skip

    def link(self, **changes: object) -> str:
        """The query of the same page, changed."""
        names = ("q", "since", "until", "status", "method", "path", "error", "slower_ms", "version", "before", "after")
        said = {name: changes.get(name, getattr(self, name)) for name in names}
        return "?" + urlencode({name: value for name, value in said.items() if value})


class RequestsAnswer(schema.Strict):
    """Oldest first. Looked at were those with ids from `first` to `last`; `older` and `newer` say whether there are
    others: ask with `before=first` or `after=last`."""

    requests: list[schema.Request]
    first: int
    last: int
    older: bool
    newer: bool


class Header(schema.Strict):
    name: str
    value: str


class RequestAnswer(schema.Strict):
    """One request. `start_us` is how much of the time at the gate the app's start took, null where it was not started.
    Headers, masked, are kept for the newest requests, and longer for those that failed or were slow; else null. `logs`
    are lines of the same version from its beginning to its end; `others` is how many other requests ran meanwhile, so
    that lines may be theirs; those in `named` have this request's id in them."""

    request: schema.Request
    start_us: int | None
    request_headers: list[Header] | None
    response_headers: list[Header] | None
    others: int
    logs: list[schema.LogLine]
    logs_more: bool
    named: list[str]


@dataclass(frozen=True, slots=True)
class Detail:
    """One request with all that is known of it."""

    request: Asked
    heads: Heads | None
    start_us: int | None
    others: int
    lines: list[LogLine]
    more: bool

    @property
    def asked(self) -> Fields:
        return fields(self.heads.asked) if self.heads else []

    @property
    def answered(self) -> Fields:
        return fields(self.heads.answered) if self.heads else []

    @property
    def named(self) -> frozenset[str]:
        """The places of lines that name this request."""
        return frozenset(line.place for line in self.lines if self.request.request_id in line.text)

    @property
    def spans(self) -> list[tuple[str, int, int]]:
        """Where its time went: what, from when, and for how long, in microseconds."""
        request, start = self.request, self.start_us or 0
        gate, app = min(request.gate_us, request.total_us), request.app_us
        parts = [("gate", gate - min(start, gate)), ("start", min(start, gate)), ("app", app)]
        parts.append(("answer", max(0, request.total_us - gate - app)))
        told, begin = [], 0
        for name, length in parts:
            told += [(name, begin, length)] if length else []
            begin += length
        return told


def routes(rooms: Rooms) -> list[Route]:
    here = "/apps/{name}/requests"
    return [page_route(here, show_requests, rooms), page_route(f"{here}/{{id}}", show_request, rooms)]


async def requests(call: Call) -> Response:
    query = call.query(RequestsQuery)
    if media_type(call.request) != "application/json" or query.follow:
        return await stream(call, REQUESTS)
    found = await _find(call.rooms, call.app, query, query.tail)
    return json_answer(
        RequestsAnswer(
            requests=[shown.request(item) for item in found.requests],
            first=found.first,
            last=found.last,
            older=found.older,
            newer=found.newer,
        )
    )


async def request(call: Call) -> Response:
    number, said = call.number("id")
    found = await detail(call.rooms, call.app, number, said)
    return json_answer(
        RequestAnswer(
            request=shown.request(found.request),
            start_us=found.start_us,
            request_headers=_headers(found.asked) if found.heads else None,
            response_headers=_headers(found.answered) if found.heads else None,
            others=found.others,
            logs=[shown.log_line(line) for line in found.lines],
            logs_more=found.more,
            named=sorted(found.named),
        )
    )


async def detail(rooms: Rooms, app: App, number: int, said: str) -> Detail:
    """Raises SteadyError: `not_found`."""
    found = await rooms.requests.one(app.id, number) if number else None
    if found is None:
        raise SteadyError(
            "not_found", f"There is no request {said} in the log; it keeps the newest ones.", {"id": said}
        )
    asked, heads = found
    lines, more = await _lines(rooms, app, asked)
    return Detail(asked, heads, await _start_us(rooms, app, asked), await _others(rooms, app, asked), lines, more)


async def show_requests(visit: Visit) -> Response:
    app = await visit.app()
    query, error = asked(visit, RequestsQuery, lambda query: query.asking(1))
    found = await _find(visit.rooms, app, query, SHOWN_MAX)
    return await frame.show(visit, app, "requests", "requests.html", error, found=found, query=query)


async def show_request(visit: Visit) -> Response:
    app = await visit.app()
    said = str(visit.request.path_params["id"])[:20]
    number = int(said) if said.isascii() and said.isdigit() else 0
    found = await detail(visit.rooms, app, number, said.encode("utf-8", "replace").decode())
    return await frame.show(visit, app, "requests", "request.html", detail=found, kept=NEWEST_MAX)


# Private


async def _find(rooms: Rooms, app: App, query: RequestsQuery, count: int) -> Found:
    return await rooms.requests.find(app.id, query.asking(count), query.before, query.after)


async def _past(call: Call, query: RequestsQuery) -> list[Asked]:
    """All that one asked for, however far it is to look."""
    found: list[Asked] = []
    asking, before, after = query.asking(query.tail), query.before, query.after
    while len(found) < query.tail:
        asking = replace(asking, count=query.tail - len(found))
        page = await call.rooms.requests.find(call.app.id, asking, before, after)
        if after is None:
            found, more, before = page.requests + found, page.older, page.first
        else:
            found, more, after = found + page.requests, page.newer, page.last
        if not more:
            break
    return found


async def _lines(rooms: Rooms, app: App, asked: Asked) -> tuple[list[LogLine], bool]:
    if not asked.version:
        return [], False
    wish = Wish(version=asked.version, source=b"app")
    begin, end = asked.at - EARLY_SECONDS, asked.end + LATE_SECONDS
    page = await look(rooms, app, Ask(LINES_MAX, wish, at=begin, since=begin, until=end))
    return page.lines, page.newer


async def _start_us(rooms: Rooms, app: App, asked: Asked) -> int | None:
    """How much of the time at the gate was the app's start."""
    granted = asked.at + asked.gate_us / 1e6
    woke = await rooms.journal.woke(app.id, asked.at, granted + LATE_SECONDS) if asked.gate_us else None
    if woke is None:
        return None
    at, took = woke
    return int(max(0.0, min(at, granted) - max(at - took, asked.at)) * 1e6)


async def _others(rooms: Rooms, app: App, asked: Asked) -> int:
    return await rooms.requests.beside(app.id, asked) if asked.version else 0


def _headers(found: Fields) -> list[Header]:
    return [Header(name=shown.clean(name), value=shown.clean(value)) for name, value in found]


def _takes(query: RequestsQuery, item: Asked) -> bool:
    return query.asking(1).takes(item)


def _text(item: Asked) -> str:
    error = f" {item.error}" if item.error else ""
    took = f"{item.total_us / 1000:.1f} ms"
    return f"{stamp(item.at)} {visible(item.method)} {visible(item.path)} {item.status} {took} {item.client}{error}"


REQUESTS: Kind[Asked] = Kind(
    "request", RequestsQuery, lambda call: call.rooms.requests.feed, _past, _takes, shown.request, _text,
    lambda item: item.at,
)  # fmt: skip
ENDPOINTS: tuple[Endpoint, ...] = (
    endpoint("requests", requests, "What was asked of the app.", RequestsQuery, (schema.Request, RequestsAnswer)),
    Endpoint(
        method="GET", path="/api/apps/{name}/requests/{id}", handler=request, access=Access.OWNER_OF_DELETED,
        summary="One request: where its time went, its headers, and what the log says meanwhile.",
        answers=json_of(RequestAnswer), errors=("unauthorized", "not_found", "overloaded"),
    ),
)  # fmt: skip
