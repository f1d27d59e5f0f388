"""The parts of one app's log, opened together and read in pieces, in either direction, from exact places.

A place is where a line begins: the number of its part, and the byte there. Parts are appended to, renamed without being
renumbered, and removed; so a place means the same line for as long as that is kept, whatever its time says: many lines
share a microsecond, and clocks are set back.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

BLOCK_BYTES = 256 << 10
STEP_BYTES = 24 << 10
"""Read at each step of a search by time: more than the longest line."""
RECORD = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \d+ \w+ ")
ESCAPE = b"\x1b["
COLOURS = re.compile(rb"\x1b\[[0-9;:]*m")
PLACE = re.compile(r"([0-9]{1,9})-([0-9]{1,15})\Z")


class Place(NamedTuple):
    """The part's number, from 1, and the byte in it."""

    part: int
    byte: int

    def __str__(self) -> str:
        return f"{self.part}-{self.byte}"


def parse_place(text: str) -> Place | None:
    """A place as it was told; None if that is none."""
    found = PLACE.match(text)
    return Place(int(found[1]), int(found[2])) if found else None


@dataclass(frozen=True, slots=True)
class Wish:
    """Which lines: that contain `text`, colours apart, of one version (0: any), from one source (b"": any)."""

    text: bytes = b""
    version: int = 0
    source: bytes = b""

    def may_be_in(self, lines: bytes) -> bool:
        """Whether it is worth looking at each of these lines."""
        if self.version and b"Z %d " % self.version not in lines:
            return False
        return self._is_in(lines)

    def takes(self, record: bytes) -> bool:
        if self.text not in record and ESCAPE not in record:
            return False
        _, version, source, text = record.split(b" ", 3)
        return (
            self._is_in(text)
            and (not self.version or int(version) == self.version)
            and (not self.source or source == self.source)
        )

    def _is_in(self, text: bytes) -> bool:
        return self.text in text or (ESCAPE in text and self.text in COLOURS.sub(b"", text))


@dataclass(slots=True)
class Piece:
    """What one look found, oldest first, each with its place. `first` and `last` bound what was looked at: there older
    and newer lines go on. `more`: whether there may be any further that way."""

    first: Place
    last: Place
    records: list[tuple[Place, bytes]] = field(default_factory=list)
    looked_bytes: int = 0
    more: bool = False


class Part(NamedTuple):
    """One file. `size` is what it held when it was opened, whole lines."""

    number: int
    descriptor: int
    size: int


