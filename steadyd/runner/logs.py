"""An app's output: read always, timestamped, appended to its log folder across versions, rotated, capped.

A full pipe stops Bun's event loop (its console.log is synchronous), so the reader drains whatever comes; what is
beyond the rate or the buffer is dropped and counted, never waited for. Files are written by one thread, in batches.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

from steadyd.feed import Feed
from steadyd.runner.logfile import LogFolder
from steadyd.runner.logparts import Parts, Piece, Place, Wish

T = TypeVar("T")

LINE_BYTES_MAX = 16 << 10
READ_BYTES_PER_TURN_MAX = 64 << 10
LAST_TURNS_MAX = 32
"""Turns for what a dead instance left in its pipe: twice what the largest pipe holds (1 MiB, pipe(7))."""
RATE_BYTES_PER_SECOND_MAX = 4 << 20
PAUSE_SECONDS_OVER_RATE = 0.01
PENDING_BYTES_MAX = 4 << 20
"""Bytes of one app that wait for the disk; past it new lines are dropped and counted."""
FLUSH_SECONDS = 0.05
RECENT_LINES_MAX = 50
"""Kept in memory for the death card."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line. `source` is "app", or "steadyd" for what the platform says about it."""

    at: float
    version: int
    source: str
    text: str
    place: str = field(default="", compare=False)
    """Where it lies in the log; "" of one that was heard before it was written down."""


class Sink(Protocol):
    """Who takes lines, as whole ones without their newlines."""

    def say(self, app_id: str, version: int, text: str) -> None:
        """Take what the platform says."""

    def add(self, app_id: str, version: int, source: str, lines: list[bytes]) -> None:
        """Take what `source` said."""


class Logs:
    """The logs of every app on this host."""

    def __init__(self, folder_of: Callable[[str], Path], bytes_max: int) -> None:
        self.feed: Feed[LogLine] = Feed()
        self._folder_of = folder_of
        self._bytes_max = bytes_max
        self._pending: dict[str, bytearray] = {}
        self._lost: dict[str, int] = {}
        self._thread = ThreadPoolExecutor(1, "logs")
        self._timer: asyncio.TimerHandle | None = None

    def say(self, app_id: str, version: int, text: str) -> None:
        """Add a line of the platform's own. What it quotes of the app may hold newlines: each line is stamped, so that
        nobody can forge one."""
        self.add(app_id, version, "steadyd", spoken(text))

    def add(self, app_id: str, version: int, source: str, lines: list[bytes]) -> None:
        """Add whole lines, without their newlines."""
        now = time.time()
        pending = self._pending.setdefault(app_id, bytearray())
        if len(pending) > PENDING_BYTES_MAX:
            self._lost[app_id] = self._lost.get(app_id, 0) + len(lines)
            return
        if lost := self._lost.pop(app_id, 0):
            pending += _record(
                now, version, "steadyd", b"%d lines dropped: the log came faster than it could be kept" % lost
            )
        heard = self.feed.listeners(app_id) > 0
        for line in lines:
            pending += _record(now, version, source, line)
            if heard:
                self.feed.publish(app_id, LogLine(now, version, source, line.decode("utf-8", "replace")))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush_soon)

    async def tail(
        self, app_id: str, count: int, since: float | None = None, q: str | None = None, until: float | None = None
    ) -> list[LogLine]:
        """The last `count` lines, oldest first; only those at or after `since`, before `until`, that contain `q`."""
        first, end = (stamp(moment) if moment else b"" for moment in (since, until))

        def look(parts: Parts) -> list[LogLine]:
            before, stop = (parts.find(moment) if moment else None for moment in (end, first))
            return lines_of(parts.backward(before, count, Wish((q or "").encode()), stop=stop))

        return await self.read(app_id, look) if count else []

    async def read(self, app_id: str, look: Callable[[Parts], T]) -> T:
        """What `look` finds in the app's log with all that was said so far. It runs in a thread."""
        pending, folder = self._take(), LogFolder(self._folder_of(app_id), self._bytes_max)

        def settled() -> Parts:
            self._write(pending)
            return folder.open()

        opened = self._thread.submit(settled)  # where nobody appends meanwhile

        def work() -> T:
            with contextlib.closing(opened.result()) as parts:
                return look(parts)

        return await asyncio.to_thread(work)

    async def flush(self) -> None:
        """Return when everything said so far is in the files."""
        await asyncio.wrap_future(self._thread.submit(self._write, self._take()))

    async def close(self) -> None:
        """Write what is left and end every follower."""
        if self._timer is not None:
            self._timer.cancel()
        self.feed.close()
        await self.flush()
        self._thread.shutdown(wait=True)

    # Private

    def _take(self) -> dict[str, bytearray]:
        pending, self._pending = self._pending, {}
        return pending

    def _flush_soon(self) -> None:
        self._timer = None
        self._thread.submit(self._write, self._take())

    def _write(self, pending: dict[str, bytearray]) -> None:
        for app_id, content in pending.items():
            LogFolder(self._folder_of(app_id), self._bytes_max).append(content)


