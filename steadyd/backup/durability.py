"""`"durability": "replica"`: an app's answers leave when the replica has what they may tell of."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Protocol

from steadyd.backup.standing import Standing
from steadyd.backup.waiting import Verdict, Waiting
from steadyd.backup.wire import Refused, Unanswered
from steadyd.errors import SteadyError
from steadyd.model import Durability
from steadyd.moment import Stand
from steadyd.proxy.service import Waiter
from steadyd.runner.folder import Place

PAUSE_SECONDS_MIN = 0.05
PAUSE_SECONDS_MAX = 5.0
"""Between a sync that failed and the next one; the pause doubles, and varies by a half."""
RETRY_AFTER_SECONDS = 2

Sync = Callable[[float], Awaitable[Collection[str]]]
"""Seconds that it may take → the databases whose newest commit is in the replica now. Raises SteadyError."""

logger = logging.getLogger("steadyd.durability")


class Barrier:
    """What one app's answers wait for (`steadyd.proxy.service.Barrier`). `tell` hears in a sentence that they begin to
    be refused, and that they leave again."""

    def __init__(self, standing: Standing, sync: Sync, seconds: float, tell: Callable[[str], None]) -> None:
        self._standing = standing
        self._sync = sync
        self._seconds = seconds
        self._tell = tell
        self._waiting: Waiting[Waiter] = Waiting(seconds)
        self._reason = ""
        self._work: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def refusal(self) -> SteadyError | None:
        if not self._waiting.away or self._waiting.is_safe(self._standing.look()):
            return None
        said = "The replica cannot be reached and lacks what this app wrote last, so your request was not passed on."
        return _not_replicated(said)

    def holds(self, waiter: Waiter, size: int) -> bool:
        verdict = self._waiting.arrive(waiter, self._standing.look(), size, time.monotonic())
        if verdict is Verdict.PASS:
            return False
        if verdict is Verdict.REFUSE:
            raise self.late()
        if self._timer is None:
            self._set_timer()
        if self._work is None or self._work.done():
            self._work = asyncio.get_running_loop().create_task(self._sync_on())
        return True

    def forget(self, waiter: Waiter) -> None:
        self._waiting.leave(waiter)

    def late(self) -> SteadyError:
        said = (
            "The app has answered, but the replica does not have what it wrote yet, so its answer is held back. It may "
            "be kept on this host all the same: look before you send your request again."
        )
        return _not_replicated(said)

    async def settle(self) -> None:
        turn = _Turn()
        try:
            if self.holds(turn, 0):
                await turn.came
        finally:
            self.forget(turn)

    def close(self, passing: bool = False) -> None:
        """The end of it. Who waits is let through where nobody wants them to wait any more, and given up elsewhere."""
        if self._work is not None:
            self._work.cancel()
        if self._timer is not None:
            self._timer.cancel()
        for waiter in self._waiting.clear():
            if passing:
                waiter.passed()
            else:
                waiter.given_up(self.late())

    # Private

    async def _sync_on(self) -> None:
        """Sync while somebody waits; after a wait in vain, until it works again."""
        pause = PAUSE_SECONDS_MIN
        while self._waiting.wants_sync:
            position = self._standing.look()
            self._waiting.begin(position)
            self._reason = await self._why_not(position.keys())
            if not self._reason:
                pause = PAUSE_SECONDS_MIN
                self._succeed()
                continue
            self._waiting.fail()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, PAUSE_SECONDS_MAX)

    async def _why_not(self, databases: Collection[str]) -> str:
        """Sync; why the replica does not have everything of these now, "" if it has."""
        try:
            async with asyncio.timeout(self._seconds):
                replicated = await self._sync(self._seconds)
        except SteadyError as error:
            return error.message
        except TimeoutError:
            return f"It was not done within {self._seconds:g} s."
        except Exception:
            logger.exception("a sync failed")
            return "It failed; the server's log says why."
        missing = sorted(set(databases).difference(replicated))
        return f"“{missing[0]}” is not replicated." if missing else ""

    def _succeed(self) -> None:
        if self._waiting.away:
            self._tell("The replica has what the app wrote: answers leave again.")
        for waiter in self._waiting.succeed(time.monotonic()):
            waiter.passed()

    def _set_timer(self) -> None:
        deadline = self._waiting.deadline
        if deadline is not None:
            seconds = max(0.0, deadline - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._timer = None
        was_away, late = self._waiting.away, self._waiting.expire(time.monotonic())
        if self._waiting.away and not was_away:
            self._tell(f"The replica lacks what the app wrote, so answers are held back. {self._reason}".rstrip())
        for waiter in late:
            waiter.given_up(self.late())
        if self._timer is None:
            self._set_timer()


class Replicating(Protocol):
    """Whoever replicates apps' databases."""

    async def sync(self, app_id: str, seconds: float) -> tuple[Stand, ...]:
        """Every database of the app, with what was committed before the call. Raises SteadyError."""


class Barriers:
    """Those of all apps on this host. `folder` is where they live, `tell` writes a sentence into an app's history, and
    an answer waits for `seconds` at most."""

    def __init__(
        self, replication: Replicating, folder: Path, tell: Callable[[str, str], None], seconds: float
    ) -> None:
        self.records: Callable[[float], Awaitable[None]] = _no_records
        """Brings steady.db into the replica within so many seconds. Raises Unanswered or Refused."""
        self._replication = replication
        self._folder = folder
        self._tell = tell
        self._seconds = seconds
        self._barriers: dict[str, Barrier] = {}

    def of(self, app_id: str, durability: Durability) -> Barrier | None:
        """What the app's answers wait for from now on."""
        barrier = self._barriers.get(app_id)
        if durability is Durability.REPLICA:
            return barrier or self._barriers.setdefault(app_id, self._new(app_id))
        if barrier is not None:
            del self._barriers[app_id]
            barrier.close(passing=True)
        return None

    async def settle(self, app_id: str) -> None:
        """Return when the replica has what the app has committed by now, and what the records say now.

        Raises:
            SteadyError: `not_replicated`.
        """
        try:
            if (barrier := self._barriers.get(app_id)) is not None:
                await barrier.settle()
            async with asyncio.timeout(self._seconds):
                await self.records(self._seconds)
        except (SteadyError, Unanswered, Refused, TimeoutError) as error:
            said = (
                "It was done on this host, but the replica does not have it yet. Do not do it again: look what is true "
                "now, or wait."
            )
            why = {"reason": str(error) or "it is slow"}
            raise SteadyError("not_replicated", said, why, RETRY_AFTER_SECONDS) from None

    def close(self) -> None:
        for barrier in self._barriers.values():
            barrier.close()

    # Private

    def _new(self, app_id: str) -> Barrier:
        async def sync(seconds: float) -> list[str]:
            return [stand.path for stand in await self._replication.sync(app_id, seconds)]

        standing = Standing(Place(self._folder / app_id, None).app)
        return Barrier(standing, sync, self._seconds, lambda said: self._tell(app_id, said))


# Private


async def _no_records(seconds: float) -> None:
    pass


class _Turn:
    """A `Waiter` to await."""

    def __init__(self) -> None:
        self.came: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def passed(self) -> None:
        if not self.came.done():
            self.came.set_result(None)

    def given_up(self, error: SteadyError) -> None:
        if not self.came.done():
            self.came.set_exception(error)


def _not_replicated(said: str) -> SteadyError:
    return SteadyError("not_replicated", said, retry_after=RETRY_AFTER_SECONDS)
