"""Replication of all apps' databases: which are registered now, how far each is behind, and a last sync before rest."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from steadyd.backup.follower import STAND_SECONDS_MAX, SYNC_SECONDS_MAX, Follower
from steadyd.backup.registrar import Means
from steadyd.backup.steady import SteadyReplica
from steadyd.backup.stream import WORST_FIRST, Health, Stream, worst
from steadyd.backup.turns import Turns
from steadyd.backup.wire import Refused, Unanswered
from steadyd.errors import SteadyError
from steadyd.model import AppState
from steadyd.moment import Stand
from steadyd.records.apps import Apps
from steadyd.runner.folder import Place

TICK_SECONDS = 1.0
"""How often awake apps are looked at: so late a database that was just opened is found."""
INSPECTION_TICKS = 15
"""Between two inspections of what is registered: twice between two ticks of Litestream's own (`litestream.LEVELS`)."""
PAUSE_SECONDS = 0.2
"""After the last answer: then what was written is synced at once."""
WAKE_SECONDS = 0.2
"""After an app came up: its first answer goes first."""
REST_SECONDS = 1.0
"""After an app came to rest: a swap is over by then, and nothing was unregistered for it."""
SYNCS_AT_ONCE_MAX = 8

AWAKE = frozenset({AppState.RUNNING})
AT_REST = frozenset({AppState.FROZEN, AppState.STOPPED, AppState.FAILED, AppState.HELD, AppState.SUSPENDED})

logger = logging.getLogger("steadyd.replication")


@dataclass(frozen=True, slots=True)
class Database:
    """What is told of one database. Seconds; `good_at` since 1970, None if it was never replicated."""

    path: str
    health: Health
    lag_seconds: float
    good_at: float | None
    line: int
    txid: int
    problem: str = ""
    waiting_files: int = 0
    waiting_bytes: int = 0
    """Of what was committed and is not in the replica; counted while it cannot get there."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is told of an app's databases: the worst of them, first."""

    health: Health
    lag_seconds: float
    databases: tuple[Database, ...] = ()
    whole: bool = True
    """False if its folder holds more than is looked at."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Replication of all apps, and of the records. `problem` says why a Litestream does not run; "" where both do."""

    version: str
    problem: str
    behind: int
    failing: int
    """Apps."""
    records: Health
    records_problem: str


