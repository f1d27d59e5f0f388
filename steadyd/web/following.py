"""Answers that go on: server-sent events and endless text, ended when the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from steadyd.errors import SteadyError
from steadyd.web.answers import NO_STORE

KEEP_ALIVE_SECONDS = 15.0
ASKED_AGAIN_SECONDS_MAX = 10.0
"""For so long somebody goes on reading whose token was revoked, or whose app it is no more."""


class Following(Response):
    """An answer that goes on until the client leaves, the feed ends, or `still` raises: the client may no more."""

    still: Callable[[], Awaitable[None]] | None = None

    def __init__(self, chunks: AsyncIterator[bytes], ended: Callable[[], None], media_type: str) -> None:
        super().__init__(None, 200, {**NO_STORE, "x-accel-buffering": "no"}, media_type)
        del self.headers["content-length"]
        self._chunks = chunks
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pump = asyncio.create_task(self._pump(scope, send))
        others = asyncio.create_task(_gone(receive)), asyncio.create_task(self._may_no_more())
        try:
            await asyncio.wait((pump, *others), return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                pump.result()
        finally:
            for task in (pump, *others):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
            self._ended()

    async def _may_no_more(self) -> None:
        while True:
            await asyncio.sleep(ASKED_AGAIN_SECONDS_MAX)
            try:
                if self.still is not None:
                    await self.still()
            except SteadyError:
                return

    async def _pump(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            async for chunk in self._chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def server_sent(event: str, item: msgspec.Struct, event_id: str = "") -> bytes:
    """One server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event}\n".encode() + b"data: " + msgspec.json.encode(item) + b"\n\n"


# Private


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
