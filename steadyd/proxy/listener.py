"""The public listener: sockets in, one sweep timer, an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from typing import cast

from steadyd.proxy.client import ClientConnection
from steadyd.proxy.hosts import RouteTable
from steadyd.proxy.limits import SWEEP_SECONDS, Limits
from steadyd.proxy.plane import Plane
from steadyd.proxy.ring import RequestRing
from steadyd.proxy.service import Service

BACKLOG = 4_096
CUT_FLUSH_SECONDS = 0.2
"""After the deadline: time for the last error pages to leave."""


class Listener:
    """Accepts client connections and moves their requests to services.

    Create it inside the running loop. `routes` may be replaced at any time by assigning a new table.
    """

    def __init__(
        self,
        routes: RouteTable,
        ring: RequestRing,
        limits: Limits | None = None,
        on_cookie_narrowed: Callable[[Service, str], None] = lambda service, host: None,
    ) -> None:
        self._plane = Plane(routes, limits or Limits(), ring, on_cookie_narrowed)
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def routes(self) -> RouteTable:
        return self._plane.routes

    @routes.setter
    def routes(self, table: RouteTable) -> None:
        self._plane.routes = table

    @property
    def connections(self) -> int:
        """Open client connections."""
        return len(self._plane.clients)

    @property
    def upstream_connections(self) -> int:
        """Open connections to instances, idle ones included, WebSockets not."""
        return len(self._plane.upstreams)

    @property
    def exchanges(self) -> int:
        """Requests under way."""
        return sum(client.exchanges for client in self._plane.clients)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """(host, port) of each listening socket."""
        return [sock.getsockname()[:2] for server in self._servers for sock in server.sockets]

    async def open(self, host: str, port: int) -> None:
        """Listen on TCP; port 0 picks a free one. Raises OSError if the address is taken."""
        await self._serve(await asyncio.get_running_loop().create_server(self._door, host, port, backlog=BACKLOG))

    async def open_sockets(self, sockets: Sequence[socket.socket]) -> None:
        """Listen on bound sockets."""
        for sock in sockets:
            await self._serve(await asyncio.get_running_loop().create_server(self._door, sock=sock, backlog=BACKLOG))

    async def close(self, deadline: float) -> None:
        """Stop accepting, end idle connections and long-lived answers, let the others finish for up to `deadline`
        seconds, then cut them."""
        plane = self._plane
        for server in self._servers:
            server.close()
        plane.closing = True
        for client in self._clients():
            client.close_soon()
        await self._until_empty(deadline)
        for client in self._clients():
            client.cut()
        await self._until_empty(CUT_FLUSH_SECONDS)
        for client in self._clients():
            client.kill()
        self._stop()

    def tick(self, now: float) -> None:
        """Let every connection look at its time-outs; `now` is monotonic. The sweep timer calls it."""
        self._plane.sweep(now)

    # Private

    def _door(self) -> ClientConnection:
        return ClientConnection(self._plane)

    async def _serve(self, server: asyncio.Server) -> None:
        self._servers.append(server)
        if self._sweeper is None:
            self._sweep()

    def _sweep(self) -> None:
        self.tick(time.monotonic())
        self._sweeper = self._plane.loop.call_later(SWEEP_SECONDS, self._sweep)

    def _clients(self) -> list[ClientConnection]:
        return [cast(ClientConnection, client) for client in self._plane.clients]

    async def _until_empty(self, seconds: float) -> None:
        if self._plane.clients:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._plane.empty.wait()

    def _stop(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for task in self._plane.connecting:
            task.cancel()
        self._plane.close_upstreams()
