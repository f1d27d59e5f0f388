"""Drills: an app's newest backup is restored while it sleeps, checked, and compared with the live databases.

That something was copied proves nothing; that it came back does. A drill that fails makes the app's backup red, is told
to its owner, and begins a new line with all of the database. The live files are only read, as the app.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from steadyd.backup import ltx
from steadyd.backup.chain import CHECK_SECONDS_MAX, ENVIRON, MEMORY_BYTES_MAX, OUTPUT_BYTES, Chain
from steadyd.backup.replication import Replication
from steadyd.backup.truth import Proof
from steadyd.errors import SteadyError
from steadyd.model import App, Event
from steadyd.moment import Drill, Line, Stand
from steadyd.runner.folder import Place, make_own, scratch_path
from steadyd.runner.ground import Ground
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import SCRIPT, Bounds, Tools

LOOK_SECONDS = 15.0
"""Between two looks for an app whose backup is to be tried, where none was found."""
REST_SECONDS = 30.0
"""So long an app is at rest before its backup is compared."""
AGAIN_SECONDS = 86_400.0
"""After a drill that went well, if the app wrote since."""
AWAKE_SECONDS = 1_800.0
"""An app that never rests is tried awake so long after its first look; then there is nothing to compare."""
FAILED_SECONDS = 60.0
"""After a first failure; ten times as long after each further one, up to AGAIN_SECONDS."""
LATER_SECONDS = 300.0
"""After a look at an app: its backup needed no drill, or none could be made."""
WAITING_MAX = 8
"""Drills that somebody asked for and that wait for their turn."""
FAILED, MENDED = "drill_failed", "drill_mended"
"""Kinds of events."""
FILES = ""
"""In the place of a database's path: all files that are none. Their transaction is the number of a capture."""
DAMAGE = frozenset({"backup_broken", "not_reachable"})

Seen = Mapping[Stand, object]
"""Where each database stands, and what tells whether that is so still."""

logger = logging.getLogger("steadyd.drills")


@dataclass(frozen=True, slots=True)
class Proven:
    """What is known of an app's drills. `at` is when the last one went well, in seconds since 1970."""

    last: Drill | None
    at: float | None
    under_way: bool


@dataclass(slots=True)
class Findings:
    """What one drill found. `over` are databases whose line must begin anew."""

    moment: float = 0.0
    problems: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)


