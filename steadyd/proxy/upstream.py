"""One connection to an instance, and the pool of idle ones that each instance has for itself.

Connections are never shared between instances, and one that sent a single byte more than its answer is never used
again: an app may try to answer the next visitor's request before it was asked.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

from steadyd.proxy.answer import AnswerCache
from steadyd.proxy.limits import POOL_IDLE_MAX, POOL_IDLE_SECONDS_MAX
from steadyd.proxy.reading import HEAD, IDLE, AnswerReading
from steadyd.proxy.service import Upstream

if TYPE_CHECKING:
    from steadyd.proxy.exchange import Exchange
    from steadyd.proxy.plane import Plane


class UpstreamConnection(AnswerReading):
    """Serves one exchange at a time, which writes to `transport` and pauses the reading."""

    __slots__ = ("_home", "_idle_since", "_plane", "closed", "reused")

    def __init__(self, plane: Plane, answers: AnswerCache) -> None:
        super().__init__(answers)
        self._plane = plane
        self._idle_since = 0.0
        self._home: Upstream | None = None
        self.reused = False
        self.closed = False

    def begin(self, exchange: Exchange, data: bytes) -> None:
        """Send a request, or its beginning."""
        self._exchange = exchange
        self._mode = HEAD
        self._interims = 0
        self.transport.write(data)

    def let_go(self, upstream: Upstream, now: float) -> None:
        """The exchange is over and its request was sent whole: back to the pool, if nothing speaks against it."""
        self._exchange = None
        if self._full:
            self.resume()
        pool = upstream.pool
        if self._mode != IDLE or not self._reusable or upstream.retired or len(pool) >= POOL_IDLE_MAX:
            self.close()
            return
        self.reused = True
        dialers = self._plane.dialers
        if dialers and upstream.address in dialers and dialers[upstream.address].offer(self):
            return
        self._idle_since = now
        self._home = upstream
        pool.append(self)

    def close(self) -> None:
        """Drop the connection now; the app sees its request aborted."""
        self._exchange = None
        self.drop()
        _leave_pool(self)
        if not self.closed:
            self.closed = True
            self.transport.abort()

    kill = close

    def hand_over(self) -> asyncio.Transport:
        """Give the transport away to a splice."""
        self._exchange = None
        self._plane.upstreams.discard(self)
        return self.transport

    def tick(self, now: float) -> None:
        if self._exchange is not None:
            if self._mode == HEAD and not self.withheld:
                self._exchange.check_answer_time(now)
        elif now - self._idle_since > POOL_IDLE_SECONDS_MAX or (self._home is not None and self._home.retired):
            self.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._plane.upstreams.add(self)
        self._idle_since = time.monotonic()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._plane.upstreams.discard(self)
        _leave_pool(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.door.pause_reading()

    def resume_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.door.resume_reading()

    def lost(self) -> None:
        exchange = self._exchange
        self._exchange = None
        if exchange is not None:
            exchange.upstream_lost(self)


def take_idle(upstream: Upstream) -> UpstreamConnection | None:
    """The most recently used idle connection of an instance."""
    pool: list[UpstreamConnection] = upstream.pool
    while pool:
        connection = pool.pop()
        connection._home = None
        if not connection.closed:
            return connection
    return None


def _leave_pool(connection: UpstreamConnection) -> None:
    home = connection._home
    if home is not None:
        connection._home = None
        if connection in home.pool:
            home.pool.remove(connection)
