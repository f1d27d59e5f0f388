"""Bringing a database back: which moments of a line the object store holds, and one of them as a file, proven whole.

The files that lead to a moment are fetched into a scratch folder; Litestream puts them together there, in the sandbox,
as the app and without a network; SQLite checks the result in another such process. Only then is it anywhere else.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from steadyd.backup import layout, ltx
from steadyd.backup.ltx import Choice, Moment, Piece, Span
from steadyd.backup.objects import Objects
from steadyd.errors import SteadyError
from steadyd.moment import Line
from steadyd.runner.engine import LITESTREAM
from steadyd.runner.folder import Place, make_own, scratch_path
from steadyd.runner.reserve import check_reserve
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import SCRIPT, Bounds, Result, Tools
from steadyd.runner.trash import Trash

RESTORES_AT_ONCE_MAX = 2
FETCHES_AT_ONCE_MAX = 8
"""For one restore."""
FILES_MAX = 20_000
"""In one chain; Litestream opens them all."""
BYTES_MAX = 16 << 30
"""Fetched for one restore, and of what becomes of it."""
MEMORY_BYTES_MAX = 1 << 30
RESTORE_SECONDS_MAX = 600.0
CHECK_SECONDS_MAX = 300.0
OUTPUT_BYTES = 64 << 10
PLANS_MAX = 4
"""Files can be compacted away while they are fetched, or be found damaged; then there may be another way."""
HEADERS_KEPT_MAX = 10_000
"""In memory, over all lines."""
ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/tmp"}
DAMAGED = re.compile(r"(?:input|page header|close reader) (\d+)")
"""How Litestream says which of the files, in the order of the plan, it cannot read."""

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Which moments of one line can be reached, and how precisely."""

    spans: tuple[Span, ...]
    """The newest first."""
    first: Moment | None
    newest: Moment | None


@dataclass(frozen=True, slots=True)
class Restored:
    """A database that came back: its size, how long that took, and which moment it really is. `damaged` names objects
    that were of no use, where there was another way."""

    bytes: int
    ms: float
    moment: Moment
    damaged: tuple[str, ...] = ()


