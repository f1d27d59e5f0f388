"""How apps of one owner reach each other: a door inside each private network, served by the data plane.

The door is a listening socket that was made inside the app's own network namespace, so nobody but that app can knock;
behind it lie its owner's apps, each woken by a request as from outside, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from steadyd.names import answer
from steadyd.proxy.hosts import RouteTable
from steadyd.proxy.limits import Limits
from steadyd.proxy.listener import Listener
from steadyd.proxy.ring import RequestRing
from steadyd.proxy.service import Service
from steadyd.reach import INTERNAL

QUERY_BYTES_MAX = 512
"""Of a query over UDP (RFC 1035, 4.2.1)."""
QUERIES_PER_TURN_MAX = 16
CLOSE_SECONDS_MAX = 1.0

EMPTY = RouteTable()


class Door:
    """One app's way to its neighbours."""

    def __init__(self, owner: str, listener: Listener, names: socket.socket, address: str) -> None:
        self.owner = owner
        self.listener = listener
        self._names = names
        names.setblocking(False)
        self._address = address
        asyncio.get_running_loop().add_reader(names.fileno(), self._read)

    def close(self) -> None:
        """Answer no more questions; the listener is closed by whoever made it."""
        asyncio.get_running_loop().remove_reader(self._names.fileno())
        self._names.close()

    # Private

    def _read(self) -> None:
        """Some queries, and the next ones at the loop's next turn: who asks without end delays nobody."""
        with contextlib.suppress(OSError):
            for _ in range(QUERIES_PER_TURN_MAX):
                packet, sender = self._names.recvfrom(QUERY_BYTES_MAX)
                if said := answer(packet, self._address):
                    self._names.sendto(said, sender)


class Neighbours:
    """Every door that is open."""

    def __init__(self, ring: RequestRing, limits: Limits) -> None:
        self._ring = ring
        self._limits = limits
        self._tables: dict[str, RouteTable] = {}
        self._doors: set[Door] = set()
        self._work: set[asyncio.Task[None]] = set()

    def set_routes(self, owned: Iterable[tuple[str, str, Service]]) -> None:
        """Every app as (its owner's id, its name, itself); the tables are built anew."""
        services: dict[str, dict[str, Service]] = {}
        for owner, name, service in owned:
            services.setdefault(owner, {})[f"{name}.{INTERNAL}"] = service
        self._tables = {owner: RouteTable(found) for owner, found in services.items()}
        for door in self._doors:
            door.listener.routes = self._tables.get(door.owner, EMPTY)

    def open(self, owner: str, web: socket.socket, names: socket.socket) -> Callable[[], None]:
        """Serve an owner's apps on two sockets inside a network; returns what ends it, and closes them."""
        listener = Listener(self._tables.get(owner, EMPTY), self._ring, self._limits)
        door = Door(owner, listener, names, web.getsockname()[0])
        self._doors.add(door)
        opening = self._later(listener.open_sockets([web]))

        def close() -> None:
            self._doors.discard(door)
            door.close()
            self._later(self._close(opening, listener))

        return close

    async def close(self) -> None:
        """Wait for what is being closed."""
        if self._work:
            await asyncio.wait(self._work)

    # Private

    async def _close(self, opening: asyncio.Task[None], listener: Listener) -> None:
        await asyncio.wait({opening})
        await listener.close(CLOSE_SECONDS_MAX)

    def _later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task
