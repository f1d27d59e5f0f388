"""`Prefer: respond-async`: work in several steps goes on after its answer, 202 with the operation to ask for.

Sources: RFC 7240 (Prefer), sections 4.1 (respond-async) and 4.3 (wait); RFC 9110 section 15.3.3 (202).
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, UnsetType
from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.model import Principal
from steadyd.runner import operation
from steadyd.web import operations
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Call, handle
from steadyd.web.rooms import Rooms
from steadyd.web.schema import Strict

ASYNC = "respond-async"
BACKGROUND_MAX = 64
"""Calls that were answered with 202 and go on."""
WAIT_SECONDS_MAX = 60


class Accepted(Strict):
    """It goes on; `operation` tells how. `token` (once, to a guest) also reads the operation."""

    operation: operations.Operation
    token: str | UnsetType = UNSET


@dataclass(slots=True)
class Promise:
    """What is known of a call before its answer: its operation, once that is in the journal, and the token of a guest
    that it made."""

    begun: asyncio.Future[int]
    token: str = ""


promised: ContextVar[Promise | None] = ContextVar("promised", default=None)


@dataclass(frozen=True, slots=True)
class Preference:
    """`later`: the client does not wait for the end of the work, or only for some seconds."""

    later: bool
    wait_seconds: int = 0


def preference(headers: Sequence[str]) -> Preference:
    """What `Prefer` headers say; of a preference said twice the first counts, and what is wrong is ignored."""
    said: dict[str, str] = {}
    for token in ",".join(headers).split(","):
        name, _, value = token.partition(";")[0].partition("=")
        said.setdefault(name.strip().lower(), value.strip().strip('"'))
    wait = said.get("wait", "")
    seconds = int(wait[:9]) if wait.isascii() and wait.isdigit() else 0
    return Preference(ASYNC in said, min(seconds, WAIT_SECONDS_MAX))


async def keep_guest(rooms: Rooms, guest: Principal) -> None:
    """A guest who was made in a call that will not wait gets a token now."""
    promise = promised.get()
    if promise is not None:
        promise.token = await rooms.people.add_token(guest, "made with the first app", rooms.now())


def guest_token() -> str:
    """The token that such a guest was given; "" of none."""
    promise = promised.get()
    return promise.token if promise is not None else ""


def was_promised() -> bool:
    """Whether somebody was told where to read how this call ends, and must be able to."""
    promise = promised.get()
    return promise is not None and promise.begun.done()


class Background:
    """Runs calls, and lets those go on whose clients prefer it."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._under_way = 0

    async def run(self, call: Call) -> Response:
        """The call's answer, or 202 once its operation is in the journal.

        Raises:
            SteadyError: what the call raises before that, or `overloaded` past BACKGROUND_MAX.
        """
        prefers = preference(call.request.headers.getlist("prefer"))
        if not prefers.later or not call.endpoint.may_go_on:
            return await handle(call)
        if self._under_way >= BACKGROUND_MAX:
            message = f"{BACKGROUND_MAX} calls go on already that nobody waits for. Wait for this one, or try again."
            raise SteadyError("overloaded", message, retry_after=2)
        work, promise = self._begin(call)
        first: set[asyncio.Future[Any]] = {work, promise.begun}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not work.done() and prefers.wait_seconds:
            await asyncio.wait({work}, timeout=prefers.wait_seconds)
        if work.done():
            return work.result()
        found = await self._rooms.journal.operation(promise.begun.result())
        assert found is not None
        answer = Accepted(operation=operations.operation(found), token=promise.token or UNSET)
        headers = {"location": f"/api/operations/{found.id}", "preference-applied": ASYNC}
        return json_answer(answer, 202, headers)

    # Private

    def _begin(self, call: Call) -> tuple[asyncio.Future[Response], Promise]:
        """The call as a task of its own, which the daemon's end waits for, and what it will tell."""
        promise = Promise(asyncio.get_running_loop().create_future())
        context = contextvars.copy_context()
        context.run(operation.begun.set, promise.begun)
        context.run(promised.set, promise)
        self._under_way += 1
        work = asyncio.create_task(self._rooms.workshop.operations.to_the_end(handle(call)), context=context)
        work.add_done_callback(self._ended)
        return work, promise

    def _ended(self, work: asyncio.Future[Response]) -> None:
        self._under_way -= 1
        if not work.cancelled():
            work.exception()  # the journal has it, for whoever asks
