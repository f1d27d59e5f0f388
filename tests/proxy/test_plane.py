"""What the connections of a listener share."""

from __future__ import annotations

import asyncio

from steadyd.proxy.hosts import RouteTable
from steadyd.proxy.limits import Limits
from steadyd.proxy.plane import Plane
from steadyd.proxy.ring import RequestRing
from tests.proxy.stage import StagedService


def test_request_ids_are_unique_between_processes_too() -> None:
    async def body() -> None:
        first, second = (Plane(RouteTable(), Limits(), RequestRing(8), lambda service, host: None) for _ in range(2))
        ids = [plane.next_request_id() for plane in (first, second) for _ in range(100)]
        assert len(set(ids)) == 200
        assert {len(request_id) for request_id in ids} == {20}

    asyncio.run(body())


def test_a_narrowed_cookie_is_said_once_per_service() -> None:
    async def body() -> None:
        said: list[tuple[str, str]] = []
        plane = Plane(RouteTable(), Limits(), RequestRing(8), lambda service, host: said.append((service.id, host)))
        for name in ("a", "b", "a"):
            plane.cookie_narrowed(StagedService(name), f"{name}.localhost")
        assert said == [("a", "a.localhost"), ("b", "b.localhost")]

    asyncio.run(body())
