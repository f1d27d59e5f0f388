"""One request of the platform's own to an app, in its turn like any other: it wakes the app, waits at the gate, holds a
claim, and stands in the request log.

A cron's path is asked on the instance's socket. An exported function is called by way of a second socket beside it,
which the harness opens and no request from outside can reach.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.model import Cron
from steadyd.proxy.service import Service, Upstream
from steadyd.records.crons import Result
from steadyd.runner.start import CALLS

HEAD_BYTES_MAX = 64 << 10
ANSWER_BYTES_MAX = 1 << 20
"""Of an answer's body; the attempt is over there."""
TOLD_CHARACTERS_MAX = 500
"""Of what a failed answer said."""
CRON_KEY = "STEADY_CRON_KEY"
"""The variable in which an app finds the key of its crons' signatures."""
CLAIMS_MAX = 3
"""Claims for one attempt: an instance may be gone the moment that it is asked."""
NO_BODY = (204, 205, 304)
NOT_NOW = ("held", "suspended", "forbidden")
"""Refusals that are no failure of the app's: its moment is skipped."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What is asked: the cron, the moment it is for, which attempt this is, and the run's id."""

    app_id: str
    cron: Cron
    moment: float
    attempt: int
    run_id: int


@dataclass(frozen=True, slots=True)
class Told:
    """What the request log is told of one attempt. Times in seconds; `began` counts from 1970."""

    app_id: str
    method: str
    path: str
    began: float
    gate_seconds: float
    total_seconds: float
    status: int
    version: int
    answer_bytes: int
    request_id: str
    error: str


class Errands:
    """Sends them. `find` is who runs an app, `origin` the URL of an app by its name, `log` the request log, `say` an
    app's own log, `key` what an app's errands are signed with. An attempt takes `seconds` at most, the wait for
    the app among it; 0 is no limit."""

    def __init__(
        self,
        find: Callable[[str], Service | None],
        origin: Callable[[str], str],
        log: Callable[[Told], None],
        say: Callable[[str, int, str], None],
        key: Callable[[str], Awaitable[str]],
        seconds: float = 300.0,
    ) -> None:
        self._find = find
        self._origin = origin
        self._log = log
        self._say = say
        self._key = key
        self._seconds = seconds

    async def run(self, errand: Errand) -> Result:
        """Ask, and wait for the whole answer. What goes wrong is in the result."""
        service = self._find(errand.app_id)
        if service is None:
            return Result("skipped", error="The app has no live version.")
        began, claim = time.monotonic(), _Claim(errand, await self._key(errand.app_id))
        error = ""
        try:
            async with asyncio.timeout(self._seconds or None):
                await claim.ask(service, self._origin(service.name))
            outcome, said = _judge(errand, claim)
        except TimeoutError:
            error, outcome, said = "app_timeout", "failed", f"It was not answered within {self._seconds:g} s."
        except SteadyError as refused:
            error, said = refused.code, refused.message
            outcome = "skipped" if refused.code in NOT_NOW else "failed"
        total = time.monotonic() - began
        status = claim.status if not error else SteadyError(error, "").status
        gate = min(total, claim.granted_at - began) if claim.granted_at else total
        told = Told(
            errand.app_id, *claim.describe(), time.time() - total, gate, total, status, claim.version,
            claim.answer_bytes, claim.request_id, error,
        )  # fmt: skip
        self._log(told)
        self._say(errand.app_id, claim.version, f"Cron “{errand.cron.id}”: {said or f'done in {total * 1000:.0f} ms.'}")
        return Result(outcome, 0 if error else claim.status, said, claim.version, round(total * 1000, 1))


