"""What the connections of a listener share."""

from __future__ import annotations

import asyncio

from steadyd.proxy.hosts import RouteTable
from steadyd.proxy.limits import Limits
from steadyd.proxy.plane import NO_ROBOTS, Plane
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


def test_what_keeps_no_log_is_not_told_of_a_cookie_either() -> None:
    async def body() -> None:
        said: list[str] = []
        plane = Plane(RouteTable(), Limits(), RequestRing(8), lambda service, host: said.append(host))
        plane.cookie_narrowed(StagedService(""), "0a.localhost")
        assert said == []

    asyncio.run(body())


def test_every_answer_of_what_is_hidden_says_so_to_search_engines() -> None:
    async def body() -> None:
        plane = Plane(RouteTable(), Limits(), RequestRing(8), lambda service, host: None)
        app, control, draft = StagedService("a"), StagedService("c", owned_by_steadyd=True), StagedService("")
        draft.hidden = True
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Robots-Tag: all\r\n\r\n"
        said = [NO_ROBOTS in plane.answers_of(service).read(head).plain for service in (app, control, draft)]
        assert said == [False, False, True]

    asyncio.run(body())
