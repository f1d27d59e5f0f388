"""steadyd's listener in a process of its own, for the proxy benchmark: `python -m bench.front SOCKET PORT`.

Everything that costs something in the daemon is on: routes, limits, request ids, access records and their draining.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop

from steadyd.proxy.collector import settle_collector
from steadyd.proxy.hosts import RouteTable
from steadyd.proxy.listener import Listener
from steadyd.proxy.ring import RequestRing
from steadyd.proxy.service import Holder

DRAIN_SECONDS = 0.05
SWITCH_SECONDS = 0.0005


class Instance:
    """One running instance that never goes away."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.pool: list[Any] = []
        self.version = 1
        self.retired = False
        self.holders: set[Holder] = set()

    def unreachable(self) -> None:
        print("the app is gone", file=sys.stderr)

    def broke_off(self, holder: Holder) -> None:
        print("the app broke off", file=sys.stderr)

    def release(self, holder: Holder) -> None:
        self.holders.discard(holder)


class App:
    """A service that is always awake."""

    id = "abcdefghijkl"
    name = "hello"
    owned_by_steadyd = False
    hidden = False
    barrier = None
    body_bytes_max: int | None = None

    def __init__(self, instance: Instance) -> None:
        self.instance = instance

    def claim(self, holder: Holder) -> None:
        self.instance.holders.add(holder)
        holder.granted(self.instance)

    def forget(self, holder: Holder) -> None:
        raise AssertionError("nobody waits here")


async def serve(path: str, port: int) -> None:
    ring = RequestRing()
    routes = RouteTable({"hello.localhost": App(Instance(path))}, any_ip_is_control=True)
    listener = Listener(routes, ring)
    await listener.open("127.0.0.1", port)
    settle_collector()
    while True:
        await asyncio.sleep(DRAIN_SECONDS)
        await asyncio.to_thread(ring.drain)


if __name__ == "__main__":
    sys.setswitchinterval(SWITCH_SECONDS)
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