class Pump:
    """Reads one instance's combined stdout and stderr until its end. `ended` resolves at the end of the pipe."""

    def __init__(self, logs: Sink, app_id: str, version: int, descriptor: int) -> None:
        self.recent: deque[str] = deque(maxlen=RECENT_LINES_MAX)
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._logs = logs
        self._app_id = app_id
        self._version = version
        self._descriptor = descriptor
        self._rest = b""
        self._skipping = False
        self._skipping_dropped = False
        self._window = 0.0
        self._window_bytes = 0
        self._dropped = 0
        self._loop = asyncio.get_running_loop()
        os.set_blocking(descriptor, False)
        self._loop.add_reader(descriptor, self._read)

    def finish(self) -> None:
        """Take what is in the pipe now and stop: a grandchild may hold the other end, and write, for ever."""
        for _ in range(LAST_TURNS_MAX):
            if self.ended.done() or not self._read():
                break
        self._close()

    # Private

    def _read(self) -> bool:
        """Take one piece; false when there is none."""
        try:
            piece = os.read(self._descriptor, READ_BYTES_PER_TURN_MAX)
        except BlockingIOError:
            return False
        if not piece:
            self._close()
            return False
        now = self._loop.time()
        if now - self._window >= 1.0:
            self._window, self._window_bytes = now, 0
        self._window_bytes += len(piece)
        if self._window_bytes > RATE_BYTES_PER_SECOND_MAX:
            self._drop(piece)
        else:
            self._take(piece)
        return True

    def _drop(self, piece: bytes) -> None:
        """Over the rate: count, and read the next piece a little later so that a flood cannot take the loop."""
        self._dropped += piece.count(b"\n")
        self._rest = b""
        self._skipping = self._skipping_dropped = not piece.endswith(b"\n")
        self._loop.remove_reader(self._descriptor)
        self._loop.call_later(PAUSE_SECONDS_OVER_RATE, self._resume)

    def _resume(self) -> None:
        if not self.ended.done():
            self._loop.add_reader(self._descriptor, self._read)

    def _take(self, piece: bytes) -> None:
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        if self._skipping and lines:
            # The end of a line whose beginning was dropped or already written.
            del lines[0]
            self._dropped += self._skipping_dropped
            self._skipping = self._skipping_dropped = False
        if self._dropped and lines:
            self._logs.say(self._app_id, self._version, f"{self._dropped} lines dropped: the app wrote too fast")
            self._dropped = 0
        if len(self._rest) > LINE_BYTES_MAX:
            if not self._skipping:
                lines.append(self._rest)
            self._rest, self._skipping = b"", True
        self._keep([_cut(line) for line in lines])

    def _keep(self, lines: list[bytes]) -> None:
        if lines:
            self.recent.extend(line.decode("utf-8", "replace") for line in lines[-RECENT_LINES_MAX:])
            self._logs.add(self._app_id, self._version, "app", lines)

    def _close(self) -> None:
        if self.ended.done():
            return
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        if self._rest and not self._skipping:
            self._keep([_cut(self._rest)])
        self._dropped += self._skipping_dropped
        if self._dropped:
            self._logs.say(self._app_id, self._version, f"{self._dropped} lines dropped: the app wrote too fast")
        self.ended.set_result(None)


def lines_of(piece: Piece) -> list[LogLine]:
    """The lines that were found."""
    return [_parse(place, record) for place, record in piece.records]


def stamp(at: float) -> bytes:
    """A time as the files have it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()


def spoken(text: str) -> list[bytes]:
    """What the platform says as lines of a log."""
    return [_cut(line) for line in text.encode("utf-8", "replace").split(b"\n")]


# Private


def _cut(line: bytes) -> bytes:
    line = line.removesuffix(b"\r")
    if len(line) <= LINE_BYTES_MAX:
        return line
    return line[:LINE_BYTES_MAX] + " … (line cut at 16 KiB)".encode()


def _record(at: float, version: int, source: str, line: bytes) -> bytes:
    """One line of the file: time, version, source, text."""
    return b"%s %d %s %s\n" % (stamp(at), version, source.encode(), line)


def _parse(place: Place, record: bytes) -> LogLine:
    """A line as it lies in the file."""
    stamp, version, source, text = record.split(b" ", 3)
    at = datetime.fromisoformat(stamp.decode()).timestamp()
    return LogLine(at, int(version), source.decode(), text.decode("utf-8", "replace"), str(place))
