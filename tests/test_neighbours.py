"""Doors on sockets of this host: what makes them an app's own is their namespace, and tests/e2e/test_network.py's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from steadyd import neighbours as module
from steadyd.errors import SteadyError
from steadyd.neighbours import QUERIES_PER_TURN_MAX, Neighbours
from steadyd.proxy.limits import Limits
from steadyd.proxy.ring import RequestRing
from steadyd.proxy.service import Holder
from tests.proxy.stage import run
from tests.test_names import query


class Saying:
    """A service that answers every request with an error that bears its name."""

    owned_by_steadyd = False
    hidden = False
    barrier = None
    body_bytes_max: int | None = None

    def __init__(self, name: str) -> None:
        self.id = self.name = name

    def claim(self, holder: Holder) -> None:
        holder.refused(SteadyError("held", f"I am {self.name}."))

    def forget(self, holder: Holder) -> None: ...


class House:
    """One owner's door."""

    def __init__(self, neighbours: Neighbours, owner: str) -> None:
        web = socket.create_server(("127.0.0.1", 0))
        names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        names.bind(("127.0.0.1", 0))
        self.web, self.names = web.getsockname(), names.getsockname()
        self.close = neighbours.open(owner, web, names)

    async def get(self, host: str) -> str:
        reader, writer = await asyncio.open_connection(*self.web)
        writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        said = (await reader.read(-1)).decode()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return said


@contextlib.asynccontextmanager
async def street() -> AsyncIterator[Neighbours]:
    made = Neighbours(RequestRing(), Limits())
    made.set_routes([("ann", "one", Saying("one")), ("ann", "two", Saying("two")), ("bob", "three", Saying("three"))])
    try:
        yield made
    finally:
        await made.close()


def test_a_door_leads_to_its_owner_s_apps_and_nowhere_else() -> None:
    async def body() -> None:
        async with street() as neighbours:
            ann, bob, nobody = (House(neighbours, owner) for owner in ("ann", "bob", "eve"))
            assert "I am two" in await ann.get("two.internal")
            assert "I am three" in await bob.get("three.internal:80")
            for house, host in ((ann, "three.internal"), (bob, "one.internal"), (nobody, "one.internal")):
                said = await house.get(host)
                assert said.startswith("HTTP/1.1 404")
                assert "unknown_host" in said
            for house in (ann, bob, nobody):
                house.close()

    run(body())


def test_an_app_that_comes_or_goes_is_so_at_an_open_door() -> None:
    async def body() -> None:
        async with street() as neighbours:
            ann = House(neighbours, "ann")
            neighbours.set_routes([("ann", "new", Saying("new"))])
            assert "I am new" in await ann.get("new.internal")
            assert "unknown_host" in await ann.get("one.internal")
            ann.close()

    run(body())


def test_names_are_answered_with_the_door_s_address() -> None:
    async def body() -> None:
        async with street() as neighbours:
            ann = House(neighbours, "ann")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.setblocking(False)
                asking.connect(ann.names)
                loop = asyncio.get_running_loop()
                for _ in range(3 * QUERIES_PER_TURN_MAX):
                    asking.send(query("one.internal"))
                for _ in range(3 * QUERIES_PER_TURN_MAX):
                    assert (await loop.sock_recv(asking, 600)).endswith(socket.inet_aton("127.0.0.1"))
                asking.send(query("one.internal") + bytes(600))
                assert len(await loop.sock_recv(asking, 600)) < 60, "what is longer than a query is cut"
            ann.close()

    run(body())


def test_a_closed_door_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while a neighbour waits for an answer: its app is gone, and so is its network."""
    monkeypatch.setattr(module, "CLOSE_SECONDS_MAX", 0.05)

    class Waiting(Saying):
        def claim(self, holder: Holder) -> None: ...

    async def body() -> None:
        async with street() as neighbours:
            neighbours.set_routes([("ann", "slow", Waiting("slow"))])
            ann = House(neighbours, "ann")
            reader, writer = await asyncio.open_connection(*ann.web)
            writer.write(b"GET / HTTP/1.1\r\nHost: slow.internal\r\n\r\n")
            await asyncio.sleep(0)
            ann.close()
            await reader.read(-1)
            writer.close()
            await neighbours.close()
            with pytest.raises(ConnectionError):
                await asyncio.open_connection(*ann.web)

    run(body())