class Chain:
    """Every line of every database, as it lies in the object store."""

    def __init__(self, objects: Objects, tools: Tools, trash: Trash) -> None:
        self._objects = objects
        self._litestream = tools.within(Bounds(MEMORY_BYTES_MAX, OUTPUT_BYTES, BYTES_MAX), LITESTREAM)
        self._scripts = tools.within(Bounds(MEMORY_BYTES_MAX, OUTPUT_BYTES))
        self._trash = trash
        self._turns = asyncio.Semaphore(RESTORES_AT_ONCE_MAX)
        self._times: OrderedDict[str, float] = OrderedDict()

    async def timeline(self, line: Line) -> Timeline:
        """What can be reached of `line` now. Where a span ends is exact; between, the store's own times count, those of
        uploads.

        Raises:
            SteadyError: `replica_away`.
        """
        pieces = await self.pieces(line)
        listed = ltx.moments(pieces)
        if not listed:
            return Timeline((), None, None)
        ends = {listed[-1].at, *(span.start for span in ltx.spans(listed)), *(span.end for span in ltx.spans(listed))}
        witnesses = [_witness(pieces, moment.txid) for moment in listed if moment.at in ends]
        found = ltx.moments(pieces, {piece.key: await self._time(line, piece) for piece in witnesses})
        return Timeline(tuple(ltx.spans(found)), found[0], found[-1])

    async def choose(self, line: Line, at: float) -> Choice | None:
        """The newest moment of `line` at or before `at`, by the files' own times, and the next one; None if all came
        later, or there is none.

        Raises:
            SteadyError: `replica_away`.
        """
        pieces = await self.pieces(line)
        listed = ltx.moments(pieces)

        async def exact(index: int) -> Moment:
            moment = listed[index]
            return replace(moment, at=await self._time(line, _witness(pieces, moment.txid)))

        # The store's own times are a hint: of uploads, by another clock, and in S3 whole seconds. From there the right
        # one is looked for in steps that double, and between two once it is passed.
        hint = ltx.choose(listed, at)
        index, step = listed.index(hint.moment) if hint else 0, 1
        low, high, passed = -1, len(listed), False
        while high - low > 1:
            before = (await exact(index)).at <= at
            low, high = (index, high) if before else (low, index)
            passed = passed or (low >= 0 and high < len(listed))
            index, step = (low + step if before else high - step), step * 2
            if passed or not low < index < high:
                index = (low + high) // 2
        if low < 0:
            return None
        return Choice(await exact(low), await exact(low + 1) if low + 1 < len(listed) else None)

    async def restore(self, line: Line, txid: int, target: Path, place: Place, pinned: bool = False) -> Restored:
        """The database of `line` as it was after transaction `txid`, as the file `target`, which belongs to the app.
        Nothing is there before it is proven whole. `pinned` prefers what a restore point keeps.

        Raises:
            SteadyError: `not_reachable` with the nearest moments; `backup_broken` with the objects that are missing or
                damaged; `replica_away`, `disk_full`.
        """
        async with self._turns:
            began = time.monotonic()
            damaged: dict[str, str] = {}
            for _ in range(PLANS_MAX):
                listed = await self.pieces(line)
                pieces = [piece for piece in listed if piece.key not in damaged]
                way = ltx.plan([piece for piece in pieces if piece.pinned], txid) if pinned else []
                way = way or ltx.plan(pieces, txid)
                if not way:
                    raise _no_way(line, pieces, txid, damaged)
                bad = await self._restore(line, way, target, place)
                if not bad:
                    moment = Moment(txid, await self._time(line, _witness(pieces, txid)))
                    took = (time.monotonic() - began) * 1000
                    useless = tuple(piece.key for piece in listed if piece.key in damaged)
                    return Restored(await asyncio.to_thread(_size, target), took, moment, useless)
                damaged |= bad
            raise _no_way(line, [], txid, damaged)

    async def pieces(self, line: Line) -> list[Piece]:
        """Every file of `line`, of Litestream and of restore points, with the times of the store's listing."""
        key = line_key(line)
        listed = await asyncio.gather(
            *(self._objects.list(prefix, app_id=line.app_id) for prefix in (layout.ltx(key), layout.pins(key)))
        )
        found = []
        for entry in (entry for entries in listed for entry in entries):
            name = layout.ltx_name(entry.key)
            if name is not None and name.level <= ltx.SNAPSHOT_LEVEL and 1 <= name.first <= name.last:
                found.append(
                    Piece(name.level, name.first, name.last, entry.size, entry.modified, name.pinned, entry.key)
                )
        return found

    # Private

    async def _restore(self, line: Line, way: Sequence[Piece], target: Path, place: Place) -> dict[str, str]:
        """Put `way` together as `target`. Returns the objects that are missing or damaged, with what is wrong; then
        there is no target."""
        size = sum(piece.size for piece in way)
        if len(way) > FILES_MAX or size > BYTES_MAX:
            message = f"The way to that moment is {len(way):,} files with {size:,} bytes, which is too much."
            raise SteadyError("too_large", message)
        scratch = scratch_path(place, "chain")
        check_reserve(place.root)
        try:
            replica, out = _make(scratch, place)
            if bad := await self._fetch(line, way, replica):
                return bad
            if bad := await self._assemble(way, replica, out, place):
                return bad
            await self._prove(out, place)
            await asyncio.to_thread(os.replace, out / "data", target)
            return {}
        finally:
            await self._trash.throw(scratch)

    async def _fetch(self, line: Line, way: Sequence[Piece], replica: Path) -> dict[str, str]:
        """The files into `replica`, laid out as Litestream reads them."""
        for level in {piece.level for piece in way}:
            (replica / "ltx" / str(level)).mkdir()
        turns = asyncio.Semaphore(FETCHES_AT_ONCE_MAX)
        bad: dict[str, str] = {}

        async def fetch(piece: Piece) -> None:
            async with turns:
                path = replica / "ltx" / piece.name
                found = await self._objects.fetch(piece.key, path, lasting=False, app_id=line.app_id)
            if problem := _look(path, piece) if found else "it is missing":
                bad[piece.key] = problem

        try:
            async with asyncio.TaskGroup() as group:
                for piece in way:
                    group.create_task(fetch(piece))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        return bad

    async def _assemble(self, way: Sequence[Piece], replica: Path, out: Path, place: Place) -> dict[str, str]:
        """Litestream's own restore; it compares the checksum of every file."""
        room = Room(out, self._litestream.engine.folder, place.uid, ENVIRON, shown={"/replica": replica})
        words = ["restore", "-txid", f"{way[-1].last:016x}", "-o", "{app}/data", "file://{replica}"]
        result = await self._litestream.run(room, words, RESTORE_SECONDS_MAX)
        if result.ok:
            return {}
        check_reserve(place.root)
        said = _said(result)
        found = DAMAGED.findall(said)
        if not found or int(found[-1]) >= len(way):
            raise SteadyError("backup_broken", f"The backup could not be put together: {said}.", {"said": said})
        return {way[int(found[-1])].key: said}

    async def _prove(self, out: Path, place: Place) -> None:
        room = Room(out, self._scripts.engine.folder, place.uid, ENVIRON, folder_read_only=True)
        result = await self._scripts.run(
            room, [*SCRIPT, "{engine}/restored.ts", "check", "{app}/data"], CHECK_SECONDS_MAX
        )
        answer = result.answer()
        if not answer.get("ok"):
            problem = str(answer.get("problem") or _said(result))
            raise SteadyError("backup_broken", f"What came back is damaged: {problem}", {"problem": problem})

    async def _time(self, line: Line, piece: Piece) -> float:
        """When the last transaction of a piece was copied, by its own header; the listing's time, should it be gone or
        unreadable by now."""
        known = self._times.get(piece.key)
        if known is None:
            content = await self._objects.get(piece.key, 0, ltx.HEADER_BYTES, app_id=line.app_id)
            try:
                known = ltx.parse_header(content or b"").at
            except ValueError:
                return piece.at
            self._times[piece.key] = known
            if len(self._times) > HEADERS_KEPT_MAX:
                self._times.popitem(last=False)
        return known


