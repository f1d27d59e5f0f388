"""An app's log by the page: so many lines before or after a place, and where the next page begins."""

from __future__ import annotations

from dataclasses import dataclass

from steadyd.model import App
from steadyd.runner.logparts import Parts, Place, Wish
from steadyd.runner.logs import LogLine, lines_of
from steadyd.web.rooms import Rooms


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


async def newest(rooms: Rooms, app: App, count: int) -> LogPage:
    """The last `count` lines."""

    def look(parts: Parts) -> LogPage:
        piece = parts.backward(None, count, Wish())
        return LogPage(lines_of(piece), piece.first, piece.last, piece.more, False, piece.looked_bytes)

    return await rooms.logs.read(app.id, look)