class Drills:
    """Tries the backups of all apps, one at a time."""

    def __init__(
        self, ground: Ground, chain: Chain, replication: Replication, tools: Tools, tell: Callable[[str, Event], None]
    ) -> None:
        self._ground = ground
        self._chain = chain
        self._replication = replication
        self._tools = tools.within(Bounds(MEMORY_BYTES_MAX, OUTPUT_BYTES))
        self._tell = tell
        self.prove: Callable[[App, Path], Awaitable[list[str]]] = _nothing
        """Fetches some of an app's other files into an empty folder; returns what is wrong with them."""
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._under_way = ""
        self._since: dict[str, tuple[bool, float]] = {}
        """App → whether it was awake when it was looked at last, and since when, by the monotonic clock."""
        self._later: dict[str, float] = {}
        """App → not before, likewise."""

    async def run(self) -> None:
        """Until it is cancelled. Where many backups are to be tried, as long as each took nothing is done."""
        while True:
            drilled, began = False, time.monotonic()
            try:
                drilled = await self.look(time.monotonic(), time.time())
            except SteadyError as error:
                logger.warning("A drill could not be made: %s", error.message)
            except Exception:
                logger.exception("A drill could not be made")
            await asyncio.sleep(time.monotonic() - began if drilled else LOOK_SECONDS)

    async def look(self, now: float, wall: float) -> bool:
        """Try the backup that needs it most, if one does. `now` is monotonic. Returns whether there was one."""
        last = await self._ground.library.drills.last()
        apps = await self._ground.apps.everything()
        self._since = {app.id: self._noticed(app.id, now) for app in apps}
        self._later = {app_id: at for app_id, at in self._later.items() if at > now}
        for app in sorted(apps, key=lambda app: last[app.id].at if app.id in last else 0.0):
            awake, since = self._since[app.id]
            if app.id in self._later or now - since < (AWAKE_SECONDS if awake else REST_SECONDS):
                continue
            self._later[app.id] = now + LATER_SECONDS
            stands, failures = await self._stands(app.id), await self._failures(app.id)
            stands += await self._files(app.id)
            if is_due(last.get(app.id), failures, stands, wall):
                async with self._turn:
                    await self._drill(app)
                return True
        return False

    async def drill(self, app: App) -> Drill | None:
        """Try the app's backup now, or after those that are tried already. None where that says nothing: the app keeps
        no database, or wrote while it was tried.

        Raises:
            SteadyError: `overloaded`, `replica_away`, `disk_full`.
        """
        if self._waiting >= WAITING_MAX:
            raise SteadyError("overloaded", "Many backups wait to be tried already. Ask again later.", retry_after=10)
        self._waiting += 1
        try:
            async with self._turn:
                return await self._drill(app)
        finally:
            self._waiting -= 1

    async def status(self, app_id: str) -> Proven:
        """What is known of the app's backup."""
        found = await self._ground.library.drills.of(app_id)
        at = next((drill.at for drill in found if drill.ok), None)
        return Proven(found[0] if found else None, at, self._under_way == app_id)

    async def last(self, app_id: str) -> Proof | None:
        """The same, as far as it says whether the app's backup is one."""
        found = (await self.status(app_id)).last
        return Proof(found.at, found.ok, found.ms, found.problem) if found else None

    # Private

    def _noticed(self, app_id: str, now: float) -> tuple[bool, float]:
        awake = self._replication.follower(app_id).awake
        before = self._since.get(app_id)
        return before if before is not None and before[0] == awake else (awake, now)

    async def _failures(self, app_id: str) -> int:
        """In a row, up to now."""
        drills = await self._ground.library.drills.of(app_id)
        return next((count for count, drill in enumerate(drills) if drill.ok), len(drills))

    async def _drill(self, app: App) -> Drill | None:
        self._under_way = app.id
        began, at = time.monotonic(), time.time()
        try:
            seen = await self._settled(app.id)
            stands = tuple(seen) if seen is not None else await self._newest(app.id)
            files = await self._files(app.id)
            if not stands and not files:
                return None
            found = Findings()
            lines = {line.id: line for line in await self._ground.library.lines.of(app.id)}
            for stand in stands:
                await self._try(app, lines[stand.line], stand, seen is not None, found)
            if files:
                found.problems += await self._try_files(app)
                found.moment = found.moment or at
            if seen is not None and await self._settled(app.id) != seen:
                return None  # it woke: what was compared was not what was restored
        finally:
            self._under_way = ""
        took = (time.monotonic() - began) * 1000
        problem = " ".join(found.problems)
        drill = Drill(app.id, at, not problem, took, found.moment, problem, seen is not None, (*stands, *files))
        await self._keep(drill)
        for path in found.over:
            await self._begin_anew(app.id, path)
        return drill

    async def _keep(self, drill: Drill) -> None:
        before = (await self._ground.library.drills.last()).get(drill.app_id)
        await self._ground.library.drills.add(drill)
        if not drill.ok:
            said = f"The backup could not be restored when that was tried: {drill.problem}"
            self._tell(drill.app_id, Event(drill.at, FAILED, said))
        elif before is not None and not before.ok:
            said = f"The backup was restored again when that was tried, in {drill.ms:,.0f} ms."
            self._tell(drill.app_id, Event(drill.at, MENDED, said))

    async def _try(self, app: App, line: Line, stand: Stand, compare: bool, found: Findings) -> None:
        """One database: the newest moment, then one of the others, and whether anything is missing between them."""
        place = self._ground.place(app)
        scratch = scratch_path(place, "drill")
        try:
            make_own(scratch, place.uid)
            restored = await self._chain.restore(line, stand.txid, scratch / "data", place)
            found.moment = max(found.moment, restored.moment.at)
            if restored.damaged:
                found.problems.append(f"{restored.damaged[0]} is damaged.")
                found.over.append(stand.path)
            problem = await self._compare(place, scratch, stand.path) if compare else ""
            if problem:
                found.problems.append(f"“{stand.path}” came back, but {problem}.")
                found.over.append(stand.path)
            elif problem := await self._past(line, stand, scratch, place):
                found.problems.append(problem)
        except SteadyError as error:
            if error.code not in DAMAGE:
                raise
            found.problems.append(error.message)
            found.over.append(stand.path)
        finally:
            await self._ground.trash.throw(scratch)

    async def _try_files(self, app: App) -> list[str]:
        """What is wrong with its other files."""
        scratch = scratch_path(self._ground.place(app), "drill")
        try:
            await asyncio.to_thread(scratch.mkdir, 0o700)
            return [f"{problem}." for problem in await self.prove(app, scratch)]
        except SteadyError as error:
            if error.code not in DAMAGE:
                raise
            return [error.message]
        finally:
            await self._ground.trash.throw(scratch)

    async def _files(self, app_id: str) -> tuple[Stand, ...]:
        """Where its other files stand: as of which capture. None for an app that has none."""
        newest = await self._ground.library.captures.newest(app_id)
        return (Stand(FILES, 0, newest.id),) if newest is not None and newest.manifest else ()

    async def _past(self, line: Line, stand: Stand, scratch: Path, place: Place) -> str:
        """What is wrong with moments before the newest: nothing is missing, and one of them, by lot, comes back."""
        pieces = await self._chain.pieces(line)
        if missing := ltx.holes(pieces):
            first, last = missing[0].first, missing[0].last
            return f"The backup of “{stand.path}” lacks the moments of transactions {first} to {last}."
        others = [moment for moment in ltx.moments(pieces) if moment.txid < stand.txid]
        if others:
            restored = await self._chain.restore(line, random.choice(others).txid, scratch / "past", place)
            if restored.damaged:
                return f"{restored.damaged[0]} is damaged."
        return ""

    async def _compare(self, place: Place, scratch: Path, path: str) -> str:
        """How the restored database differs from the live one; "" if it does not."""
        environ = {**ENVIRON, "STEADY_LIVE": f"/live/{path}" if self._tools.sandboxed else str(place.app / path)}
        shown = {"/live": place.app}
        room = Room(scratch, self._tools.engine.folder, place.uid, environ, shown=shown, folder_read_only=True)
        words = [*SCRIPT, "{engine}/restored.ts", "compare", "{app}/data"]
        result = await self._tools.run(room, words, CHECK_SECONDS_MAX)
        answer = result.answer()
        if answer.get("ok"):
            return ""
        if result.timed_out:
            raise SteadyError("overloaded", "Comparing a restored database with the live one took too long.")
        return str(answer.get("problem") or f"comparing it ended with {result.ended}")

    async def _settled(self, app_id: str) -> Seen | None:
        """Where the databases of an app at rest stand, if the replica has all of them; None otherwise."""
        follower = self._replication.follower(app_id)
        if follower.awake:
            return None
        await follower.look()
        streams = list(follower.streams.values())
        if any(not stream.current or stream.line is None or stream.generation for stream in streams):
            return None
        return {stream.stand: stream.live for stream in streams}

    async def _stands(self, app_id: str) -> tuple[Stand, ...]:
        """Where its databases stand, as far as that is known without asking anybody."""
        follower = self._replication.follower(app_id)
        await follower.look()
        return tuple(stream.stand for stream in follower.streams.values() if stream.line is not None and stream.txid)

    async def _newest(self, app_id: str) -> tuple[Stand, ...]:
        """The newest moments in the replica of an app that is awake."""
        lines = [line for line in await self._ground.library.lines.of(app_id) if line.ended_at is None]
        found = [(line, (await self._chain.timeline(line)).newest) for line in lines]
        return tuple(Stand(line.path, line.id, moment.txid) for line, moment in found if moment is not None)

    async def _begin_anew(self, app_id: str, path: str) -> None:
        """All of the database goes to the replica once more, as a new line."""
        follower = self._replication.follower(app_id)
        stream = follower.streams.get(path)
        if stream is None:
            return
        await follower.start_over(stream)
        with contextlib.suppress(SteadyError):  # then it is synced as soon as the store is there
            await self._replication.sync(app_id)


def is_due(last: Drill | None, failures: int, stands: Sequence[Stand], now: float) -> bool:
    """Whether the backup of an app whose databases stand there is to be tried at `now`, in seconds since 1970."""
    if not stands:
        return False
    if last is None:
        return True
    if not last.ok:
        return now - last.at >= min(FAILED_SECONDS * 10.0 ** min(failures - 1, 9), AGAIN_SECONDS)
    return now - last.at >= AGAIN_SECONDS and set(stands) != set(last.stands)


# Private


async def _nothing(app: App, scratch: Path) -> list[str]:
    return []
