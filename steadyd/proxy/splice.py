"""A WebSocket after its valid 101: bytes as they come, in both directions, with back-pressure.

The two transports get protocols of their own, so that nothing of the HTTP side is on this path. Frames are followed in
one direction only, from the instance to the client, so that a close frame of ours can be put between two of them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Protocol, cast

from steadyd.errors import SteadyError
from steadyd.proxy.frames import CLOSE_SERVICE_RESTART, FrameTracker, close_frame
from steadyd.proxy.limits import CLOSE_REPLY_SECONDS_MAX
from steadyd.proxy.service import Barrier
from steadyd.proxy.withholding import Withholding

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class SpliceOwner(Protocol):
    """The exchange as the splice sees it."""

    request_bytes: int
    answer_bytes: int

    @property
    def barrier(self) -> Barrier | None: ...

    def splice_ended(self) -> None: ...

    def fail(self, error: SteadyError) -> None: ...


class Splice:
    """Both ends and what ends them."""

    __slots__ = ("_client", "_instance", "_loop", "_tracker", "_upstream", "_winding", "owner")

    def __init__(self, owner: SpliceOwner, loop: asyncio.AbstractEventLoop) -> None:
        self.owner = owner
        self._loop = loop
        self._tracker = FrameTracker()
        self._client = cast(asyncio.Transport, None)
        self._upstream = cast(asyncio.Transport, None)
        self._instance = cast(_InstanceEnd, None)
        self._winding = False

    def join(self, client: asyncio.Transport, upstream: asyncio.Transport, old: asyncio.Protocol) -> None:
        """Take over both transports. `old` is told when the client's is gone."""
        self._client = client
        self._upstream = upstream
        self._instance = _InstanceEnd(self, client, upstream)
        client.set_protocol(_ClientEnd(self, self._instance, old))
        upstream.set_protocol(self._instance)

    def from_client(self, data: bytes) -> None:
        """Bytes for the instance; after our close frame nothing is passed on."""
        self.owner.request_bytes += len(data)
        if not self._upstream.is_closing():
            self._upstream.write(data)
        elif data[-8:-6] == b"\x88\x82":  # its masked close frame with a code: the handshake is over
            self._client.close()

    def from_instance(self, data: bytes, came_before: bool = False) -> None:
        """Frames, or parts of them. What came before a swap began is passed on whole."""
        if self._winding and not came_before:
            data = data[: self._tracker.until_boundary(data)]
        else:
            self._tracker.feed(data)
        self.owner.answer_bytes += len(data)
        self._client.write(data)
        if self._winding and self._tracker.at_boundary:
            self._say_goodbye()

    def wind_down(self) -> None:
        """Close with 1012 as soon as a frame ends."""
        if not self._winding:
            self._winding = True
            if self._tracker.at_boundary and not self._instance.withheld:
                self._say_goodbye()

    def cut(self) -> None:
        self._instance.drop()
        self._upstream.abort()
        self._client.abort()
        self.owner.splice_ended()

    def ended(self) -> None:
        """One side is gone: let the other have what is still to be written, then close it."""
        self._instance.drop()
        self._upstream.close()
        if not self._winding:
            self._client.close()
        self.owner.splice_ended()

    def _say_goodbye(self) -> None:
        self._client.write(close_frame(CLOSE_SERVICE_RESTART))
        self._upstream.abort()
        self._client.resume_reading()
        self._loop.call_later(CLOSE_REPLY_SECONDS_MAX, self._client.abort)
        self.owner.splice_ended()


def accept_for(key: bytes) -> bytes:
    """The `Sec-WebSocket-Accept` that answers `key` (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


class _ClientEnd(asyncio.Protocol):
    __slots__ = ("_instance", "_old", "_splice")

    def __init__(self, splice: Splice, instance: _InstanceEnd, old: asyncio.Protocol) -> None:
        self._splice = splice
        self._instance = instance
        self._old = old

    def data_received(self, data: bytes) -> None:
        self._splice.from_client(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._splice.ended()
        self._old.connection_lost(exc)

    def pause_writing(self) -> None:
        self._instance.pause()

    def resume_writing(self) -> None:
        self._instance.resume()


class _InstanceEnd(Withholding):
    __slots__ = ("_client", "_splice")

    def __init__(self, splice: Splice, client: asyncio.Transport, upstream: asyncio.Transport) -> None:
        super().__init__()
        self.transport = upstream
        self._splice = splice
        self._client = client

    def data_received(self, data: bytes) -> None:
        barrier = self._splice.owner.barrier
        if barrier is None or not self.withhold(barrier, data):
            self._splice.from_instance(data)

    def pause_writing(self) -> None:
        self._client.pause_reading()

    def resume_writing(self) -> None:
        if not self._client.is_closing():
            self._client.resume_reading()

    # Withholding

    def release(self, piece: bytes) -> None:
        self._splice.from_instance(piece, came_before=True)

    def give_up(self, error: SteadyError) -> None:
        """No frame of ours says it: it could only tell that something was lost, which a broken connection tells too."""
        self.transport.abort()
        self._splice.owner.fail(error)

    def lost(self) -> None:
        self._splice.ended()
