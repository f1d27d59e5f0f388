"""Where WebSocket frames end, so that a close frame of ours never lands inside one (RFC 6455 section 5.2). No I/O.

Only sizes are followed; payloads are never looked at.
"""

from __future__ import annotations

CLOSE_SERVICE_RESTART = 1012

_HEAD_BYTES_MAX = 14


class FrameTracker:
    """Follows one direction of a WebSocket. `at_boundary` says whether all bytes so far are whole frames."""

    __slots__ = ("_left", "_part")

    def __init__(self) -> None:
        self._left = 0
        self._part = b""

    @property
    def at_boundary(self) -> bool:
        return not self._left and not self._part

    def feed(self, data: bytes) -> None:
        """Note `data` as sent."""
        size = len(data)
        if not self._left and not self._part and size >= 2 and data[1] < 126 and size == data[1] + 2:
            return  # exactly one small unmasked frame: by far the most frequent case
        self._walk(data, size + 1)

    def until_boundary(self, data: bytes) -> int:
        """Note as much of `data` as belongs to the frame under way; how many bytes that was."""
        return 0 if self.at_boundary else self._walk(data, 1)

    def _walk(self, data: bytes, frames_max: int) -> int:
        """Advance over up to `frames_max` frame ends; the number of bytes of `data` walked over."""
        at = 0
        while at < len(data):
            if not self._left:
                taken = self._read_head(data, at)
                at += taken
                if self._part:
                    break
            step = min(self._left, len(data) - at)
            self._left -= step
            at += step
            if not self._left:
                frames_max -= 1
                if not frames_max:
                    break
        return at

    def _read_head(self, data: bytes, at: int) -> int:
        """Read a frame head that starts in `_part` and goes on at `at`; the number of bytes taken from `data`."""
        head = self._part + data[at : at + _HEAD_BYTES_MAX - len(self._part)]
        need = _head_size(head)
        if len(head) < need:
            self._part = head
            return len(data) - at
        taken = need - len(self._part)
        self._part = b""
        self._left = _payload_size(head)
        return taken


def close_frame(code: int) -> bytes:
    """A server's close frame."""
    return b"\x88\x02" + code.to_bytes(2, "big")


def _head_size(head: bytes) -> int:
    if len(head) < 2:
        return 2
    length = head[1] & 0x7F
    extended = 8 if length == 127 else 2 if length == 126 else 0
    return 2 + extended + (4 if head[1] & 0x80 else 0)


def _payload_size(head: bytes) -> int:
    length = head[1] & 0x7F
    if length == 126:
        return int.from_bytes(head[2:4], "big")
    if length == 127:
        return int.from_bytes(head[2:10], "big")
    return length
