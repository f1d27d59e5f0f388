"""Opening connections to one instance: a few at a time, the other requests in line.

A thousand requests that were held at the gate are granted at once, and an accept queue is short. So few dial, a full
queue is tried again by one instead of by all, and whoever stands in line takes any connection that becomes free.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from steadyd.errors import SteadyError
from steadyd.proxy.answer import AnswerCache
from steadyd.proxy.limits import CONNECT_RETRY_SECONDS, CONNECT_SECONDS_MAX, DIALING_MAX
from steadyd.proxy.service import Upstream
from steadyd.proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from steadyd.proxy.exchange import Exchange
    from steadyd.proxy.plane import Plane


class Dialer:
    """Lives in `plane.dialers` while somebody wants a connection to its instance."""

    __slots__ = ("_answers", "_dialing", "_line", "_plane", "_upstream")

    def __init__(self, plane: Plane, upstream: Upstream, answers: AnswerCache) -> None:
        self._plane = plane
        self._upstream = upstream
        self._answers = answers
        self._dialing = 0
        self._line: deque[tuple[Exchange, float]] = deque()

    def want(self, exchange: Exchange) -> None:
        """Get a connection for `exchange`; its `use`, `connect_failed` or `fail` follows."""
        self._line.append((exchange, time.monotonic() + CONNECT_SECONDS_MAX))
        if self._dialing < DIALING_MAX:
            self._dialing += 1
            task = self._plane.loop.create_task(self._dial())
            self._plane.connecting.add(task)
            task.add_done_callback(self._plane.connecting.discard)

    def offer(self, connection: UpstreamConnection) -> bool:
        """Hand a connection that became free to the first in line; False if nobody stands there."""
        waiting = self._next()
        if waiting is None:
            return False
        waiting[0].use(connection)
        return True

    # Private

    async def _dial(self) -> None:
        """Dial until nobody is in line."""
        try:
            while (waiting := self._next()) is not None:
                await self._dial_for(*waiting)
        finally:
            self._dialing -= 1
            if not self._dialing and self._plane.dialers.get(self._upstream.address) is self:
                del self._plane.dialers[self._upstream.address]

    async def _dial_for(self, exchange: Exchange, deadline: float) -> None:
        plane, upstream = self._plane, self._upstream
        try:
            _, connection = await plane.loop.create_unix_connection(
                lambda: UpstreamConnection(plane, self._answers), upstream.address
            )
        except BlockingIOError:  # its accept queue is full: it is alive and busy
            if time.monotonic() > deadline:
                exchange.fail(SteadyError("app_timeout", "The app did not take the connection.", retry_after=1))
            else:
                self._line.appendleft((exchange, deadline))
                await asyncio.sleep(CONNECT_RETRY_SECONDS)
        except OSError:
            exchange.connect_failed()
        else:
            if exchange.wants_upstream:
                exchange.use(connection)
            elif not self.offer(connection):
                connection.close()

    def _next(self) -> tuple[Exchange, float] | None:
        """The first in line whose client is still there."""
        while self._line:
            waiting = self._line.popleft()
            if waiting[0].wants_upstream:
                return waiting
        return None


def dial(plane: Plane, exchange: Exchange, upstream: Upstream, answers: AnswerCache) -> None:
    """Get a new connection, or the next free one, for `exchange`."""
    dialer = plane.dialers.get(upstream.address)
    if dialer is None:
        dialer = plane.dialers[upstream.address] = Dialer(plane, upstream, answers)
    dialer.want(exchange)
