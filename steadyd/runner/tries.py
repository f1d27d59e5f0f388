"""A request that an owner builds by hand: asked of the app in its turn, like a visitor's, or of its preview; the answer
is told as far as it is small and soon, with what the app said meanwhile."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.feed import Feed
from steadyd.model import App, AppState
from steadyd.proxy.service import Service
from steadyd.runner.errand import Told
from steadyd.runner.fleet import Fleet
from steadyd.runner.ground import nothing_live
from steadyd.runner.logs import LogLine
from steadyd.runner.previews import Previews
from steadyd.runner.visit import ANSWER_BYTES_MAX, Question, Visit

TRY_SECONDS_MAX = 60.0
"""Until the answer begins, the wait for a start among it."""
OPEN_SECONDS_MAX = 5.0
"""For the rest of an answer; one that goes on is told as far as it came."""
PATH_CHARACTERS_MAX = 8_192
HEADERS_MAX = 64
HEADER_CHARACTERS_MAX = 16 << 10
"""Of all names and values."""
LINES_MAX = 200
"""Of the log, of one request."""
LINES_SECONDS = 0.05
"""After the answer, for what the app wrote last to be read from its pipe."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")
OURS = frozenset(
    "connection content-length expect forwarded host keep-alive proxy-authenticate proxy-authorization "
    "proxy-connection te trailer transfer-encoding upgrade x-real-ip".split()
)
"""Headers about one connection, or that we write ourselves."""
OUR_PREFIXES = ("steady-", "x-forwarded-")
CLIENT = "try"
"""What the request log has in the place of a client's address."""
PATH = re.compile(r"/[\x21\x22\x24-\x7e]*")
NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked. `path` has its query."""

    method: str = "GET"
    path: str = "/"
    headers: Mapping[str, str] | None = None
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it. `status` is the platform's own where `error` (a code and a sentence) says why the app did not
    answer. Times in milliseconds; `start_ms` of an app that had to be started."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool
    began: float
    """In seconds since 1970."""
    ms: float
    gate_ms: float
    start_ms: float | None
    app_ms: float
    request_id: str
    version: int
    lines: tuple[LogLine, ...]
    error: tuple[str, str] | None = None


def check(asking: Asking) -> None:
    """See that it is a request that a visitor could send.

    Raises:
        SteadyError: `invalid`, naming the field.
    """
    if asking.method not in METHODS:
        raise _invalid("method", f"“{asking.method[:20]}” is no method to try. There are: {', '.join(METHODS)}.")
    if len(asking.path) > PATH_CHARACTERS_MAX:
        raise _invalid("path", f"The path has more than {PATH_CHARACTERS_MAX:,} characters.")
    if not PATH.fullmatch(asking.path):
        raise _invalid("path", "The path begins with / and has no blank, no # and only ASCII: write others as %20.")
    headers = asking.headers or {}
    if len(headers) > HEADERS_MAX:
        raise _invalid("headers", f"There are more than {HEADERS_MAX} headers.")
    if sum(len(name) + len(value) for name, value in headers.items()) > HEADER_CHARACTERS_MAX:
        raise _invalid("headers", f"The headers have more than {HEADER_CHARACTERS_MAX:,} characters together.")
    for name, value in headers.items():
        _check_header(name, value)


def content(asking: Asking, origin: str, request_id: str) -> bytes:
    """The request as bytes, as it would come from the data plane."""
    scheme, _, host = origin.partition("://")
    headers = {"User-Agent": "steadyd-try", "Accept": "*/*"}
    given = {name.lower() for name in asking.headers or {}}
    lines = [f"{asking.method} {asking.path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() not in given]
    lines += [f"{name}: {value.strip()}" for name, value in (asking.headers or {}).items()]
    lines += [f"X-Forwarded-Host: {host}", f"X-Forwarded-Proto: {scheme}", "X-Forwarded-For: 127.0.0.1"]
    lines += [f"Steady-Request-Id: {request_id}", "Connection: close"]
    if asking.body or asking.method in ("POST", "PUT", "PATCH", "QUERY"):
        lines.append(f"Content-Length: {len(asking.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + asking.body


class Tries:
    """Asks. `record` is the request log."""

    def __init__(self, fleet: Fleet, previews: Previews, record: Callable[[Told], None]) -> None:
        self._fleet = fleet
        self._previews = previews
        self._record = record

    async def ask(self, app: App, asking: Asking) -> Tried:
        """Ask the live version.

        Raises:
            SteadyError: `invalid`, or `conflict` where nothing is live.
        """
        check(asking)
        runtime, urls, logs = self._fleet.runtime(app.id), self._fleet.ground.urls, self._fleet.ground.logs
        if runtime is None:
            raise nothing_live(app)
        asleep = runtime.state not in (AppState.RUNNING, AppState.FROZEN)
        tried = await _ask(runtime, urls.app(app.name), asking, (logs.feed, app.id), asleep)
        self._record(_told(app.id, asking, tried))
        return tried

    async def ask_draft(self, app: App, asking: Asking) -> Tried:
        """Ask the app's preview.

        Raises:
            SteadyError: `invalid`, or `conflict` where there is none.
        """
        check(asking)
        preview = self._previews.of(app.id)
        if preview is None:
            raise SteadyError("conflict", f"No draft of “{app.name}” runs. Start its preview first.")
        return await _ask(preview, self._previews.url(preview), asking, (self._previews.scrolls.feed, app.id), False)


# Private


def _check_header(name: str, value: str) -> None:
    shown = name[:60].encode("utf-8", "replace").decode()
    if not NAME.fullmatch(name):
        raise _invalid("headers", f"“{shown}” cannot be a header's name.")
    if name.lower() in OURS or name.lower().startswith(OUR_PREFIXES):
        raise _invalid("headers", f"“{shown}” is steadyd's to write. Leave it out.")
    if not VALUE.fullmatch(value):
        raise _invalid("headers", f"The value of “{shown}” has a line break or another character that none can have.")


def _invalid(field: str, message: str) -> SteadyError:
    return SteadyError("invalid", message, {"field": field})


async def _ask(service: Service, origin: str, asking: Asking, log: tuple[Feed[LogLine], str], asleep: bool) -> Tried:
    feed, key = log
    heard = feed.subscribe(key)
    try:
        request_id, asked_at, began = f"try-{secrets.token_hex(6)}", time.time(), time.monotonic()
        question = Question(asking.method, _told_path(asking), content(asking, origin, request_id))
        visit, late, error = await _visit(service, question)
        ended = time.monotonic()
        await asyncio.sleep(LINES_SECONDS)
    finally:
        heard.close()
    granted = visit.granted_at or ended
    gate = (granted - began) * 1000
    return Tried(
        status=error.status if error else visit.status,
        headers=() if error else _shown(visit.fields),
        body=b"" if error else visit.answer,
        truncated=late or visit.is_full,
        began=asked_at,
        ms=(ended - began) * 1000,
        gate_ms=gate,
        start_ms=gate if asleep and visit.granted_at else None,
        app_ms=(ended - granted) * 1000,
        request_id=request_id,
        version=visit.version,
        lines=tuple(heard.take(LINES_MAX)),
        error=(error.code, error.message) if error else None,
    )


async def _visit(service: Service, question: Question) -> tuple[Visit, bool, SteadyError | None]:
    """What came of it, whether its answer went on for too long, and why there is none."""
    visit, loop = Visit(question, ANSWER_BYTES_MAX), asyncio.get_running_loop()
    try:
        async with asyncio.timeout(TRY_SECONDS_MAX) as limit:
            visit.on_head = lambda: limit.reschedule(loop.time() + OPEN_SECONDS_MAX)
            await visit.ask(service)
    except TimeoutError:
        if visit.status:
            return visit, True, None
        said = f"The app did not begin to answer within {TRY_SECONDS_MAX:g} s."
        return visit, False, SteadyError("app_timeout", said)
    except SteadyError as refused:
        return visit, False, refused
    return visit, False, None


def _told_path(asking: Asking) -> str:
    """As logs have it: what a query says is nobody else's business."""
    return asking.path.partition("?")[0]


def _shown(fields: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """What a visitor gets of the answer's headers."""
    return tuple(
        (name, value) for name, value in fields if name.lower() not in OURS and not name.lower().startswith("steady-")
    )


def _told(app_id: str, asking: Asking, tried: Tried) -> Told:
    return Told(
        app_id=app_id,
        method=asking.method,
        path=_told_path(asking),
        began=tried.began,
        gate_seconds=tried.gate_ms / 1000,
        total_seconds=tried.ms / 1000,
        status=tried.status,
        version=tried.version,
        answer_bytes=len(tried.body),
        request_id=tried.request_id,
        error=tried.error[0] if tried.error else "",
        client=CLIENT,
    )
