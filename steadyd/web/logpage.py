"""An app's log by the page: so many lines before or after a place, and where the next page begins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from functools import partial

from steadyd.model import App
from steadyd.runner.logparts import Parts, Place, Wish
from steadyd.runner.logs import LogLine, lines_of, stamp
from steadyd.web.rooms import Rooms

SEARCH_BYTES_MAX = 32 << 20
"""Of the log that one look goes through; whoever asked is told where to go on."""
DOWNLOAD_LINES_MAX = 2_000
"""Read at once for who takes all of it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Which lines: the last `count` before `before`, or the first after `after` or the time `at`; the newest if nothing
    is said. All of them between the times `since` and `until`, in seconds since 1970."""

    count: int
    wish: Wish = field(default_factory=Wish)
    before: Place | None = None
    after: Place | None = None
    at: float | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines, oldest first. What was looked at lies between `first` and `last`; `older` and `newer`: whether there is
    more to look at beyond. `looked_bytes` is how much of the log this page took."""

    lines: list[LogLine]
    first: Place
    last: Place
    older: bool
    newer: bool
    looked_bytes: int


async def look(rooms: Rooms, app: App, ask: Ask) -> LogPage:
    """One page; a search may end before it has `count` lines, at SEARCH_BYTES_MAX.

    Raises:
        SteadyError: `overloaded` where too many search.
    """
    if not ask.wish.text:
        return await rooms.logs.read(app.id, partial(_look, ask))
    async with rooms.searches():
        return await rooms.logs.read(app.id, partial(_look, ask))


async def newest(rooms: Rooms, app: App, count: int) -> LogPage:
    """The last `count` lines."""
    return await look(rooms, app, Ask(count))


async def whole(rooms: Rooms, app: App, ask: Ask) -> list[LogLine]:
    """All that one asked for, however far it is to look."""
    found: list[LogLine] = []
    while len(found) < ask.count:
        page = await look(rooms, app, replace(ask, count=ask.count - len(found)))
        if ask.after is None and ask.at is None:
            found, more, ask = page.lines + found, page.older, replace(ask, before=page.first)
        else:
            found, more, ask = found + page.lines, page.newer, replace(ask, at=None, after=page.last)
        if not more:
            break
    return found


async def everything(rooms: Rooms, app: App, ask: Ask) -> AsyncIterator[list[LogLine]]:
    """Every line that matches, oldest first, in pieces: up to the end as it is at the beginning."""
    end = await rooms.logs.read(app.id, lambda parts: parts.find(stamp(ask.until)) if ask.until else parts.end)
    ask = replace(ask, count=DOWNLOAD_LINES_MAX, before=end, after=Place(0, 0))
    while True:
        page = await look(rooms, app, ask)
        yield page.lines
        if not page.newer or page.last >= end:
            return
        ask = replace(ask, after=page.last)


# Private


def _look(ask: Ask, parts: Parts) -> LogPage:
    since = parts.find(stamp(ask.since)) if ask.since else parts.begin
    until = parts.find(stamp(ask.until)) if ask.until else parts.end
    until = min(until, ask.before or until)
    bound = SEARCH_BYTES_MAX
    if not ask.count:
        return LogPage([], until, until, until > since, until < parts.end, 0)
    if ask.after is None and ask.at is None:
        piece = parts.backward(until, ask.count, ask.wish, bound, since)
        newer = parts.find(stamp(ask.until)) if ask.until else parts.end
        return LogPage(lines_of(piece), piece.first, piece.last, piece.more, piece.last < newer, piece.looked_bytes)
    start = ask.after if ask.after is not None else parts.find(stamp(ask.at or 0.0))
    piece = parts.forward(max(start, since), ask.count, ask.wish, bound, until)
    return LogPage(lines_of(piece), piece.first, piece.last, piece.first > since, piece.more, piece.looked_bytes)
