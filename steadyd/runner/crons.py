"""The clock of every app's crons: one timer to the next moment, and the runs under way.

What is due is decided in agenda.py and recorded before it is done, so a daemon that dies loses none: what had begun is
told as interrupted and tried again, what was due in the meantime is found by its planned moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from steadyd.errors import SteadyError
from steadyd.model import Event
from steadyd.records.crons import Crons, Job, Result, Run, Step
from steadyd.runner import agenda
from steadyd.runner.errand import Errand

RUNS_AT_ONCE_MAX = 16
"""Runs on this host of apps of accounts; what is due beyond that waits for its turn."""
GUESTS_RUNS_AT_ONCE_MAX = 4
"""Of guests' apps, which take no turn from the others."""
APPS_RUNS_AT_ONCE_MAX = 4
"""Of one app, so that one whose runs hang leaves turns to others."""
SLEEP_SECONDS_MAX = 30.0
"""So late it notices that the wall clock was set."""
BEGUN_AT_ONCE = 16
"""Runs that begin in one turn of the loop: at noon there may be a thousand."""
LOOK_SECONDS_MIN = 0.2
"""Between two looks that were asked for: what happens to apps in between is seen together."""
CLOSE_SECONDS_MAX = 2.0
"""For runs under way when the daemon stops."""
FAILED = "cron_failed"
"""The event of a run that failed for good."""

logger = logging.getLogger("steadyd.crons")


class Scheduler:
    """Fires what is due. `fire` makes one attempt and never raises for what the app does; `tell` takes an app's events;
    `clock` is the wall clock, in seconds since 1970."""

    def __init__(
        self,
        crons: Crons,
        fire: Callable[[Errand], Awaitable[Result]],
        tell: Callable[[str, Event], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._crons = crons
        self._fire = fire
        self._tell = tell
        self._clock = clock
        self._busy: set[tuple[str, str]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(RUNS_AT_ONCE_MAX)
        self._guests_slots = asyncio.Semaphore(GUESTS_RUNS_AT_ONCE_MAX)
        self._apps_slots: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._asked = asyncio.Event()
        self._turn = asyncio.Lock()
        """Held while it is decided who runs."""

    async def recover(self) -> None:
        """After a start: what the last daemon had begun is tried again."""
        await self._crons.interrupt(self._clock(), agenda.ATTEMPTS_MAX)

    async def run(self) -> None:
        """The loop; cancelled at the daemon's stop."""
        while True:
            wait = SLEEP_SECONDS_MAX
            self._asked.clear()
            try:
                at = await self.look()
                wait = min(max(at - self._clock(), 0.0), wait) if at is not None else wait
            except SteadyError as error:
                logger.warning("crons are not looked at for %g s: %s", wait, error.message)
            except Exception:
                logger.exception("crons are not looked at for %g s", wait)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._asked.wait()
                await asyncio.sleep(LOOK_SECONDS_MIN)

    def poke(self) -> None:
        """Something may have changed: a version went live, a cron was made, a run ended. Never waits."""
        self._asked.set()

    async def look(self) -> float | None:
        """Begin what is due now; returns when the next is."""
        async with self._turn:
            await self._crons.tidy()
            now, jobs = self._clock(), await self._crons.everything()
            steps = await asyncio.to_thread(agenda.decide, jobs, frozenset(self._busy), now)
            for number, (step, run_id) in enumerate(await self._crons.take(steps, now) if steps else (), 1):
                self._begin(step, run_id)
                if number % BEGUN_AT_ONCE == 0:
                    await asyncio.sleep(0)
        waiting = [job for job in await self._crons.everything() if job.key not in self._busy]
        return agenda.wake_at(waiting)

    async def run_now(self, job: Job) -> Run:
        """Run it once at once, whatever its schedule says; returns when it is over, if the caller waits.

        Raises:
            SteadyError: `conflict` if a run of it is under way.
        """
        async with self._turn:
            if job.key in self._busy:
                raise SteadyError("conflict", f"A run of “{job.cron.id}” is under way. Wait until it is over.")
            now = self._clock()
            run_id = await self._crons.begin(job, now)
            self._busy.add(job.key)
            work = self._task(self._attempt(Step(job, job.follows, job.next_at, now), run_id, by_hand=True))
        await asyncio.shield(work)
        run = await self._crons.run(*job.key, run_id)
        if run is None:
            raise SteadyError("not_found", f"“{job.cron.id}” was deleted while it ran.")
        return run

    async def idle(self) -> None:
        """Return when no run is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self, seconds: float = CLOSE_SECONDS_MAX) -> None:
        """Let what runs end, for so long; the next start finds the rest open, and tries it again."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Private

    def _begin(self, step: Step, run_id: int) -> None:
        self._busy.add(step.job.key)
        self._task(self._attempt(step, run_id))

    def _task(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a run of a cron was not recorded", exc_info=error)
        self.poke()

    async def _attempt(self, step: Step, run_id: int, by_hand: bool = False) -> None:
        job, moment = step.job, step.moment
        assert moment is not None
        try:
            async with self._slot(job):
                result = await self._fired(Errand(job.app_id, job.cron, moment, step.attempt, run_id))
            now = self._clock()
            retry = None if by_hand else agenda.retry_after(result, step.attempt, moment, step.next_at, now)
            if await self._crons.finish(run_id, result, now, retry) is None:
                return
        finally:
            self._busy.discard(job.key)
        if result.outcome == "failed" and retry is None and not by_hand:
            said = f"Cron “{job.cron.id}” of {_written(moment)} failed, attempt {step.attempt}: {result.error}"
            details = {"cron": job.cron.id, "run": run_id}
            self._tell(job.app_id, Event(now, FAILED, said, details))

    @asynccontextmanager
    async def _slot(self, job: Job) -> AsyncIterator[None]:
        """A place to run in: first among the app's own runs, then among those of the host."""
        apps_own = self._apps_slots.setdefault(job.app_id, asyncio.Semaphore(APPS_RUNS_AT_ONCE_MAX))
        async with apps_own, self._guests_slots if job.by_guest else self._slots:
            yield

    async def _fired(self, errand: Errand) -> Result:
        try:
            return await self._fire(errand)
        except Exception as error:
            logger.exception("cron %s of app %s could not be run", errand.cron.id, errand.app_id)
            return Result("failed", error=f"steadyd could not run it: {error}")


# Private


def _written(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
