"""One request of the platform's own on an app: a claim's holder, and the exchange under it.

It wakes the app, waits at its gate and is drained like any visitor's. What it is about is its sender's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.proxy.service import Service, Upstream
from steadyd.runner.start import CALLS

HEAD_BYTES_MAX = 64 << 10
ANSWER_BYTES_MAX = 1 << 20
"""Of an answer's body; the visit is over there."""
CLAIMS_MAX = 3
"""Claims for one visit: an instance may be gone the moment that it is asked."""
NO_BODY = (204, 205, 304)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `method` and `path` are how it is told of; `content` is the request itself, which says that its
    connection closes."""

    method: str
    path: str
    content: bytes
    function: bool = False
    """It goes to the socket where functions are called."""


class Visit:
    """Asks once. What came of it so far can be read at any time."""

    def __init__(self, question: Question, kept_bytes: int) -> None:
        """`kept_bytes` of the answer's body are kept in `answer`."""
        self.status = self.version = self.answer_bytes = 0
        self.granted_at = self.answered_at = 0.0
        """Monotonic seconds: when an instance was there, and when its answer began."""
        self.fields: list[tuple[str, str]] = []
        """The answer's headers, in order."""
        self.answer = b""
        self.on_head: Callable[[], None] = lambda: None
        """Called when the answer's head is there."""
        self._question = question
        self._kept_bytes = kept_bytes
        self._turn: asyncio.Future[Upstream] = asyncio.get_running_loop().create_future()
        self._work: asyncio.Task[None] | None = None
        self._read_all = self._cut = False

    async def ask(self, service: Service) -> None:
        """Claim, ask, release; again if the instance proves to be gone before it was asked. What the app's visitors
        would wait for, this waits for.

        Raises:
            SteadyError: there is no instance, or it ended or was replaced before it had answered; or `not_replicated`.
        """
        for _ in range(CLAIMS_MAX):
            if service.barrier is not None and (refusal := service.barrier.refusal()) is not None:
                raise refusal
            upstream = await self._claim(service)
            try:
                self._work = asyncio.ensure_future(self._exchange(service, upstream))
                await self._work
                return
            except ConnectionRefusedError:
                upstream.unreachable()
            except asyncio.CancelledError:
                if not self._cut:
                    raise
                if self._read_all and service.barrier is not None:
                    raise service.barrier.late() from None
                said = "The app was replaced and had not answered in time."
                raise SteadyError("app_timeout", said) from None
            except (OSError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError) as error:
                upstream.broke_off(self)
                said = f"It did not answer with HTTP, or ended before its answer did ({error or type(error).__name__})."
                raise SteadyError("app_died", said) from None
            finally:
                if self._work is not None:
                    self._work.cancel()
                upstream.release(self)
        raise SteadyError("app_died", "The app stopped before it could be asked.")

    # Holder

    def granted(self, upstream: Upstream) -> None:
        if self._turn.done():  # whoever waited has gone
            upstream.release(self)
            return
        self._turn.set_result(upstream)

    def refused(self, error: SteadyError) -> None:
        if not self._turn.done():
            self._turn.set_exception(error)

    def describe(self) -> tuple[str, str]:
        return self._question.method, self._question.path

    def wind_down(self) -> None:
        """It is no event stream; it has the drain's time like any answer."""

    def cut(self) -> None:
        self._cut = True
        if self._work is not None:
            self._work.cancel()

    # Private

    async def _claim(self, service: Service) -> Upstream:
        self._turn = asyncio.get_running_loop().create_future()
        service.claim(self)
        try:
            upstream = await asyncio.shield(self._turn)
        except asyncio.CancelledError:
            service.forget(self)
            if self._turn.done() and not self._turn.cancelled() and self._turn.exception() is None:
                self._turn.result().release(self)
            self._turn.cancel()
            raise
        self.granted_at, self.version = time.monotonic(), upstream.version
        return upstream

    async def _exchange(self, service: Service, upstream: Upstream) -> None:
        question = self._question
        address = str(Path(upstream.address).with_name(CALLS)) if question.function else upstream.address
        reader, writer = await asyncio.open_unix_connection(address, limit=HEAD_BYTES_MAX)
        try:
            writer.write(question.content)
            await self._read(reader)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        self._read_all = True
        if service.barrier is not None:
            await service.barrier.settle()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        status, fields = 100, list[tuple[str, str]]()
        while status < 200:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ", 2)[1])
            pairs = (line.partition(":") for line in lines[1:] if line)
            fields = [(name.strip(), value.strip()) for name, _, value in pairs]
        self.status, self.fields, self.answered_at = status, fields, time.monotonic()
        self.on_head()
        if status not in NO_BODY and self._question.method != "HEAD":
            await self._read_body(reader, {name.lower(): value for name, value in fields})

    async def _read_body(self, reader: asyncio.StreamReader, headers: Mapping[str, str]) -> None:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while (size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)) and not self.is_full:
                await self._take(reader, size)
                await reader.readexactly(2)
        elif "content-length" in headers:
            await self._take(reader, int(headers["content-length"]))
        else:
            await self._take(reader, ANSWER_BYTES_MAX, to_the_end=True)

    async def _take(self, reader: asyncio.StreamReader, size: int, to_the_end: bool = False) -> None:
        while size > 0 and not self.is_full:
            piece = await reader.read(min(size, HEAD_BYTES_MAX))
            if not piece and not to_the_end:
                raise EOFError("the answer ends in its middle")
            if not piece:
                return
            size -= len(piece)
            self.answer_bytes += len(piece)
            self.answer = (self.answer + piece)[: self._kept_bytes]

    @property
    def is_full(self) -> bool:
        """Whether more than ANSWER_BYTES_MAX came, or would."""
        return self.answer_bytes >= ANSWER_BYTES_MAX
