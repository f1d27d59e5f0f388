"""One request, from the claim on an instance to the end of its answer.

claim -> send -> answer -> release, with bytes flowing both ways and either side able to stop the other. An exchange
knows no wire format of the client's: it talks to a `Door`. Whatever happens, `_end` runs exactly once and gives the
claim back, unless the instance was gone and another is claimed in its place.
"""

from __future__ import annotations

import time
from typing import cast

from steadyd.errors import SteadyError
from steadyd.proxy.answer import AnswerHead
from steadyd.proxy.answering import ANSWERING, CONNECTING, DONE, NEW, SENT, WAITING, Answering
from steadyd.proxy.dialer import dial
from steadyd.proxy.fields import CHUNKED
from steadyd.proxy.head import ParsedRequest
from steadyd.proxy.hosts import is_loopback, unknown_host
from steadyd.proxy.limits import CLAIMS_MAX
from steadyd.proxy.pages import Links, error_page, redirect
from steadyd.proxy.plane import Door, Plane
from steadyd.proxy.service import Service, Upstream
from steadyd.proxy.upstream import UpstreamConnection, take_idle

CLIENT_GONE = 499
"""The status in the record of a client that left before its answer was complete; nobody ever receives it."""


class Exchange(Answering):
    """The `Holder` of one request's claim."""

    __slots__ = ("_began_at", "_claims", "_error", "_granted_at", "_retried", "_sent_at", "_upstream")

    _upstream: Upstream | None

    def __init__(self, plane: Plane, door: Door, request: ParsedRequest) -> None:
        self._plane = plane
        self.door = door
        self._request = request
        self._head = request.head
        self.asks_head = request.asks_head
        self.request_id = plane.next_request_id()
        self._began_at = self._granted_at = time.monotonic()
        self._sent_at = self._answered_at = 0.0
        self._phase = NEW
        self._service = self._upstream = self._connection = self._splice = self._replay = None
        self._trailers = self._pending = self._error = self._said = b""
        self._status = self._claims = self.request_bytes = self.answer_bytes = 0
        self.body_ended = self._answer_ended = self._retried = False
        self._winding = self._long_lived = False

    # What the door calls

    def begin(self, piece: bytes, ended: bool, trailers: bytes = b"") -> None:
        """Route the request and ask for an instance. `piece` is what has come of the body."""
        self.body_ended = ended
        routes = self._plane.routes
        service = routes.find(self._request.host)
        if service is None:
            if origin := routes.moved.get(self._request.host):  # 308 keeps method and body
                self._answer_ourselves(*redirect(308, origin.encode() + self._request.target, self.request_id))
            else:
                self.fail(unknown_host())
            return
        self._service = service
        length = self._head.length
        if length:
            if self._too_large(service, length if length != CHUNKED else len(piece)):
                return
            self.request_bytes = len(piece)
            self._pending = piece
            self._trailers = trailers
        if self._head.wants_html and self._redirected():
            return
        self._ask(service)
        if self._connection is None and self._phase < DONE and not ended:
            self.door.pause_reading()

    def body(self, piece: bytes, ended: bool, trailers: bytes = b"") -> None:
        """More of the request's body."""
        self.body_ended = ended
        self._trailers = trailers
        self.request_bytes += len(piece)
        service = self._service
        if self._head.length == CHUNKED and service is not None and self._too_large(service, self.request_bytes):
            return
        connection = self._connection
        if connection is None:
            self._pending += piece
            return
        if not connection.closed:  # it may be, while its answer waits
            connection.transport.write(self.framed(piece))
        if ended:
            self._sent_at = time.monotonic()
            if self._answer_ended:
                self._end(complete=True)

    def client_gone(self) -> None:
        """The client closed its connection."""
        if not self._answer_ended and not (self._long_lived and self._phase == ANSWERING):
            self._status = CLIENT_GONE
            self._error = b"client_gone"
        # else it left an event stream, or a socket: that is how they end
        self._end(complete=False)

    def client_full(self) -> None:
        """The client takes its answer more slowly than it comes."""
        if self._connection is not None:
            self._connection.pause()

    def client_ready(self) -> None:
        if self._connection is not None:
            self._connection.resume()

    def fail(self, error: SteadyError) -> None:
        """End with a page of ours, or by breaking off an answer that has begun."""
        if self._phase == DONE:
            return
        self._error = error.code.encode()
        if self._phase == ANSWERING:
            self._end(complete=False)
            self.door.abort()
        else:
            routes = self._plane.routes
            links = Links(routes.page_of(self._service), *routes.abuse, routes.errors_url)
            self._answer_ourselves(*error_page(error, self._head.wants_html, self.request_id, links))

    # Holder

    def granted(self, upstream: Upstream) -> None:
        self._upstream = upstream
        if self._phase == WAITING:
            self._granted_at = time.monotonic()
        if upstream.pool and (connection := take_idle(upstream)) is not None:
            self.use(connection)
        else:
            self._connect()

    def refused(self, error: SteadyError) -> None:
        self._granted_at = time.monotonic()
        self._phase = NEW  # nothing is held and nothing waits
        self.fail(error)

    # What the upstream connection calls

    def use(self, connection: UpstreamConnection) -> None:
        """Send the request on a connection that is ours now."""
        self._phase = SENT
        self._connection = connection
        self._sent_at = self._granted_at
        connection.begin(self, self._replay or self.opening(self.door.forwarded))
        if not self.body_ended:
            self.door.resume_reading()

    def connect_failed(self) -> None:
        """The instance is gone and nothing of the request was sent: another may take it."""
        if self._phase != CONNECTING:
            return
        upstream = cast(Upstream, self._upstream)
        self._upstream = None
        self._claims += 1
        upstream.unreachable()
        upstream.release(self)
        if self._claims >= CLAIMS_MAX:
            self.fail(_died())
            return
        self._ask(cast(Service, self._service))

    def upstream_lost(self, connection: UpstreamConnection) -> None:
        self._connection = None
        if self._phase == ANSWERING and self._answer_ended:  # it hung up before the request was through
            self._finish_early()
        elif connection.reused and not connection.answering and not self._retried and self.may_send_again():
            self._retried = True
            self._connect()
        else:
            if self._upstream is not None:
                self._upstream.broke_off(self)
            self.fail(_died())

    def upstream_failed(self, error: SteadyError) -> None:
        self._connection = None
        self.fail(error)

    def check_answer_time(self, now: float) -> None:
        limit = self._plane.limits.answer_seconds_max
        if limit and self.body_ended and now - self._sent_at > limit:
            self.fail(SteadyError("app_timeout", f"The app did not begin to answer within {limit:g} seconds."))

    # Private

    def _ask(self, service: Service) -> None:
        """Claim an instance. Most often it is granted on the spot, and then no time has passed."""
        self._phase = NEW
        barrier = service.barrier
        if barrier is not None and (refusal := barrier.refusal()) is not None:
            self.fail(refusal)
            return
        service.claim(self)
        if self._phase == NEW:
            self._phase = WAITING

    def _connect(self) -> None:
        self._phase = CONNECTING
        plane = self._plane
        dial(plane, self, cast(Upstream, self._upstream), plane.answers_of(cast(Service, self._service)))

    def _too_large(self, service: Service, size: int) -> bool:
        limit = service.body_bytes_max
        if limit is None:
            limit = self._plane.limits.body_bytes_max
        if not limit or size <= limit:
            return False
        self.fail(SteadyError("too_large", f"The request body is larger than {limit} bytes."))
        return True

    def _redirected(self) -> bool:
        """Send browsers that came by address to the control plane's name."""
        routes, request = self._plane.routes, self._request
        if request.method != b"GET" or not routes.redirects(request.host):
            return False
        if not is_loopback(self.door.address.decode()):
            return False  # "localhost" would lead a visitor from elsewhere to a machine of their own
        self._answer_ourselves(*redirect(302, routes.control_url.encode() + request.target, self.request_id))
        return True

    def _answer_ourselves(self, answer: AnswerHead, body: bytes) -> None:
        self._status = answer.status
        self._said = answer.block
        self._answer_ended = True
        self.answer_bytes = 0 if self.asks_head else len(body)
        self._end(complete=False)
        self.door.refuse(answer, body)

    def _end(self, complete: bool) -> None:
        """Give everything back, once. `complete`: request and answer are through, so the connection may be reused."""
        phase = self._phase
        if phase == DONE:
            return
        self._phase = DONE
        now = time.monotonic()
        connection, upstream = self._connection, self._upstream
        self._connection = self._upstream = self._splice = None
        if connection is not None:
            if complete and upstream is not None:
                connection.let_go(upstream, now)
            else:
                connection.close()
        if upstream is not None:
            upstream.release(self)
        elif phase == WAITING and self._service is not None:
            self._service.forget(self)
        _record(self, now, upstream)
        if complete:
            self.door.done()


def _died() -> SteadyError:
    return SteadyError("app_died", "The app stopped before it had answered this request.", retry_after=1)


def _record(exchange: Exchange, now: float, upstream: Upstream | None) -> None:
    plane, request, service = exchange._plane, exchange._request, exchange._service
    began, granted, answered = exchange._began_at, exchange._granted_at, exchange._answered_at
    total = int((now - began) * 1e6)
    plane.ring.hold(request.opening, exchange._said)
    plane.ring.write(
        (
            int((began + plane.wall_offset) * 1e6),
            int((granted - began) * 1e6) if granted > began else 0,
            int((answered - granted) * 1e6) if answered > granted else 0,
            total,
        ),
        (exchange.request_bytes, exchange.answer_bytes),
        upstream.version if upstream is not None else 0,
        exchange._status,
        (
            service.id.encode() if service is not None else b"",
            request.method,
            request.path,
            exchange.door.address,
            exchange.request_id,
            exchange._error,
        ),
        request.repeatable,
    )
