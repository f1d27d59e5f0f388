"""What all connections of one listener share, and the door through which requests come in.

A door speaks one wire protocol to clients. Today there is one, HTTP/1.1 in `client.py`; an HTTP/2 front is a second
one that builds the same `RequestHead` and `Exchange` for each stream and puts the answer into its own frames.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from steadyd.errors import SteadyError
from steadyd.proxy.answer import AnswerCache, AnswerHead
from steadyd.proxy.cookies import authority, only_ours
from steadyd.proxy.head import HeadCache
from steadyd.proxy.hosts import RouteTable, read_host
from steadyd.proxy.limits import Limits
from steadyd.proxy.ring import RequestRing
from steadyd.proxy.service import Service

if TYPE_CHECKING:
    from steadyd.proxy.dialer import Dialer


NO_ROBOTS = b"X-Robots-Tag: noindex, nofollow\r\n"
"""https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag."""


class Door(Protocol):
    """A client's side of one exchange. Bodies come without any framing; the door adds its own."""

    address: bytes
    """The client's IP address as text."""
    forwarded: bytes
    """The `X-Forwarded-For` and `X-Forwarded-Proto` lines."""
    can_end: bool
    """Whether the answer under way may end properly before its instance ends it (it has no announced length)."""

    def start(self, answer: AnswerHead, piece: bytes, ended: bool, trailers: bytes = b"") -> None:
        """The final answer begins, with the first bytes of its body, which may be all of it."""

    def refuse(self, answer: AnswerHead, body: bytes) -> None:
        """The platform's own answer in place of the app's; the exchange is over, its request perhaps not complete."""

    def more(self, piece: bytes, ended: bool, trailers: bytes = b"") -> None:
        """The body goes on."""

    def interim(self, answer: AnswerHead) -> None:
        """A 1xx answer."""

    def done(self) -> None:
        """The exchange is over and its answer complete."""

    def abort(self) -> None:
        """The exchange is over and its answer is not complete: the client must notice."""

    def pause_reading(self) -> None:
        """Stop calling `Exchange.body` until `resume_reading`."""

    def resume_reading(self) -> None: ...

    def upgrade(self, answer: AnswerHead, upstream: asyncio.Transport, rest: bytes) -> None:
        """The instance agreed to speak WebSocket; from now on bytes are passed on as they come."""


class Swept(Protocol):
    """A connection with time-outs. `tick` is called about once a second."""

    def tick(self, now: float) -> None: ...

    def kill(self) -> None: ...


class Client(Swept, Protocol):
    """A client connection."""

    @property
    def exchanges(self) -> int:
        """Requests under way on it."""


class Plane:
    """Routes, limits, caches, counters and the set of open connections."""

    __slots__ = (
        "_count",
        "_narrowed",
        "_prefix",
        "answers",
        "clients",
        "closing",
        "connecting",
        "dialers",
        "empty",
        "heads",
        "hidden_answers",
        "limits",
        "loop",
        "on_cookie_narrowed",
        "per_client",
        "ring",
        "routes",
        "scheme",
        "trusted_answers",
        "upstreams",
        "wall_offset",
    )

    def __init__(
        self, routes: RouteTable, limits: Limits, ring: RequestRing, on_cookie_narrowed: Callable[[Service, str], None]
    ) -> None:
        self.routes = routes
        self.limits = limits
        self.ring = ring
        self.on_cookie_narrowed = on_cookie_narrowed
        self.scheme = b"http"
        self.loop = asyncio.get_running_loop()
        self.heads = HeadCache(limits)
        self.answers = AnswerCache(trusted=False)
        self.trusted_answers = AnswerCache(trusted=True)
        self.hidden_answers = AnswerCache(trusted=False, added=NO_ROBOTS)
        self.clients: set[Client] = set()
        self.upstreams: set[Swept] = set()
        self.connecting: set[asyncio.Task[None]] = set()
        self.dialers: dict[str, Dialer] = {}
        self.per_client: dict[bytes, int] = {}
        self.closing = False
        self.empty = asyncio.Event()
        """Set when the last client has gone while closing."""
        self.wall_offset = 0.0
        """Wall clock minus monotonic clock, in seconds, as of the last sweep."""
        self.set_clock()
        self._narrowed = {""}  # what keeps no log is not told either
        self._prefix = secrets.token_hex(6).encode()
        self._count = 0

    def answers_of(self, service: Service) -> AnswerCache:
        """How answers of an instance of `service` are read."""
        if service.owned_by_steadyd:
            return self.trusted_answers
        return self.hidden_answers if service.hidden else self.answers

    def next_request_id(self) -> bytes:
        """Unique in this process, and with its random prefix between processes."""
        self._count += 1
        return b"%b%08x" % (self._prefix, self._count)

    def without_junk(self, data: bytes, end: int) -> bytes:
        """What came of a request, without cookies that are not ours if it is for the control plane. `end` is where its
        head ends; negative for a part of one."""
        head, rest = (data, b"") if end < 0 else (data[: end + 2], data[end + 2 :])
        with contextlib.suppress(SteadyError):
            service = self.routes.find(read_host(authority(head)))
            if service is not None and service.owned_by_steadyd:
                return only_ours(head) + rest
        return data

    def cookie_narrowed(self, service: Service, host: str) -> None:
        """Say once per service that a cookie's Domain was taken away."""
        if service.id not in self._narrowed:
            self._narrowed.add(service.id)
            self.on_cookie_narrowed(service, host)

    def set_clock(self) -> None:
        self.wall_offset = time.time() - time.monotonic()

    def sweep(self, now: float) -> None:
        """Let every connection look at its time-outs."""
        self.set_clock()
        for connection in (*self.clients, *self.upstreams):
            connection.tick(now)

    def admit(self, client: Client, address: bytes) -> bool:
        """Count a new client; False if there are too many of them, or too many from its address."""
        self.clients.add(client)
        here = self.per_client[address] = self.per_client.get(address, 0) + 1
        limits = self.limits
        alone = limits.connections_per_client_max
        total = limits.connections_max
        return not (alone and here > alone) and not (total and len(self.clients) > total)

    def dismiss(self, client: Client, address: bytes) -> None:
        """A client has gone."""
        self.clients.discard(client)
        left = self.per_client.get(address, 0) - 1
        if left > 0:
            self.per_client[address] = left
        else:
            self.per_client.pop(address, None)
        if self.closing and not self.clients:
            self.empty.set()

    def close_upstreams(self) -> None:
        for connection in tuple(self.upstreams):
            connection.kill()

    def record_rejected(self, address: bytes, request_id: bytes, error: SteadyError) -> None:
        """Note something that was refused before it was a request."""
        now = int(time.time() * 1e6)
        names = (b"", b"", b"", address, request_id, error.code.encode())
        self.ring.write((now, 0, 0, 0), (0, 0), 0, error.status, names)
