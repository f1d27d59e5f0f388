"""What comes back from the instance: one answer on its way to the client, and how a swap ends it early."""

from __future__ import annotations

import time
from typing import cast

from steadyd.errors import SteadyError
from steadyd.proxy.answer import AnswerHead
from steadyd.proxy.limits import LONG_LIVED_SECONDS
from steadyd.proxy.plane import Door, Plane
from steadyd.proxy.sending import Sending
from steadyd.proxy.service import Barrier, Service
from steadyd.proxy.splice import Splice, accept_for
from steadyd.proxy.upstream import UpstreamConnection

NEW, WAITING, CONNECTING, SENT, ANSWERING, DONE = range(6)
"""The phases of an exchange, in this order; WAITING and CONNECTING may come again."""


class Answering(Sending):
    """The answer's half of an exchange. `Exchange` adds the claim and says how things end."""

    __slots__ = (
        "_answer_ended",
        "_answered_at",
        "_connection",
        "_long_lived",
        "_phase",
        "_plane",
        "_said",
        "_service",
        "_splice",
        "_status",
        "_winding",
        "answer_bytes",
        "door",
    )

    _plane: Plane
    door: Door
    _phase: int
    _service: Service | None
    _connection: UpstreamConnection | None
    _splice: Splice | None
    _status: int
    _said: bytes
    """The headers of the answer, as the client gets them."""
    _answered_at: float
    _answer_ended: bool
    _winding: bool
    _long_lived: bool
    answer_bytes: int

    # What the upstream connection calls

    @property
    def barrier(self) -> Barrier | None:
        """What the answer waits for, piece by piece."""
        return self._service.barrier if self._service is not None else None

    @property
    def wants_upstream(self) -> bool:
        return self._phase == CONNECTING

    def interim(self, answer: AnswerHead) -> None:
        if answer.status != 100 or self._head.expects_continue:
            self.door.interim(self._narrowed(answer))

    def answered(self, answer: AnswerHead, piece: bytes, ended: bool, trailers: bytes = b"") -> None:
        """The head of the final answer, with the first bytes of its body."""
        self._phase = ANSWERING
        self._answered_at = time.monotonic()
        self._replay = None
        self._status = answer.status
        self.answer_bytes = len(piece)
        if answer.wide_cookies:
            answer = self._narrowed(answer)
        self._said = answer.block
        if ended:
            self._answer_ended = True
            self.door.start(answer, piece, True, trailers)
            if self.body_ended:
                self._end(complete=True)
            return
        self._long_lived = answer.event_stream
        self.door.start(answer, piece, False)
        if self._winding and self._phase == ANSWERING:
            self._wind_down_answer()

    def more(self, piece: bytes, ended: bool, trailers: bytes = b"") -> None:
        """The body goes on."""
        self.answer_bytes += len(piece)
        if ended:
            self._answer_ended = True
        self.door.more(piece, ended, trailers)
        if ended and self.body_ended:
            self._end(complete=True)
        # else the rest of an upload that the app did not wait for still goes to it; then both connections are of use

    def went_on(self) -> None:
        """A piece that was withheld was passed on; a swap may have begun meanwhile."""
        if self._winding and self._phase == ANSWERING:
            self._wind_down_answer()

    def upgraded(self, answer: AnswerHead, rest: bytes) -> bool:
        """Begin the splice if the client asked for it and the instance proved that it understood."""
        key = self.upgrade_key()
        connection = self._connection
        if key is None or connection is None or answer.accept != accept_for(key):
            return False
        self._phase = ANSWERING
        self._status = 101
        self._said = answer.block
        self._answered_at = time.monotonic()
        self._answer_ended = True
        self._connection = None
        self._splice = Splice(self, self._plane.loop)
        self.door.upgrade(self._narrowed(answer), connection.hand_over(), rest)
        return True

    # What the splice calls

    @property
    def splice(self) -> Splice:
        return cast(Splice, self._splice)

    def splice_ended(self) -> None:
        self._end(complete=False)

    # A swap

    def describe(self) -> tuple[str, str]:
        request = self._request
        return request.method.decode("latin-1"), request.path.decode(errors="replace")

    def wind_down(self) -> None:
        self._winding = True
        if self._splice is not None:
            self._splice.wind_down()
        elif self._phase == ANSWERING:
            self._wind_down_answer()

    def cut(self) -> None:
        if self._splice is not None:
            self._splice.cut()
        elif self._phase == ANSWERING and self._answer_ended:
            self._finish_early()
        elif self._connection is not None and (error := self._connection.late) is not None:
            self.fail(error)
        else:
            self.fail(SteadyError("app_timeout", "The app was replaced and had not answered in time.", retry_after=1))

    # What `Exchange` does

    def fail(self, error: SteadyError) -> None:
        raise NotImplementedError

    def _end(self, complete: bool) -> None:
        raise NotImplementedError

    # Private

    def _wind_down_answer(self) -> None:
        """End an answer that has been open for long, if its framing allows an end, and no piece of it waits."""
        if self._answer_ended:
            self._finish_early()
            return
        if self._connection is not None and self._connection.withheld:
            return
        remaining = self._answered_at + LONG_LIVED_SECONDS - time.monotonic()
        if not self._long_lived and remaining > 0:
            self._plane.loop.call_later(remaining, self._wind_down_late)
        elif self.door.can_end:
            self._answer_ended = True
            self.door.more(b"", True)
            self._finish_early()

    def _wind_down_late(self) -> None:
        if self._phase == ANSWERING:
            self._wind_down_answer()

    def _finish_early(self) -> None:
        """The client has a whole answer; the instance's connection is given up."""
        self._end(complete=False)
        self.door.done()

    def _narrowed(self, answer: AnswerHead) -> AnswerHead:
        if not answer.wide_cookies:
            return answer
        copy = answer.narrowed(self._request.host)
        if copy is None:
            return answer
        self._plane.cookie_narrowed(cast(Service, self._service), self._request.host)
        return copy
