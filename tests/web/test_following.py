"""Server-sent events on the wire, and an answer that ends when its source or its client does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from steadyd.errors import SteadyError
from steadyd.web import following
from steadyd.web.following import Following, server_sent
from steadyd.web.schema import Missed

SCOPE = {"type": "http", "method": "GET"}


def test_a_server_sent_event_is_one_block() -> None:
    assert server_sent("missed", Missed(missed=3), "7") == b'id: 7\nevent: missed\ndata: {"missed":3}\n\n'


async def gone() -> Any:
    return {"type": "http.disconnect"}


async def staying() -> Any:
    await asyncio.Event().wait()


def test_it_ends_with_its_source_and_tells_once() -> None:
    async def body() -> None:
        sent: list[Any] = []
        ended: list[bool] = []

        async def chunks() -> AsyncIterator[bytes]:
            yield b"one"

        async def send(message: Any) -> None:
            sent.append(message)

        await Following(chunks(), lambda: ended.append(True), "text/plain")(SCOPE, staying, send)
        assert [message.get("body") for message in sent] == [None, b"one", b""]
        assert sent[-1]["more_body"] is False
        assert ended == [True]

    asyncio.run(body())


def test_who_may_no_more_is_asked_again_and_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "ASKED_AGAIN_SECONDS_MAX", 0.01)

    async def body() -> None:
        ended: list[bool] = []
        asked: list[bool] = []

        async def endless() -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b""

        async def send(message: Any) -> None:
            pass

        async def still() -> None:
            asked.append(True)
            if len(asked) == 3:
                raise SteadyError("unauthorized", "You were logged out.")

        answer = Following(endless(), lambda: ended.append(True), "text/plain")
        answer.still = still
        await asyncio.wait_for(answer(SCOPE, staying, send), 10.0)
        assert (len(asked), ended) == (3, [True])

    asyncio.run(body())


def test_a_client_that_leaves_ends_it() -> None:
    async def body() -> None:
        ended: list[bool] = []

        async def chunks() -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b""

        async def send(message: Any) -> None:
            return None

        async with asyncio.timeout(2):
            await Following(chunks(), lambda: ended.append(True), "text/plain")(SCOPE, gone, send)
        assert ended == [True]

    asyncio.run(body())


def test_a_failure_of_its_source_is_raised() -> None:
    async def body() -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield b""
            raise ValueError("broken")

        async def send(message: Any) -> None:
            return None

        with pytest.raises(ValueError, match="broken"):
            await Following(chunks(), lambda: None, "text/plain")(SCOPE, staying, send)

    asyncio.run(body())
