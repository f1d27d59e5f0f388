"""The access records of all requests, in memory that was allocated once.

A ring of Python tuples makes the garbage collector walk them all, which was measured as a tail of 65 to 125 ms at 256
connections; packed bytes cost it nothing. Writing happens on the loop, draining in another thread: one pack and one
unpack are single operations under the interpreter's lock, so a record is never seen half written.
"""

from __future__ import annotations

import struct
import time
from typing import NamedTuple

RING_RECORDS = 16_384
"""0.4 s at 40,000 requests a second: eight times the 50 ms between two drains."""
RECORD_PATH_BYTES_MAX = 239
HEADS_MAX = 2_048
"""Of the newest requests the heads are held too: as many as come within 50 ms at 40,000 a second."""
HEAD_BYTES_MAX = 4 << 10
"""Of each; longer ones are cut."""
TEXTS_MAX = 4_096
DRAIN_CHUNK_RECORDS = 256
"""Between two chunks the draining thread offers the interpreter to the loop."""

_LAYOUT = struct.Struct("<QQQQQQQIH?32p12p240p46p24p20p")
# Lengths above include the length byte of each string.
_SIZE = _LAYOUT.size
_pack = _LAYOUT.pack_into
_new_record = tuple.__new__


class RequestRecord(NamedTuple):
    """One finished request. Times in microseconds; `started_at` counts from the epoch.

    `status` is what the client got, 499 if it left first. `path` has no query, which may hold secrets. `version` is 0
    where no instance was involved. `repeatable` says that it asked for something without changing anything, saying who
    it is, or more than `path` has.
    """

    number: int
    started_at: int
    gate_us: int
    upstream_us: int
    total_us: int
    request_bytes: int
    answer_bytes: int
    version: int
    status: int
    repeatable: bool
    service: str
    method: str
    path: str
    client: str
    request_id: str
    error: str


class RequestRing:
    """Fixed slots, overwritten in order. `lost` counts records that were overwritten before they were drained."""

    __slots__ = ("_answered", "_asked", "_drained", "_held", "_memory", "_slots", "_texts", "_written", "lost")

    def __init__(self, records: int = RING_RECORDS) -> None:
        self._slots = records
        self._memory = bytearray(records * _SIZE)
        self._texts = _Texts()
        # Most requests repeat a head, which is one object then: two references cost nothing, and bytes are not walked.
        self._asked = [b""] * HEADS_MAX
        self._answered = [b""] * HEADS_MAX
        self._held = -1
        self._written = 0
        self._drained = 0
        self.lost = 0

    @property
    def written(self) -> int:
        """Records since the start."""
        return self._written

    def write(
        self,
        times: tuple[int, int, int, int],
        sizes: tuple[int, int],
        version: int,
        status: int,
        names: tuple[bytes, bytes, bytes, bytes, bytes, bytes],
        repeatable: bool = False,
    ) -> None:
        """Add one record: (started_at, gate, upstream, total), (request, answer), and (service, method, path, client,
        request id, error): the order of RequestRecord. Too long strings are cut."""
        number = self._written
        if self._held != number:
            self.hold(b"", b"")
        _pack(self._memory, number % self._slots * _SIZE, number, *times, *sizes, version, status, repeatable, *names)
        self._written = number + 1

    def hold(self, asked: bytes, answered: bytes) -> None:
        """The heads of the record that is written next: the request's, and the headers of its answer."""
        self._held = number = self._written
        slot = number % HEADS_MAX
        self._asked[slot] = asked if len(asked) <= HEAD_BYTES_MAX else asked[:HEAD_BYTES_MAX]
        self._answered[slot] = answered if len(answered) <= HEAD_BYTES_MAX else answered[:HEAD_BYTES_MAX]

    def heads(self, number: int) -> tuple[bytes, bytes]:
        """Those of a record, for the thread that drains; empty where newer ones took their place."""
        slot = number % HEADS_MAX
        asked, answered = self._asked[slot], self._answered[slot]
        return (asked, answered) if self._written < number + HEADS_MAX else (b"", b"")

    def drain(self) -> list[RequestRecord]:
        """All records since the last drain, oldest first. For one thread only, and not the loop's when it is busy."""
        rows: list[RequestRecord] = []
        end = self._written
        while self._drained < end:
            oldest = self._written - self._slots
            if self._drained < oldest:
                self.lost += oldest - self._drained
                self._drained = oldest
                end = self._written
            self._read_chunk(rows, min(end, self._drained + DRAIN_CHUNK_RECORDS))
            if self._drained < end:
                time.sleep(0)
        return rows

    def _read_chunk(self, rows: list[RequestRecord], end: int) -> None:
        """Decode up to `end`, or to the end of the memory. The slice is one copy, so nothing in it is half written."""
        first = self._drained
        start = first % self._slots
        count = min(end - first, self._slots - start)
        copy = bytes(self._memory[start * _SIZE : (start + count) * _SIZE])
        texts = self._texts
        for number, fields in enumerate(_LAYOUT.iter_unpack(copy), first):
            if fields[0] != number:
                self.lost += 1  # overwritten meanwhile
                continue
            service, method, path, client, request_id, error = fields[10:]
            names = (texts[service], texts[method], texts[path], texts[client], str(request_id, "ascii"), texts[error])
            rows.append(_new_record(RequestRecord, fields[:10] + names))
        self._drained = first + count


class _Texts(dict[bytes, str]):
    """Decoded strings; most repeat from record to record. Emptied whole when full."""

    def __missing__(self, raw: bytes) -> str:
        if len(self) >= TEXTS_MAX:
            self.clear()
        text = self[raw] = str(raw, "utf-8", "replace")
        return text
