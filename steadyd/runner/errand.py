"""One request of the platform's own to an app, in its turn like any other: it wakes the app, waits at the gate, holds a
claim, and stands in the request log.

A cron's path is asked on the instance's socket. An exported function is called by way of a second socket beside it,
which the harness opens and no request from outside can reach.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from steadyd.errors import SteadyError
from steadyd.model import Cron
from steadyd.proxy.service import Service
from steadyd.records.crons import Result
from steadyd.runner.visit import Question, Visit

TOLD_CHARACTERS_MAX = 500
"""Of what a failed answer said."""
CRON_KEY = "STEADY_CRON_KEY"
"""The variable in which an app finds the key of its crons' signatures."""
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
    client: str = "cron"
    """Who asked, where no address did."""


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
        began, origin, request_id = time.monotonic(), self._origin(service.name), f"cron-{secrets.token_hex(6)}"
        content = _request(errand, origin, request_id, await self._key(errand.app_id))
        visit = Visit(Question(*_told_as(errand.cron), content, bool(errand.cron.export)), 4 * TOLD_CHARACTERS_MAX)
        error = ""
        try:
            async with asyncio.timeout(self._seconds or None):
                await visit.ask(service)
            outcome, said = _judge(errand, visit)
        except TimeoutError:
            error, outcome, said = "app_timeout", "failed", f"It was not answered within {self._seconds:g} s."
        except SteadyError as refused:
            error, said = refused.code, refused.message
            outcome = "skipped" if refused.code in NOT_NOW else "failed"
        total = time.monotonic() - began
        status = visit.status if not error else SteadyError(error, "").status
        gate = min(total, visit.granted_at - began) if visit.granted_at else total
        told = Told(
            errand.app_id, *_told_as(errand.cron), time.time() - total, gate, total, status, visit.version,
            visit.answer_bytes, request_id, error,
        )  # fmt: skip
        self._log(told)
        self._say(errand.app_id, visit.version, f"Cron “{errand.cron.id}”: {said or f'done in {total * 1000:.0f} ms.'}")
        return Result(outcome, 0 if error else visit.status, said, visit.version, round(total * 1000, 1))


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


def _told_as(cron: Cron) -> tuple[str, str]:
    """Method and path, as the request log has them."""
    return ("CALL", f"{cron.export}()") if cron.export else (cron.method, cron.path.partition("?")[0])


def _judge(errand: Errand, visit: Visit) -> tuple[str, str]:
    """Outcome and why. A redirect is not followed, so nothing was done."""
    if 200 <= visit.status < 300:
        return "ok", ""
    said = visit.answer.decode("utf-8", "replace").strip()[:TOLD_CHARACTERS_MAX]
    hint = " A redirect is not followed." if 300 <= visit.status < 400 else ""
    return "failed", f"It answered {visit.status}.{hint}" + (f" {said}" if said else "")