class Replication:
    """All apps. What it is told on the event loop (`turned`, `asked`) only sets timers."""

    def __init__(self, means: Means, place: Callable[[str], Place]) -> None:
        """`place` says where an app lives, by its id."""
        self.records: SteadyReplica | None = None
        """The replica of the records themselves, where there is one."""
        self._means = means
        self._place = place
        self._followers: dict[str, Follower] = {}
        self._turns = Turns()
        self._unsettled: set[str] = set()
        """Apps at rest with something that the replica has not."""
        means.litestream.on_up = self._up

    # The keeper's side

    def turned(self, app_id: str, state: AppState) -> None:
        """An app's state is another now."""
        if state in AWAKE:
            follower = self.follower(app_id)
            follower.awake, follower.registrar.shut = True, False
            self._turns.later(app_id, WAKE_SECONDS, partial(self._catch_up, follower))
        elif state in AT_REST and app_id in self._followers:
            follower = self._followers[app_id]
            follower.awake = False
            self._turns.later(app_id, REST_SECONDS, partial(self._rest, follower))

    def asked(self, app_id: str) -> None:
        """The last of its requests was answered: soon after, if none follows, what it wrote is synced."""
        known = self._followers.get(app_id)
        if known is not None and known.awake:
            self._turns.later(app_id, PAUSE_SECONDS, partial(self._catch_up, known))

    # What others ask

    async def sync(self, app_id: str, seconds: float = SYNC_SECONDS_MAX) -> tuple[Stand, ...]:
        """Where each database of the app stands, once the replica has all that was committed before this was called.

        Raises:
            SteadyError: `replica_away` if it has not within `seconds`.
        """
        follower, began = self.follower(app_id), time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                await follower.look()
                await _all(follower.sync(stream, seconds, began) for stream in follower.streams.values())
        except (Unanswered, Refused, TimeoutError) as error:
            raise _away(error, follower) from None
        self._settle(follower)
        return tuple(stream.stand for stream in follower.streams.values() if stream.line is not None)

    async def stand(self, app_id: str, seconds: float = STAND_SECONDS_MAX) -> tuple[Stand, ...]:
        """Where each database of the app stands now, in the replica or on the way there: nothing waits for the store.

        Raises:
            SteadyError: `replica_away` if that cannot be said within `seconds`.
        """
        follower = self.follower(app_id)
        try:
            async with asyncio.timeout(seconds):
                await follower.look()
                stands = await _all(follower.stand(stream, seconds) for stream in follower.streams.values())
        except (Unanswered, Refused, TimeoutError) as error:
            raise _away(error, follower) from None
        self._settle(follower)
        return tuple(stands)

    async def let_go(self, app_id: str) -> None:
        """Close every file of the app, and open none until `follow`: what is in its folder changes."""
        follower = self.follower(app_id)
        follower.registrar.shut = True
        await self._turns.stop(app_id)
        await follower.unregister(surely=True)

    def follow(self, app_id: str) -> None:
        """Follow it again, as its files are now: what is new in them is synced soon."""
        follower = self.follower(app_id)
        follower.registrar.shut, follower.doubtful = False, True
        self._turns.later(app_id, 0.0, partial(self._catch_up if follower.awake else self._rest, follower))

    async def forget(self, app_id: str) -> None:
        """The app is gone."""
        if app_id in self._followers:
            await self.let_go(app_id)
            self._followers.pop(app_id, None)

    def status(self, app_id: str) -> Status:
        """How its databases are replicated. One that was never looked at is UNKNOWN, as is an app."""
        follower = self._followers.get(app_id)
        if follower is None or not follower.seen:
            return Status(Health.UNKNOWN, 0.0)
        now = time.monotonic()
        told = tuple(_told(stream, now) for stream in follower.streams.values())
        health, whole = worst([one.health for one in told]), follower.standing.whole
        lag = max((one.lag_seconds for one in told), default=0.0)
        said = sorted(told, key=lambda one: (WORST_FIRST.index(one.health), one.path))
        return Status(health if whole else worst([health, Health.FAILING]), lag, tuple(said), whole)

    def whole(self) -> Whole:
        """How replication is on this host."""
        found = [self.status(app_id).health for app_id in self._followers]
        own, records = self._means.litestream, self.records
        told = [litestream.problem for litestream in (own, records.litestream if records else None) if litestream]
        late = found.count(Health.BEHIND), sum(health in (Health.FAILING, Health.STALLED) for health in found)
        stream = records.stream if records is not None else None
        health = stream.health(time.monotonic()) if stream is not None else Health.UNKNOWN
        return Whole(own.version, next(filter(None, told), ""), *late, health, stream.problem if stream else "")

    # The daemon's side

    async def start(self, apps: Apps) -> None:
        """Know every app that there is: what was written since it was replicated last, by a daemon that was killed for
        example, is synced soon, though the app sleeps."""
        for app in await apps.everything():
            follower = self.follower(app.id)
            await follower.look()
            if not follower.awake and follower.due(time.monotonic()):
                self._unsettled.add(app.id)

    async def run(self) -> None:
        """Look at awake apps, and at those that came to rest and are behind, for ever."""
        for number in itertools.count(1):
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.tick(time.monotonic())
                if number % INSPECTION_TICKS == 0:
                    for follower in list(self._followers.values()):
                        await follower.inspect()  # it merges the files of one database after the other
            except Exception:
                logger.exception("a look at the apps' databases failed")

    async def tick(self, now: float) -> None:
        """One look. `now` is monotonic seconds."""
        awake = [f for f in self._followers.values() if f.awake and not f.registrar.shut]
        began = time.monotonic()
        found = await asyncio.to_thread(lambda: [(follower, follower.standing.look()) for follower in awake])
        for follower, seen in found:
            await follower.take(seen, began)
            if follower.due(now):
                # An app that is asked all the time never pauses.
                self._turns.at_once(follower.app_id, partial(self._catch_up, follower))
        for follower in [self._followers[app_id] for app_id in self._unsettled if app_id in self._followers]:
            if follower.due(now) and not follower.awake and not follower.registrar.shut:
                self._turns.now(follower.app_id, partial(self._rest, follower))

    def abandon(self, reason: str) -> None:
        """Replicate nothing any more, for good: what is written here belongs to nobody."""
        for litestream in (self._means.litestream, self.records.litestream if self.records is not None else None):
            if litestream is not None:
                litestream.give_up(reason)

    async def close(self, seconds: float) -> None:
        """The daemon stops, every app is at rest: a last sync of what has not had one, as far as `seconds` go."""
        await self._turns.drain(seconds)
        behind = [a for a, f in self._followers.items() if any(not stream.current for stream in f.streams.values())]
        if behind:
            logger.warning("%d apps have data that the replica has not: it follows after the next start", len(behind))

    # Private

    def follower(self, app_id: str) -> Follower:
        found = self._followers.get(app_id)
        if found is None:
            found = self._followers[app_id] = Follower(app_id, self._place(app_id), self._means)
        return found

    def _settle(self, follower: Follower) -> None:
        """What was registered for an app at rest does not stay."""
        if not follower.awake and any(stream.generation for stream in follower.streams.values()):
            self._turns.later(follower.app_id, REST_SECONDS, partial(self._rest, follower))

    async def _catch_up(self, follower: Follower) -> None:
        if follower.doubtful:
            await follower.recheck()
        await follower.look()
        await asyncio.gather(*(_bring(follower, stream) for stream in follower.due(time.monotonic())))

    async def _rest(self, follower: Follower) -> None:
        seconds = await follower.rest(lambda: not follower.awake and not follower.registrar.shut)
        if seconds:
            self._turns.later(follower.app_id, seconds, partial(self._rest, follower))
        settled = follower.awake or follower.settled
        (self._unsettled.discard if settled else self._unsettled.add)(follower.app_id)

    def _up(self) -> None:
        """Litestream is new and knows nothing: those that are awake are registered again."""
        for follower in self._followers.values():
            for stream in follower.streams.values():
                stream.again_at = 0.0
            if follower.awake and not self._turns.waits(follower.app_id):
                self._turns.later(follower.app_id, 0.0, partial(self._catch_up, follower))


# Private


async def _bring(follower: Follower, stream: Stream) -> None:
    with contextlib.suppress(Unanswered, Refused):
        await follower.sync(stream)


async def _all(work: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """All of them to their end, then the first error."""
    done = await asyncio.gather(*work, return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException):
            raise one
    return list(done)


def _away(error: Exception, follower: Follower) -> SteadyError:
    named = next(
        (f"“{s.path}”: {s.problem}" for s in follower.streams.values() if s.problem), str(error) or "it is slow"
    )
    message = f"The replica does not have this app's data yet ({named}). It is tried again; nothing is lost here."
    return SteadyError("replica_away", message, retry_after=5)


def _told(stream: Stream, now: float) -> Database:
    line = stream.line.id if stream.line is not None else 0
    health, lag, waiting = stream.health(now), stream.lag(now), (stream.waiting_files, stream.waiting_bytes)
    return Database(stream.path, health, lag, stream.good_at, line, stream.txid, stream.problem, *waiting)


def boot_id() -> str:
    """Another after each start of this machine; "" where it does not say."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