class Parts:
    """Oldest first; the last one is still written to. Made by `LogFolder.open`; `close` it."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = list(parts)

    @property
    def begin(self) -> Place:
        return Place(self._parts[0].number if self._parts else 1, 0)

    @property
    def end(self) -> Place:
        """Where the next line will be."""
        return Place(self._parts[-1].number, self._parts[-1].size) if self._parts else Place(1, 0)

    def close(self) -> None:
        for part in self._parts:
            os.close(part.descriptor)
        self._parts = []

    def backward(
        self, before: Place | None, count: int, wish: Wish, bytes_max: int = 0, stop: Place | None = None
    ) -> Piece:
        """The last `count` lines that begin before `before` (or the end), and not before `stop`. Looks at about
        `bytes_max` bytes, if any."""
        place, stop = self._sound(before or self.end), max(stop or self.begin, self.begin)
        piece = Piece(place, place)
        for number, low, lines in self._blocks_before(place, stop):
            piece.looked_bytes += len(lines)
            for at, record in _reversed(lines, low) if wish.may_be_in(lines) else ():
                if piece.more:
                    break
                piece.first = Place(number, at)
                if wish.takes(record):
                    piece.records.append((piece.first, record))
                    piece.more = len(piece.records) >= count
            else:
                piece.first = Place(number, low)
                piece.more = piece.more or bool(bytes_max and piece.looked_bytes >= bytes_max)
                if not piece.more:
                    continue
            break
        piece.records.reverse()
        piece.more = piece.more and piece.first > stop
        return piece

    def forward(self, after: Place, count: int, wish: Wish, bytes_max: int = 0, stop: Place | None = None) -> Piece:
        """The first `count` lines at or after `after`, and before `stop` (or the end). Looks at about `bytes_max`
        bytes, if any."""
        place, stop = self._sound(after), min(stop or self.end, self.end)
        piece = Piece(place, place)
        for number, low, lines in self._blocks_after(place, stop):
            piece.looked_bytes += len(lines)
            for at, record in _records(lines, low) if wish.may_be_in(lines) else ():
                if piece.more:
                    break
                piece.last = Place(number, at + len(record) + 1)
                if wish.takes(record):
                    piece.records.append((Place(number, at), record))
                    piece.more = len(piece.records) >= count
            else:
                piece.last = Place(number, low + len(lines))
                piece.more = piece.more or bool(bytes_max and piece.looked_bytes >= bytes_max)
                if not piece.more:
                    continue
            break
        piece.more = piece.more and piece.last < stop
        return piece

    def find(self, stamp: bytes) -> Place:
        """Where the first line stamped at or after `stamp` begins. Lines are in the order of their times but where the
        clock was set back; then it is one of the places that fit."""
        for part in self._parts:
            low, high = 0, part.size
            while low < high:
                middle = _line_at(part, (low + high) // 2, low)
                found = next(_records(_block_after(part, middle, STEP_BYTES), middle), None)
                if found is None or found[1] >= stamp:
                    high = middle
                else:
                    low = found[0] + len(found[1]) + 1
            if low < part.size:
                return Place(part.number, low)
        return self.end

    def size_from(self, place: Place) -> int:
        """Bytes from there to the end."""
        later = sum(part.size for part in self._parts if part.number > place.part)
        return later + sum(max(0, part.size - place.byte) for part in self._parts if part.number == place.part)

    def count(self, begin: Place, end: Place) -> int:
        """How many lines begin from `begin` on and before `end`."""
        found = 0
        for part in self._parts:
            low = begin.byte if part.number == begin.part else 0
            high = end.byte if part.number == end.part else part.size
            if begin.part <= part.number <= end.part:
                for at in range(low, high, BLOCK_BYTES):
                    found += os.pread(part.descriptor, min(BLOCK_BYTES, high - at), at).count(b"\n")
        return found

    # Private

    def _sound(self, place: Place) -> Place:
        """The place, or what is nearest: its part may be gone, and who names it may have made it up."""
        if not self._parts or place < self.begin:
            return self.begin
        for part in self._parts:
            if part.number == place.part and place.byte <= part.size:
                return Place(part.number, _line_at(part, place.byte, 0, down=False))
        return min(place, self.end)

    def _blocks_before(self, place: Place, stop: Place) -> Iterator[tuple[int, int, bytes]]:
        """Part, byte and whole lines, the last first."""
        for part in reversed(self._parts):
            if stop.part <= part.number <= place.part:
                high = min(part.size, place.byte) if part.number == place.part else part.size
                floor = stop.byte if part.number == stop.part else 0
                while high > floor:
                    high, lines = _block_before(part, high, floor)
                    yield part.number, high, lines

    def _blocks_after(self, place: Place, stop: Place) -> Iterator[tuple[int, int, bytes]]:
        """The same, the first first."""
        for part in self._parts:
            if place.part <= part.number <= stop.part:
                low = place.byte if part.number == place.part else 0
                end = min(stop.byte, part.size) if part.number == stop.part else part.size
                while low < end:
                    lines = _block_after(part._replace(size=end), low)
                    yield part.number, low, lines
                    low += len(lines)


# Private


def _block_before(part: Part, high: int, floor: int) -> tuple[int, bytes]:
    """Whole lines that end at `high`, about BLOCK_BYTES of them, and where they begin: not before `floor`."""
    low = high
    while True:
        low = max(floor, low - BLOCK_BYTES)
        lines = os.pread(part.descriptor, high - low, low)
        begin = lines.find(b"\n", 0, -1) + 1 if low > floor else 0
        if begin or low == floor:
            return low + begin, lines[begin:]


def _block_after(part: Part, low: int, size: int = BLOCK_BYTES) -> bytes:
    """Whole lines from `low` on, about `size` bytes of them; at least one. What has no end is the last of its file."""
    while True:
        lines = os.pread(part.descriptor, min(size, part.size - low), low)
        end = lines.rfind(b"\n") + 1
        if end or low + len(lines) >= part.size:
            return lines[:end] if end and low + len(lines) < part.size else lines
        size *= 2


def _line_at(part: Part, byte: int, low: int, down: bool = True) -> int:
    """Where the line begins that this byte is in, not before `low`; without `down`, where the next one does."""
    if byte <= low or byte >= part.size or os.pread(part.descriptor, 1, byte - 1) == b"\n":
        return min(max(byte, low), part.size)
    if not down:
        return byte + len(_block_after(part, byte).partition(b"\n")[0]) + 1
    while byte > low:
        begin = max(low, byte - BLOCK_BYTES)
        found = os.pread(part.descriptor, byte - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        byte = begin
    return low


def _records(lines: bytes, low: int) -> Iterator[tuple[int, bytes]]:
    """Each whole record of a block that begins at `low`, with where it begins. What a crash cut off is none."""
    at = low
    for line in lines.split(b"\n"):
        if RECORD.match(line):
            yield at, line
        at += len(line) + 1


def _reversed(lines: bytes, low: int) -> Iterator[tuple[int, bytes]]:
    return reversed(list(_records(lines, low)))
