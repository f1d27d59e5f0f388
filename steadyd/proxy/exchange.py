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
from steadyd.proxy.chunks import last_chunk, one_chunk
from steadyd.proxy.fields import CHUNKED
from steadyd.proxy.head import IDEMPOTENT, Line, RequestHead
from steadyd.proxy.hosts import is_loopback, unknown_host
from steadyd.proxy.limits import CLAIMS_MAX, LONG_LIVED_SECONDS
from steadyd.proxy.pages import error_page, redirect
from steadyd.proxy.plane import Door, Plane
from steadyd.proxy.service import Service, Upstream
from steadyd.proxy.splice import Splice, accept_for
from steadyd.proxy.upstream import UpstreamConnection, connect, take_idle

CLIENT_GONE = 499

_NEW, _WAITING, _CONNECTING, _SENT, _ANSWERING, _DONE = range(6)


class Exchange:
    """The `Holder` of one request's claim."""

    __slots__ = (
        "_answer_ended",
        "_answered_at",
        "_began_at",
        "_body_ended",
        "_claims",
        "_connection",
        "_door",
        "_error",
        "_granted_at",
        "_head",
        "_host",
        "_line",
        "_long_lived",
        "_paused",
        "_pending",
        "_phase",
        "_plane",
        "_replay",
        "_retried",
        "_sent_at",
        "_service",
        "_splice",
        "_status",
        "_target",
        "_trailers",
        "_upstream",
        "_winding",
        "answer_bytes",
        "request_bytes",
        "request_id",
    )

    def __init__(self, plane: Plane, door: Door, head: RequestHead, line: Line) -> None:
        self._plane = plane
        self._door = door
        self._head = head
        self._line = line
        self._began_at = self._granted_at = self._answered_at = time.monotonic()
        self._sent_at = 0.0
        self._phase = _NEW
        self._service: Service | None = None
        self._upstream: Upstream | None = None
        self._connection: UpstreamConnection | None = None
        self._splice: Splice | None = None
        self._pending = b""
        self._replay: bytes | None = None
        self._target = self._trailers = b""
        self._host = ""
        self._status = 0
        self._error = b""
        self._body_ended = False
        self._answer_ended = False
        self._claims = 0
        self._retried = False
        self._paused = False
        self._winding = False
        self._long_lived = False
        self.request_bytes = 0
        self.answer_bytes = 0
        self.request_id = plane.next_request_id()
        plane.exchanges += 1

    @property
    def asks_head(self) -> bool:
        return self._line[0] == b"HEAD"

    @property
    def body_ended(self) -> bool:
        """Whether the client's request is complete, so that its connection can carry another."""
        return self._body_ended

    @property
    def wants_upstream(self) -> bool:
        return self._phase == _CONNECTING

    # What the door calls

    def begin(self, where: tuple[str, bytes], piece: bytes, ended: bool, trailers: bytes = b"") -> None:
        """Route the request to `where` (host, path) and ask for an instance. `piece` is what has come of the body."""
        host, target = where
        self._host = host
        self._target = target
        self._trailers = trailers
        self._body_ended = ended
        service = self._plane.routes.find(host)
        if service is None:
            self.fail(unknown_host())
            return
        self._service = service
        if self._head.length:
            if self._too_large(service, self._head.length if self._head.length != CHUNKED else len(piece)):
                return
            self.request_bytes = len(piece)
            self._pending = piece
        if self._plane.routes.any_ip_is_control and self._redirected(host):
            return
        self._phase = _WAITING
        service.claim(self)
        if self._connection is None and self._phase < _DONE and not ended:
            self._door.pause_body()

    def body(self, piece: bytes, ended: bool, trailers: bytes = b"") -> None:
        """More of the request's body."""
        self._body_ended = ended
        self._trailers = trailers
        self.request_bytes += len(piece)
        service = self._service
        if self._head.length == CHUNKED and service is not None and self._too_large(service, self.request_bytes):
            return
        connection = self._connection
        if connection is None:
            self._pending += piece
            return
        self._replay = None
        connection.write(self._framed(piece))
        if ended:
            self._sent_at = time.monotonic()
            if self._answer_ended:
                self._end(complete=True)

    def client_gone(self) -> None:
        """The client closed its connection."""
        if self._phase == _DONE:
            return
        if self._answer_ended or (self._long_lived and self._phase == _ANSWERING):
            self._end(complete=False)  # that is how an event stream ends
            return
        self._status = CLIENT_GONE
        self._error = b"client_gone"
        self._end(complete=False)

    def client_full(self) -> None:
        if self._connection is not None:
            self._connection.pause()
            self._paused = True

    def client_ready(self) -> None:
        if self._connection is not None and self._paused:
            self._paused = False
            self._connection.resume()

    def fail(self, error: SteadyError) -> None:
        """End with a page of ours, or by breaking off an answer that has begun."""
        if self._phase == _DONE:
            return
        self._error = error.code.encode()
        if self._phase == _ANSWERING:
            self._end(complete=False)
            self._door.abort()
            return
        answer, body = error_page(error, self._head.wants_html, self.request_id)
        self._answer_ourselves(answer, body)

    # Holder

    def granted(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._granted_at = time.monotonic()
        connection = take_idle(upstream)
        if connection is None:
            self._connect()
        else:
            self._send(connection)

    def refused(self, error: SteadyError) -> None:
        self._granted_at = time.monotonic()
        self._phase = _NEW  # nothing is held and nothing waits
        self.fail(error)

    def wind_down(self) -> None:
        if self._phase == _DONE:
            return
        self._winding = True
        if self._splice is not None:
            self._splice.wind_down()
        elif self._phase == _ANSWERING:
            self._wind_down_answer()

    def cut(self) -> None:
        if self._splice is not None:
            self._splice.cut()
        elif self._phase == _ANSWERING and self._answer_ended:
            self._end(complete=True)
        else:
            self.fail(SteadyError("app_timeout", "The app was replaced and had not answered in time.", retry_after=1))

    # What the upstream connection calls

    def connected(self, connection: UpstreamConnection) -> None:
        if self._phase == _CONNECTING:
            self._send(connection)
        else:
            connection.close()

    def connect_failed(self) -> None:
        if self._phase == _CONNECTING:
            self._claim_again()

    def interim(self, answer: AnswerHead) -> None:
        if answer.status != 100 or self._head.expects_continue:
            self._door.interim(self._narrowed(answer))

    def answered(self, answer: AnswerHead, piece: bytes, ended: bool, trailers: bytes = b"") -> None:
        """The head of the final answer, with the first bytes of its body."""
        self._phase = _ANSWERING
        self._answered_at = time.monotonic()
        self._replay = None
        self._status = answer.status
        self.answer_bytes = len(piece)
        if answer.wide_cookies:
            answer = self._narrowed(answer)
        if ended:
            self._answer_ended = True
            self._door.start(answer, piece, True, trailers)
            if self._phase == _ANSWERING:
                self._answer_complete()
            return
        self._long_lived = answer.event_stream
        self._door.start(answer, piece, False)
        if self._winding and self._phase == _ANSWERING:
            self._wind_down_answer()

    def more(self, piece: bytes, ended: bool, trailers: bytes = b"") -> None:
        """The body goes on."""
        self.answer_bytes += len(piece)
        if ended:
            self._answer_ended = True
        self._door.more(piece, ended, trailers)
        if ended and self._phase == _ANSWERING:
            self._answer_complete()

    def upgraded(self, answer: AnswerHead, rest: bytes) -> bool:
        """Begin the splice if the client asked for it and the instance proved that it understood."""
        key = self._upgrade_key()
        connection = self._connection
        if key is None or connection is None or answer.accept != accept_for(key):
            return False
        self._phase = _ANSWERING
        self._status = 101
        self._answered_at = time.monotonic()
        self._answer_ended = True
        self._connection = None
        self._splice = Splice(self, self._plane.loop)
        self._door.upgrade(self._narrowed(answer), connection.hand_over(), rest)
        return True

    def upstream_lost(self, connection: UpstreamConnection) -> None:
        self._connection = None
        if self._phase == _ANSWERING:
            if self._answer_ended:  # it answered and hung up before the request was through
                self._end(complete=False)
                self._door.done()
            else:
                self.fail(_died())
        elif connection.reused and not connection.answering and self._may_retry():
            self._retried = True
            self._connect()
        else:
            self.fail(_died())

    def upstream_failed(self, error: SteadyError) -> None:
        self._connection = None
        self.fail(error)

    def upstream_full(self) -> None:
        self._door.pause_body()

    def upstream_ready(self) -> None:
        self._door.resume_body()

    def check_answer_time(self, now: float) -> None:
        limit = self._plane.limits.answer_seconds_max
        if limit and self._body_ended and now - self._sent_at > limit:
            self.fail(SteadyError("app_timeout", f"The app did not begin to answer within {limit:g} seconds."))

    # What the splice calls

    @property
    def splice(self) -> Splice:
        return cast(Splice, self._splice)

    def splice_ended(self) -> None:
        if self._phase != _DONE:
            self._end(complete=False)

    # Private

    def _claim_again(self) -> None:
        """The instance is gone and nothing of the request was sent: another may take it."""
        upstream, service = cast(Upstream, self._upstream), cast(Service, self._service)
        self._upstream = None
        self._claims += 1
        upstream.unreachable()
        upstream.release(self)
        if self._claims >= CLAIMS_MAX:
            self.fail(_died())
            return
        self._phase = _WAITING
        service.claim(self)

    def _connect(self) -> None:
        self._phase = _CONNECTING
        service = cast(Service, self._service)
        plane = self._plane
        answers = plane.trusted_answers if service.owned_by_steadyd else plane.answers
        connect(plane, self, cast(Upstream, self._upstream), answers)

    def _send(self, connection: UpstreamConnection) -> None:
        self._phase = _SENT
        self._connection = connection
        self._sent_at = self._granted_at
        data = self._replay or self._request()
        self._replay = data if self._body_ended else None
        connection.begin(self, data)
        if not self._body_ended:
            self._door.resume_body()

    def _request(self) -> bytes:
        head = self._head
        extra = b"Connection: Upgrade\r\nUpgrade: websocket\r\n" if self._upgrade_key() else b""
        if head.host is None:  # HTTP/1.0 with the host in the target
            extra = b"Host: %b\r\nX-Forwarded-Host: %b\r\n" % (self._host.encode(), self._host.encode())
        parts = (
            self._line[0],
            b" ",
            self._target,
            b" HTTP/1.1\r\n",
            head.block,
            self._door.forwarded,
            b"Steady-Request-Id: ",
            self.request_id,
            b"\r\n",
            extra,
            b"\r\n",
        )
        if not head.length:
            return b"".join(parts)
        pending = self._pending
        self._pending = b""
        return b"".join((*parts, self._framed(pending)))

    def _framed(self, piece: bytes) -> bytes:
        if self._head.length != CHUNKED:
            return piece
        return one_chunk(piece) + (last_chunk(self._trailers) if self._body_ended else b"")

    def _upgrade_key(self) -> bytes | None:
        key = self._head.websocket_key
        return key if key is not None and self._line[0] == b"GET" and self._line[2] == b"1" else None

    def _may_retry(self) -> bool:
        return self._replay is not None and not self._retried and self._line[0] in IDEMPOTENT

    def _too_large(self, service: Service, size: int) -> bool:
        limit = service.body_bytes_max
        if limit is None:
            limit = self._plane.limits.body_bytes_max
        if not limit or size <= limit:
            return False
        self.fail(SteadyError("too_large", f"The request body is larger than {limit} bytes."))
        return True

    def _redirected(self, host: str) -> bool:
        routes = self._plane.routes
        if self._line[0] != b"GET" or not self._head.wants_html or not routes.redirects(host):
            return False
        if not is_loopback(self._door.address.decode()):
            return False  # "localhost" would lead a visitor from elsewhere to a machine of their own
        self._answer_ourselves(*redirect(routes.control_url.encode() + self._target, self.request_id))
        return True

    def _narrowed(self, answer: AnswerHead) -> AnswerHead:
        if not answer.wide_cookies:
            return answer
        copy = answer.narrowed(self._host)
        if copy is None:
            return answer
        self._plane.cookie_narrowed(cast(Service, self._service), self._host)
        return copy

    def _answer_ourselves(self, answer: AnswerHead, body: bytes) -> None:
        self._status = answer.status
        self._answer_ended = True
        self.answer_bytes = 0 if self.asks_head else len(body)
        self._end(complete=False)
        self._door.refuse(answer, body)

    def _answer_complete(self) -> None:
        if self._body_ended:
            self._end(complete=True)
        # else: the rest of the body still goes to the app, which may drop it; then both connections can be used again

    def _wind_down_answer(self) -> None:
        """End an answer that has been open for long, if its framing allows an end."""
        if self._answer_ended:  # only the rest of an upload that the app did not wait for
            self._end(complete=False)
            self._door.done()
            return
        remaining = self._answered_at + LONG_LIVED_SECONDS - time.monotonic()
        if self._long_lived or remaining <= 0:
            if self._door.can_end:
                self._answer_ended = True
                self._door.more(b"", True)
                door = self._door
                self._end(complete=False)
                door.done()
        else:
            self._plane.loop.call_later(remaining, self._wind_down_late)

    def _wind_down_late(self) -> None:
        if self._phase == _ANSWERING:
            self._wind_down_answer()

    def _end(self, complete: bool) -> None:
        """Give everything back, once. `complete`: request and answer are through, so the connection may be reused."""
        if self._phase == _DONE:
            return
        waiting = self._phase == _WAITING
        self._phase = _DONE
        self._plane.exchanges -= 1
        now = time.monotonic()
        connection, upstream, service = self._connection, self._upstream, self._service
        self._connection = self._upstream = self._splice = None
        if connection is not None:
            if self._paused:
                connection.resume()
            if complete and upstream is not None:
                connection.let_go(upstream, now)
            else:
                connection.close()
        self._record(now, upstream)
        if upstream is not None:
            upstream.release(self)
        elif waiting and service is not None:
            service.forget(self)
        if complete:
            self._door.done()

    def _record(self, now: float, upstream: Upstream | None) -> None:
        began = self._began_at
        total = int((now - began) * 1e6)
        method, target, _ = self._line
        path, _, _ = (self._target or target).partition(b"?")
        service = self._service
        self._plane.ring.write(
            (
                int(time.time() * 1e6) - total,
                int((self._granted_at - began) * 1e6),
                int((self._answered_at - self._granted_at) * 1e6) if self._answered_at > self._granted_at else 0,
                total,
            ),
            (self.request_bytes, self.answer_bytes),
            upstream.version if upstream is not None else 0,
            self._status,
            (
                service.id.encode() if service is not None else b"",
                method,
                path,
                self._door.address,
                self.request_id,
                self._error,
            ),
        )


def _died() -> SteadyError:
    return SteadyError("app_died", "The app stopped before it had answered this request.", retry_after=1)
