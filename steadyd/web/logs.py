"""An app's log: the API's call in every form, all of it as a file, and the page that shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlencode

from msgspec import Meta
from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.runner.logparts import Place, Wish, parse_place
from steadyd.runner.logs import LogLine
from steadyd.web import frame, schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Call
from steadyd.web.following import Following
from steadyd.web.logpage import Ask, LogPage, everything, look, whole
from steadyd.web.page import Visit, asked, page_route
from steadyd.web.rooms import Rooms
from steadyd.web.safetext import COLOURS, visible
from steadyd.web.streams import Kind, encode, endpoint, media_type, parse_since, stamp, stream

LINES_SHOWN_MAX = 200

PlaceText = Annotated[str, Meta(max_length=40, description="A line's `id`, or `first` and `last` of an answer.")]


class LogsQuery(schema.TailQuery):
    """Lines between `since` and `until`: the last `tail` before `before`, or the first from `after` or `at` on."""

    until: Annotated[str, Meta(max_length=60, description="As `since`.")] = ""
    at: Annotated[str, Meta(max_length=60, description="As `since`: begin there.")] = ""
    before: PlaceText = ""
    after: PlaceText = ""
    version: Annotated[int, Meta(ge=0, le=2**53, description="Only what this version wrote.")] = 0
    source: Literal["", "app", "steadyd"] = ""
    download: Annotated[bool, Meta(description="Everything that matches, as a file.")] = False

    def ask(self, count: int) -> Ask:
        """Raises SteadyError: `invalid`."""
        return Ask(
            count, Wish(self.q.encode(), self.version, self.source.encode()), _place(self.before), _place(self.after),
            parse_since(self.at, "at"), parse_since(self.since), parse_since(self.until, "until"),
        )  # fmt: skip

    def link(self, **changes: str) -> str:
        """The query of the same page, changed."""
        names = ("q", "since", "until", "version", "source", "at", "before", "after")
        said = {name: str(changes.get(name, getattr(self, name))) for name in names}
        return "?" + urlencode({name: value for name, value in said.items() if value not in ("", "0")})


class LogsAnswer(schema.Strict):
    """Oldest first. Looked at were the lines between `first` and `last`, `looked_bytes` of the log; `older` and `newer`
    say whether there are more: ask with `before=first` or `after=last`."""

    logs: list[schema.LogLine]
    first: str
    last: str
    older: bool
    newer: bool
    looked_bytes: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A page of the log. `died` are the places of lines that tell of a death."""

    query: LogsQuery
    page: LogPage

    @property
    def cursor(self) -> str:
        """Where what comes goes on; "" if newer lines are between."""
        return "" if self.page.newer else str(self.page.last)


def routes(rooms: Rooms) -> list[Route]:
    return [page_route("/apps/{name}/logs", show_logs, rooms)]


async def logs(call: Call) -> Response:
    query = call.query(LogsQuery)
    if query.download:
        return _download(call, query)
    if media_type(call.request) == "application/json" and not query.follow:
        return json_answer(answered(await look(call.rooms, call.app, query.ask(query.tail))))
    return await stream(call, LOGS)


def answered(page: LogPage) -> LogsAnswer:
    """A page as the API shows it."""
    return LogsAnswer(
        logs=[shown.log_line(line) for line in page.lines],
        first=str(page.first),
        last=str(page.last),
        older=page.older,
        newer=page.newer,
        looked_bytes=page.looked_bytes,
    )


async def show_logs(visit: Visit) -> Response:
    app = await visit.app()
    query, error = asked(visit, LogsQuery, lambda query: query.ask(1))
    page = await look(visit.rooms, app, query.ask(LINES_SHOWN_MAX))
    return await frame.show(visit, app, "logs", "logs.html", error, shown=Shown(query, page))


# Private


def _place(text: str) -> Place | None:
    place = parse_place(text) if text else None
    if text and place is None:
        raise SteadyError("invalid", "“before” and “after” are places in the log, as an answer names them.")
    return place


async def _past(call: Call, query: LogsQuery) -> list[LogLine]:
    return await whole(call.rooms, call.app, query.ask(query.tail)) if query.tail else []


def _takes(query: LogsQuery, line: LogLine) -> bool:
    """What `Wish` decides of lines in the file."""
    contains = query.q in line.text or query.q in COLOURS.sub("", line.text)
    return contains and query.version in (0, line.version) and query.source in ("", line.source)


def _text(line: LogLine) -> str:
    mark = "|" if line.source == "app" else "#"
    return f"{stamp(line.at)} v{line.version} {mark} {visible(line.text)}"


def _download(call: Call, query: LogsQuery) -> Response:
    form = media_type(call.request)
    form = "text/plain" if form == "text/event-stream" else form
    ask, app = query.ask(1), call.app

    async def chunks() -> AsyncIterator[bytes]:
        async for lines in everything(call.rooms, app, ask):
            yield encode(LOGS, lines, form)

    answer = Following(chunks(), lambda: None, "application/x-ndjson" if form == "application/json" else form)
    ending = "log" if form == "text/plain" else "ndjson"
    answer.headers["content-disposition"] = f'attachment; filename="{app.name}.{ending}"'
    return answer


LOGS: Kind[LogLine] = Kind(
    "log", LogsQuery, lambda call: call.rooms.logs.feed, _past, _takes, shown.log_line, _text, lambda line: line.at,
)  # fmt: skip
ENDPOINTS = (
    endpoint(
        "logs", logs, "What the app wrote, oldest first. `follow=1` goes on.", LogsQuery, (schema.LogLine, LogsAnswer)
    ),
)
