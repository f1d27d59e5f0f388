"""LTX files as values: which moments of a database they reach, and which of them are needed to be there again. No I/O.

Litestream keeps what each transaction changed in files named by the transactions (TXIDs) that they hold, and merges
them into fewer and larger ones (levels 1 to 8) and into whole databases (level 9) as time goes. So a moment that one
could go back to yesterday may lie inside a merged file today. Format: https://github.com/superfly/ltx, `ltx.go`.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

MAGIC = b"LTX1"
HEADER_BYTES = 100
TRAILER_BYTES = 16
SNAPSHOT_LEVEL = 9
"""Whole databases lie there; 0 holds every transaction by itself."""
GRAINS_SECONDS = (5.0, 60.0, 600.0, 7_200.0)
"""What tells one precision of a timeline from the next: about a second, half a minute, minutes, an hour, more."""
PRECISION_SECONDS_MIN = 1.0
"""How often Litestream looks for new transactions."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One LTX file: what transactions `first` to `last` changed, a whole database where `first` is 1.

    `at` is when transaction `last` was copied, seconds since 1970: about, if a store's listing said when the object was
    made; the file's header knows it exactly.
    """

    level: int
    first: int
    last: int
    size: int = 0
    at: float = 0.0
    pinned: bool = False
    """It lies where no compaction takes it."""
    key: str = ""
    """Of the object."""

    @property
    def name(self) -> str:
        """`<level>/<first>-<last>.ltx`, as in a replica that is a folder."""
        return f"{self.level}/{self.first:016x}-{self.last:016x}.ltx"


@dataclass(frozen=True, slots=True)
class Header:
    """What an LTX file says of itself. `pages` is the size of the database after it; `at` is in seconds since 1970."""

    page_bytes: int
    pages: int
    first: int
    last: int
    at: float


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment that can be reached exactly: everything up to transaction `txid`, as it was at `at`."""

    txid: int
    at: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The newest moment at or before a wanted one, and the next one after it, if there is any."""

    moment: Moment
    next: Moment | None

    @property
    def precision(self) -> float:
        """Seconds until the next moment: what was written in between comes back with that one, or not at all. 0 where
        nothing newer is known."""
        return self.next.at - self.moment.at if self.next else 0.0


@dataclass(frozen=True, slots=True)
class Span:
    """Within it, a moment can be chosen to `precision` seconds. Times are in seconds since 1970."""

    start: float
    end: float
    precision: float


@dataclass(frozen=True, slots=True)
class Gap:
    """Transactions `first` to `last` are in no file."""

    first: int
    last: int


def parse_header(content: bytes) -> Header:
    """Read the first HEADER_BYTES of a file.

    Raises:
        ValueError: it is no LTX file.
    """
    if len(content) < HEADER_BYTES or not content.startswith(MAGIC):
        raise ValueError("it does not begin as an LTX file does")
    page_bytes, pages, first, last, milliseconds = struct.unpack_from(">IIQQQ", content, 8)
    if page_bytes not in {1 << bits for bits in range(9, 17)} or not 1 <= first <= last:
        raise ValueError("its header makes no sense")
    return Header(page_bytes, pages, first, last, milliseconds / 1000)


def moments(pieces: Iterable[Piece], times: Mapping[str, float] | None = None) -> list[Moment]:
    """The moments that can be reached exactly, the oldest first. `times` are exact ones by key, where they are known.

    A merged file of a later time may end at a transaction that an earlier one ends at too; and a transaction is never
    newer than one that came after it.
    """
    known = times or {}
    reached = _reached(pieces)
    exact = {piece.last: known[piece.key] for piece in reached if piece.key in known}
    earliest: dict[int, float] = {}
    for piece in reached:
        earliest[piece.last] = exact.get(piece.last, min(piece.at, earliest.get(piece.last, piece.at)))
    found: list[Moment] = []
    before = float("inf")
    for txid, at in sorted(earliest.items(), reverse=True):
        before = min(before, at)
        found.append(Moment(txid, before))
    return found[::-1]


def choose(reachable: Sequence[Moment], at: float) -> Choice | None:
    """The newest of these moments, in their order, that is not after `at`; None if all are."""
    index = bisect_right(reachable, at, key=lambda moment: moment.at)
    if index == 0:
        return None
    return Choice(reachable[index - 1], reachable[index] if index < len(reachable) else None)


def plan(pieces: Iterable[Piece], txid: int) -> list[Piece]:
    """The files that lead exactly to `txid`, in the order in which they are applied; [] if none do.

    As Litestream's own plan: from where one is, always the file that leads farthest.
    """
    usable = sorted((piece for piece in pieces if piece.last <= txid), key=lambda piece: piece.first)
    found: list[Piece] = []
    reached, index, best = 0, 0, None
    while reached < txid:
        while index < len(usable) and usable[index].first <= reached + 1:
            best = _farther(best, usable[index])
            index += 1
        if best is None or best.last <= reached:
            return []
        found.append(best)
        reached = best.last
    return found


def gap(pieces: Iterable[Piece], txid: int) -> Gap | None:
    """The first transactions that are missing on the way to `txid`. None if there is a way, or if what is missing is
    only a boundary: `txid` lies within a merged file."""
    reached = 0
    rest = sorted(pieces, key=lambda piece: piece.first)
    for piece in rest:
        if piece.first > reached + 1:
            break
        reached = max(reached, piece.last)
    if reached >= txid:
        return None
    beyond = [piece.first for piece in rest if piece.first > reached + 1]
    return Gap(reached + 1, min([*(first - 1 for first in beyond), txid]))


def holes(pieces: Iterable[Piece]) -> list[Gap]:
    """Transactions that are missing within a level, whether other files hold them or not. Litestream leaves none: it
    only ever removes the oldest files of a level."""
    found = []
    for level in range(SNAPSHOT_LEVEL):
        last = 0
        for piece in sorted((p for p in pieces if p.level == level and not p.pinned), key=lambda piece: piece.first):
            if last and piece.first > last + 1:
                found.append(Gap(last + 1, piece.first - 1))
            last = max(last, piece.last)
    return found


def spans(reachable: Sequence[Moment]) -> list[Span]:
    """How precisely a moment can be chosen, from the newest span to the oldest.

    Going back in time it is only ever told as coarser, so there are few spans. A stretch whose end is one transaction
    alone counts for nothing, however long it was: nothing was written before that.
    """
    found: list[Span] = []
    grain = -1
    for earlier, later in zip(reachable[-2::-1], reachable[:0:-1], strict=False):
        distance = later.at - earlier.at
        alone = later.txid - earlier.txid == 1
        precision = max(PRECISION_SECONDS_MIN, min(distance, GRAINS_SECONDS[0]) if alone else distance)
        coarse = sum(precision > bound for bound in GRAINS_SECONDS)
        if coarse > grain:
            grain = coarse
            found.append(Span(earlier.at, later.at, precision))
        else:
            found[-1] = replace(found[-1], start=earlier.at, precision=max(found[-1].precision, precision))
    return found


# Private


def _reached(pieces: Iterable[Piece]) -> list[Piece]:
    """Those whose last transaction can be reached exactly."""
    found: list[Piece] = []
    farthest = 0
    """The last boundary before those that end where the piece at hand does."""
    current = 0
    for piece in sorted(pieces, key=lambda piece: piece.last):
        if piece.last > current:
            farthest = max(farthest, found[-1].last if found else 0)
            current = piece.last
        if piece.first <= farthest + 1:
            found.append(piece)
    return found


def _farther(one: Piece | None, other: Piece) -> Piece:
    """Of two that lead as far, the smaller one."""
    if one is None or (other.last, -other.size) > (one.last, -one.size):
        return other
    return one
