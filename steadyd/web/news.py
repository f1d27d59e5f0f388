"""What a live stream tells: each source is woken by a feed and reads what is new from where it is kept, so that nothing
is lost or doubled, a broken stream goes on exactly where it ended, and what a slow reader missed is counted."""

from __future__ import annotations

from typing import Any, Protocol

from steadyd.feed import Subscription
from steadyd.model import App
from steadyd.runner.logparts import Parts, Place, Wish
from steadyd.runner.logs import LogLine, lines_of
from steadyd.runner.operation import STEP
from steadyd.web import operations, schema, shown
from steadyd.web.following import server_sent
from steadyd.web.rooms import Rooms

LINES_AT_ONCE_MAX = 1_000
"""Lines of a log that are told at once. A page draws only what is seen of them."""
LAG_BYTES_MAX = 2 << 20
"""What a reader may lag behind the log before it is told of its end, and how many lines were left out."""
REQUESTS_AT_ONCE_MAX = 256


class Lines(schema.Strict):
    """What came to the log. `missed` lines before them, from `missed_from` on, came too fast to be told; the log has
    them, unless `removed` says that it had to let go of some already."""

    lines: list[schema.LogLine]
    next: str
    missed: int = 0
    missed_from: str = ""
    removed: bool = False


class Requests(schema.Strict):
    """What was asked; `missed` requests before them came too fast to be told."""

    requests: list[schema.Request]
    missed: int = 0


class Source(Protocol):
    """`subscription` wakes it. `cursor` is where it goes on, as `name=value`; "" where nothing is kept."""

    subscription: Subscription[Any]
    behind: bool
    """Whether there is more to tell at once."""

    @property
    def cursor(self) -> str: ...

    async def news(self) -> bytes:
        """Server-sent events, b"" if there is nothing."""


class Log:
    """Lines at or after `place`, or from now on."""

    def __init__(self, rooms: Rooms, app: App, place: Place | None, wish: Wish) -> None:
        self.subscription: Subscription[LogLine] = rooms.logs.feed.subscribe(app.id)
        self.behind = False
        self._rooms, self._app, self._place, self._wish = rooms, app, place, wish

    @property
    def cursor(self) -> str:
        return f"log={self._place}" if self._place else ""

    async def news(self) -> bytes:
        self.subscription.take()
        told = await self._rooms.logs.read(self._app.id, self._look)
        return server_sent("log", told) if told.lines or told.missed or told.removed else b""

    def _look(self, parts: Parts) -> Lines:
        place, missed, since = self._place or parts.end, 0, ""
        removed, place = place < parts.begin, max(place, parts.begin)
        if parts.size_from(place) > LAG_BYTES_MAX and not self._wish.text:
            last = parts.backward(None, LINES_AT_ONCE_MAX, Wish()).first
            missed, since, place = parts.count(place, last), str(place), last
        piece = parts.forward(place, LINES_AT_ONCE_MAX, self._wish, LAG_BYTES_MAX)
        self._place, self.behind = piece.last, piece.more
        found = [shown.log_line(line) for line in lines_of(piece)]
        return Lines(lines=found, next=str(piece.last), missed=missed, missed_from=since, removed=removed)


class Asked:
    """Requests after the one with that id, or from now on."""

    behind = False

    def __init__(self, rooms: Rooms, app: App, after: int | None) -> None:
        self.subscription: Subscription[Any] = rooms.requests.feed.subscribe(app.id)
        self._rooms, self._app, self._after = rooms, app, after

    @property
    def cursor(self) -> str:
        return "" if self._after is None else f"requests={self._after}"

    async def news(self) -> bytes:
        self.subscription.take()
        after = self._after
        rows = await self._rooms.requests.tail(
            self._app.id, REQUESTS_AT_ONCE_MAX if after is not None else 1, after or 0
        )
        self._after = rows[-1].id if rows else after or 0
        if not rows or after is None:
            return b""
        told = Requests(requests=[shown.request(row) for row in rows], missed=rows[0].id - after - 1)
        return server_sent("request", told)


class Happenings:
    """What happened to the app, and how its operations go; of `kinds`, which are "operation" and "event"."""

    behind = False
    cursor = ""

    def __init__(self, rooms: Rooms, app: App, kinds: frozenset[str]) -> None:
        self.subscription = rooms.fleet.events.subscribe(app.id)
        self._rooms, self._kinds = rooms, kinds

    async def news(self) -> bytes:
        events, told = self.subscription.take(), []
        for number in dict.fromkeys(event.details["operation"] for event in events if event.kind == STEP):
            found = await operations.as_of_now(self._rooms, number) if "operation" in self._kinds else None
            told += [server_sent("operation", found)] if found else []
        if "event" in self._kinds:
            told += [server_sent("event", shown.event(event)) for event in events if event.kind != STEP]
        return b"".join(told) + self._missed()

    def _missed(self) -> bytes:
        missed, self.subscription.missed = self.subscription.missed, 0
        return server_sent("missed", schema.Missed(missed=missed)) if missed else b""
