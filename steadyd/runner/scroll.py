"""What a preview says: the newest lines, in memory. They are no part of the app's log."""

from __future__ import annotations

import time
from collections import deque

from steadyd.feed import Feed
from steadyd.runner.logs import LogLine, spoken

LINES_MAX = 2_000
BYTES_MAX = 256 << 10
"""Of the lines that one preview keeps; the oldest go."""


SCROLLS_MAX = 32
"""Previews whose lines are kept, those that have ended among them."""


class Scrolls:
    """The lines of each app's last preview, by the app's id. `feed` has them as they come."""

    def __init__(self) -> None:
        self.feed: Feed[LogLine] = Feed()
        self._scrolls: dict[str, Scroll] = {}

    def of(self, app_id: str) -> Scroll | None:
        return self._scrolls.get(app_id)

    def renew(self, app_id: str) -> Scroll:
        """A new one, in the place of the last; past SCROLLS_MAX the oldest goes."""
        self._scrolls.pop(app_id, None)
        while len(self._scrolls) >= SCROLLS_MAX:
            del self._scrolls[next(iter(self._scrolls))]
        scroll = self._scrolls[app_id] = Scroll(self.feed, app_id)
        return scroll


class Scroll:
    """The lines of one preview, in order; each is published to `feed` under `key` too."""

    def __init__(self, feed: Feed[LogLine], key: str) -> None:
        self._feed = feed
        self._key = key
        self._lines: deque[LogLine] = deque(maxlen=LINES_MAX)
        self._bytes = 0

    def say(self, app_id: str, version: int, text: str) -> None:
        self.add(app_id, version, "steadyd", spoken(text))

    def add(self, app_id: str, version: int, source: str, lines: list[bytes]) -> None:
        now = time.time()
        for text in lines:
            self._keep(LogLine(now, version, source, text.decode("utf-8", "replace")))

    def tail(self, count: int, since: float | None = None, q: str = "") -> list[LogLine]:
        """The last `count` lines, oldest first; only those at or after `since`, in seconds, that contain `q`."""
        found = [line for line in self._lines if (since is None or line.at >= since) and q in line.text]
        return found[max(0, len(found) - count) :]

    # Private

    def _keep(self, line: LogLine) -> None:
        if len(self._lines) == LINES_MAX:
            self._bytes -= len(self._lines[0].text)
        self._lines.append(line)
        self._bytes += len(line.text)
        while self._bytes > BYTES_MAX and len(self._lines) > 1:
            self._bytes -= len(self._lines.popleft().text)
        self._feed.publish(self._key, line)