class _Claim:
    """A claim's holder, and the exchange under it."""

    def __init__(self, errand: Errand, key: str) -> None:
        self.status = self.version = self.answer_bytes = 0
        self.granted_at = 0.0
        self.request_id = f"cron-{secrets.token_hex(6)}"
        self.answer = b""
        self._errand = errand
        self._key = key
        self._turn: asyncio.Future[Upstream] = asyncio.get_running_loop().create_future()
        self._work: asyncio.Task[None] | None = None
        self._cut = False

    async def ask(self, service: Service, origin: str) -> None:
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
                self._work = asyncio.ensure_future(self._exchange(service, upstream, origin))
                await self._work
                return
            except ConnectionRefusedError:
                upstream.unreachable()
            except asyncio.CancelledError:
                if not self._cut:
                    raise
                if self.status and service.barrier is not None:
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
        cron = self._errand.cron
        return ("CALL", f"{cron.export}()") if cron.export else (cron.method, cron.path.partition("?")[0])

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

    async def _exchange(self, service: Service, upstream: Upstream, origin: str) -> None:
        address = str(Path(upstream.address).with_name(CALLS)) if self._errand.cron.export else upstream.address
        reader, writer = await asyncio.open_unix_connection(address, limit=HEAD_BYTES_MAX)
        try:
            writer.write(_request(self._errand, origin, self.request_id, self._key))
            await self._read(reader)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        if service.barrier is not None:
            await service.barrier.settle()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        status, headers = 100, {}
        while status < 200:
            lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            status = int(lines[0].split(b" ", 2)[1])
            headers = {
                name.strip().lower(): value.strip() for name, _, value in (ln.partition(b":") for ln in lines[1:])
            }
        if status not in NO_BODY:
            await self._read_body(reader, headers)
        self.status = status

    async def _read_body(self, reader: asyncio.StreamReader, headers: Mapping[bytes, bytes]) -> None:
        if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
            while (size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)) and not self._is_full:
                await self._take(reader, size)
                await reader.readexactly(2)
        elif b"content-length" in headers:
            await self._take(reader, int(headers[b"content-length"]))
        else:
            await self._take(reader, ANSWER_BYTES_MAX, to_the_end=True)

    async def _take(self, reader: asyncio.StreamReader, size: int, to_the_end: bool = False) -> None:
        while size > 0 and not self._is_full:
            piece = await reader.read(min(size, HEAD_BYTES_MAX))
            if not piece and not to_the_end:
                raise EOFError("the answer ends in its middle")
            if not piece:
                return
            size -= len(piece)
            self.answer_bytes += len(piece)
            self.answer = (self.answer + piece)[: 4 * TOLD_CHARACTERS_MAX]

    @property
    def _is_full(self) -> bool:
        return self.answer_bytes >= ANSWER_BYTES_MAX


# Private


def _request(errand: Errand, origin: str, request_id: str, key: str) -> bytes:
    """The head and, for a function, what it is called with."""
    cron = errand.cron
    scheme, _, host = origin.partition("://")
    at = datetime.fromtimestamp(errand.moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    body = b""
    if cron.export:
        event = {
            "export": cron.export,
            "cron": cron.schedule,
            "id": cron.id,
            "scheduledTime": int(errand.moment * 1000),
        }
        body = json.dumps({**event, "attempt": errand.attempt, "run": errand.run_id}).encode()
    lines = [
        f"{cron.method} {cron.path or '/'} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: steadyd-cron",
        "Accept: */*",
        f"X-Forwarded-Host: {host}",
        f"X-Forwarded-Proto: {scheme}",
        "X-Forwarded-For: 127.0.0.1",
        f"Steady-Request-Id: {request_id}",
        f"Steady-Cron: {cron.id}",
        f"Steady-Cron-Scheduled-At: {at}",
        f"Steady-Cron-Run: {errand.run_id}",
        f"Steady-Cron-Attempt: {errand.attempt}",
        f"Steady-Cron-Signature: {_sign(errand, at, key)}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _sign(errand: Errand, at: str, key: str) -> str:
    """HMAC-SHA256 of id, moment, run and attempt, each a line; in hexadecimal digits."""
    told = f"{errand.cron.id}\n{at}\n{errand.run_id}\n{errand.attempt}"
    return hmac.new(key.encode(), told.encode(), "sha256").hexdigest()


def _judge(errand: Errand, claim: _Claim) -> tuple[str, str]:
    """Outcome and why. A redirect is not followed, so nothing was done."""
    if 200 <= claim.status < 300:
        return "ok", ""
    said = claim.answer.decode("utf-8", "replace").strip()[:TOLD_CHARACTERS_MAX]
    hint = " A redirect is not followed." if 300 <= claim.status < 400 else ""
    return "failed", f"It answered {claim.status}.{hint}" + (f" {said}" if said else "")