def line_key(line: Line) -> str:
    """Where a line lies in the object store: one of no app is the host's own."""
    return layout.steady(line.epoch) if not line.app_id else layout.line(line.app_id, line.epoch, line.id)


# Private


def _witness(pieces: Sequence[Piece], txid: int) -> Piece:
    """Of the files that end at `txid` the one that knows best when that was: merged ones inherit the time of what they
    were merged from, and a whole database may have been copied long after."""
    return min((piece for piece in pieces if piece.last == txid), key=lambda piece: piece.level)


def _no_way(line: Line, pieces: Sequence[Piece], txid: int, damaged: dict[str, str]) -> SteadyError:
    """Why `txid` cannot be reached."""
    details = {"database": line.path, "transaction": txid}
    if damaged:
        key, problem = next(iter(damaged.items()))
        message = f"The backup of “{line.path}” is damaged: {key}: {problem}."
        return SteadyError("backup_broken", message, {**details, "objects": damaged})
    missing = ltx.gap(pieces, txid)
    if missing is not None:
        message = f"The backup of “{line.path}” lacks transactions {missing.first} to {missing.last}."
        return SteadyError("backup_broken", message, {**details, "missing": [missing.first, missing.last]})
    found = ltx.moments(pieces)
    before = next((moment for moment in reversed(found) if moment.txid < txid), None)
    after = next((moment for moment in found if moment.txid > txid), None)
    nearest = [_shown(moment.at) for moment in (before, after) if moment]
    message = f"That moment of “{line.path}” was merged with others. The nearest: {' and '.join(nearest)}."
    return SteadyError("not_reachable", message, {**details, "nearest": nearest})


def _make(scratch: Path, place: Place) -> tuple[Path, Path]:
    """The folder for the files, and the app's own for what becomes of them."""
    replica, out = scratch / "replica", scratch / "out"
    for folder, mode in ((scratch, 0o711), (replica, 0o755), (replica / "ltx", 0o755)):
        folder.mkdir()
        folder.chmod(mode)
    make_own(out, place.uid)
    return replica, out


def _look(path: Path, piece: Piece) -> str:
    """What is wrong with a fetched file, as far as its size and header tell."""
    if path.stat().st_size != piece.size or piece.size < ltx.HEADER_BYTES + ltx.TRAILER_BYTES:
        return f"it has {path.stat().st_size} bytes"
    try:
        with path.open("rb") as file:
            header = ltx.parse_header(file.read(ltx.HEADER_BYTES))
    except ValueError as error:
        return str(error)
    if (header.first, header.last) != (piece.first, piece.last):
        return "it holds other transactions than its name says"
    return ""


def _size(path: Path) -> int:
    return path.stat().st_size


def _said(result: Result) -> str:
    """Why it failed; raises where that says nothing about the backup."""
    if result.timed_out:
        raise SteadyError("overloaded", "Bringing the database back took too long and was ended. Try it again later.")
    if result.ended.signal == "SIGKILL":
        raise SteadyError("overloaded", f"Bringing the database back needs more than {MEMORY_BYTES_MAX >> 20} MiB.")
    lines = result.last_lines(1)
    return lines[-1] if lines else f"it ended with {result.ended}"


def _shown(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
