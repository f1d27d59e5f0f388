"""One app at run time: what the data plane calls a service. A thin shell around the lifecycle table.

Events come in, the table decides, this room performs. Everything that decides who gets a request is synchronous; the
waiting (starting, draining, stopping) happens in tasks that end by sending the next event.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.model import AppState, Death, Settings
from steadyd.proxy.service import Barrier, Holder
from steadyd.runner.death import death_of
from steadyd.runner.evidence import Evidence
from steadyd.runner.failure import DISK, STOP_TIMEOUT, Failure, sentence
from steadyd.runner.gate import WAITERS_MAX, Gate
from steadyd.runner.instance import Instance
from steadyd.runner.keeper import Keeper, NoKeeper
from steadyd.runner.lifecycle import Action, Deaths, Event, step
from steadyd.runner.lull import Lull
from steadyd.runner.process import Exit
from steadyd.runner.rest import Rest
from steadyd.runner.start import Plan, Starter
from steadyd.runner.watch import Watch

LOCKED = "secrets_locked"
AT_REST = frozenset({AppState.STOPPED, AppState.FAILED, AppState.HELD, AppState.SUSPENDED})


@dataclass(frozen=True, slots=True)
class Timing:
    """Deadlines in seconds, and how many requests may wait at the gate."""

    start_seconds: float = 30.0
    hold_seconds: float = 10.0
    drain_seconds: float = 5.0
    grace_seconds: float = 5.0
    freeze_seconds: float = 10.0
    waiters_max: int = WAITERS_MAX


@dataclass(frozen=True, slots=True)
class Tell:
    """Whom an app tells what happens to it. Called on the event loop; must not block."""

    happened: Callable[[str, str, str], None]
    """(app id, kind, sentence)"""
    died: Callable[[str, Death], None]
    woke: Callable[[str, float], None]
    """(app id, seconds until it answered)"""


class AppRuntime:
    """The state of one app on this host."""

    tells_everybody = False
    """Whether who asks an app that does not run is told why."""
    owned_by_steadyd = False
    hidden = False
    body_bytes_max: int | None = None
    barrier: Barrier | None = None

    def __init__(
        self,
        app_id: str,
        name: str,
        starter: Starter,
        timing: Timing,
        prepare: Callable[[str], Awaitable[Plan]],
        tell: Tell,
    ) -> None:
        self.id = app_id
        self.name = name
        self.owner_id = ""
        """Whose other apps it reaches on a private network, and who reach it."""
        self.state = AppState.STOPPED
        self.plan: Plan | None = None
        """What is started next; None until the folder was linked once."""
        self.settings = Settings()
        """Assigned whole when they change: see `settle`."""
        self.instance: Instance | None = None
        self.failure: Failure | None = None
        self.requests_before = 0
        self.operation = asyncio.Lock()
        """Deploys and the like, one at a time."""
        self.alone: Callable[[str], Awaitable[None]] = _nobody_else
        """Ends what else runs in the app's folder, told why: called before another instance may begin."""
        self.keeper: Keeper = NoKeeper()
        """Told each turn of the app's state, and when nobody asks it any more."""
        self.closed = False
        """True once it was told to go: nothing starts it again."""
        self._farewell = _closing()
        self._starter = starter
        self._timing = timing
        self._prepare = prepare
        self._tell = tell
        self._gate = Gate(timing.waiters_max)
        self._open: Instance | None = None
        self._swapping = False
        self._deaths = Deaths()
        self._retry: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[None] | None = None
        self._lull = Lull(timing.freeze_seconds)
        self.watch = Watch()

    # The data plane's side

    def claim(self, holder: Holder) -> None:
        """An instance now, or a place at the gate."""
        if self._open is not None:
            self._open.claim(holder)
            return
        if self.closed:
            holder.refused(self._farewell)
            return
        self._gate.wait(holder, self._timing.hold_seconds if self._swapping else self._timing.start_seconds)
        if not self._swapping:
            self._send(Event.WANTED)

    def forget(self, holder: Holder) -> None:
        self._gate.forget(holder)

    # The owner's side

    @property
    def requests(self) -> int:
        """Claims granted since the daemon started."""
        return self.requests_before + (self.instance.requests if self.instance else 0)

    @property
    def idle(self) -> Instance | None:
        """The instance, in memory while no request holds a claim on it."""
        present = self.instance is not None and self.state in (AppState.RUNNING, AppState.FROZEN)
        return self.instance if present and self.instance is not None and not self.instance.claims else None

    def tick(self, now: float) -> None:
        """Freeze an idle app, or put it to sleep. `now` is monotonic seconds."""
        instance = None if self._swapping else self.idle
        if instance is None:
            self._lull.end()
            return
        todo = self._lull.look(instance, now, self.settings.idle_seconds)
        if todo is not Rest.NONE:
            self._send(Event.STOP if todo is Rest.STOP else Event.QUIET)

    def sleep_early(self) -> None:
        """Memory is short: end the process of an idle app now; the next request starts it."""
        if self.idle is not None and not self._swapping:
            self._tell.happened(self.id, "pressure", "Put to sleep early: this machine is short of memory.")
            self._send(Event.STOP)

    async def wake(self) -> None:
        """Start it, after a hold or a failure too, and wait until it answers.

        Raises:
            SteadyError: `app_failed` with the reason and the last log lines.
        """
        if self.closed:
            raise self._farewell
        if self.state is AppState.SUSPENDED:
            raise _why(self.state, None, self.name, True)
        if self.state in (AppState.FAILED, AppState.HELD, AppState.BACKOFF):
            self._send(Event.RELEASE)
        if self.state is AppState.STOPPING:
            await self.watch.until(lambda: self.state is not AppState.STOPPING)
        self.failure = None
        if self.state is not AppState.RUNNING:
            self._send(Event.WANTED)
        await self.watch.until(lambda: self.state is AppState.RUNNING or self.failure is not None)
        if self.state is not AppState.RUNNING:
            raise _why(self.state, self.failure, self.name, True)

    async def sleep(self, hold: bool = False, suspended: bool | None = None) -> None:
        """Stop it: drained, the process gone. With `hold`, no request wakes it; else who came meanwhile does. Once
        `suspended`, nothing wakes it at all until it is told that it no longer is."""
        swapping, self._swapping = self._swapping, True
        try:
            self._send(Event.STOP)
            await self.watch.until(lambda: self.state in AT_REST)
            if hold or suspended:
                await self.alone("The app was stopped.")
        finally:
            self._swapping = swapping
        if suspended:
            self._send(Event.SUSPEND)
        elif suspended is False and self.state is AppState.SUSPENDED:
            self._send(Event.RESUME)
        if self.state is AppState.SUSPENDED:
            return
        if hold:
            self._send(Event.HOLD)
        elif len(self._gate) and not self._swapping:
            self._send(Event.WANTED)

    @asynccontextmanager
    async def swap(self) -> AsyncIterator[None]:
        """Hold every request at the gate, the old instance drained and gone inside. Afterwards the gate opens: to the
        instance adopted inside, or to a fresh one if it was awake before or somebody waits."""
        self._swapping, self._open = True, None
        awake, held = self.state not in AT_REST, self.state is AppState.HELD
        try:
            self._send(Event.STOP)
            await self.watch.until(lambda: self.state in AT_REST)
            await self.alone("The app was swapped: what runs now may be another version.")
            yield
        finally:
            self._swapping = False
            if self.state is AppState.RUNNING:
                self._perform(Action.OPEN)
            elif held and self.state is AppState.STOPPED:
                self._send(Event.HOLD)  # what was adopted did not stay
            elif len(self._gate) or awake:
                self._send(Event.WANTED)

    async def adopt(self, plan: Plan) -> None:
        """Inside `swap`: start `plan` as the live instance.

        Raises:
            Failure: it did not become ready; nothing of it runs.
        """
        self._send(Event.RELEASE)
        self._send(Event.ADOPT)
        try:
            instance = await self._starter.start(plan, self._timing.start_seconds)
        except BaseException:
            self._send(Event.GONE)
            raise
        self.plan = plan
        self._deaths = Deaths()
        self._install(instance)

    async def close(self, farewell: SteadyError | None = None) -> None:
        """The daemon stops, or the app goes: refuse who waits and who still comes, on wish with another reason, drain,
        stop."""
        self._farewell = farewell or self._farewell
        self.closed, self._open = True, None
        self._gate.refuse(self._farewell)
        self._send(Event.STOP)
        await self.watch.until(lambda: self.state in AT_REST)
        await self.alone("The app was deleted, or this server stops.")
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Private

    def _send(self, event: Event) -> None:
        """Take an event: decide by the table, then perform, without a pause between."""
        before = self.state
        self.state, actions = step(before, event)
        if before is AppState.BACKOFF and self.state is not before and self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for action in actions:
            self._perform(action)
        if self.state is AppState.FAILED and before is not self.state and self.failure is not None:
            self._tell.happened(self.id, "failed", f"It is not started any more: {sentence(self.failure, self.name)}")
        if self.state is not before:
            self.keeper.turned(self.id, self.state)
        self.watch.changed()

    def _perform(self, action: Action) -> None:
        if action is Action.SPAWN:
            self._starting = self._task(self._start())
        elif action is Action.OPEN:
            if not self._swapping:
                self._open = self.instance
                self._gate.open(self.claim)
        elif action is Action.FREEZE:
            assert self.instance is not None
            self._open = None
            if said := self._lull.pause(self.instance):
                self._tell.happened(self.id, "paused", said)
        elif action is Action.THAW:
            assert self.instance is not None
            self.instance.thaw()
            self._lull.end()
        elif action is Action.REFUSE:
            self._gate.refuse(_why(self.state, self.failure, self.name, self.tells_everybody))
        elif action is Action.RETIRE:
            self._open = None
            self._task(self._retire())
        elif action is Action.RETRY_LATER:
            delay = self._deaths.backoff_seconds
            self._retry = asyncio.get_running_loop().call_later(delay, self._send, Event.RETRY)
        elif action is Action.FORGIVE:
            self._deaths, self.failure = Deaths(), None

    def _task(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _start(self) -> None:
        began = time.monotonic()
        try:
            plan = self.plan or await self._prepare(self.id)
            self.plan = plan
            instance = await self._starter.start(plan, self._timing.start_seconds)
        except Failure as failure:
            self._failed(failure)
            return
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # A start that cannot even be tried (disk, descriptors) counts as a death: it backs off and shows.
            locked = error if isinstance(error, SteadyError) and error.code == LOCKED else None
            self._failed(Failure("exit", str(error), time.monotonic() - began, refusal=locked))
            return
        self._install(instance)
        self._tell.woke(self.id, time.monotonic() - began)

    def _install(self, instance: Instance) -> None:
        self.instance = instance

        def unreachable() -> None:
            """It closed its socket or is dying: no request goes there, and its end is made certain."""
            if self._open is instance:
                self._open = None
                instance.kill()

        instance.on_unreachable = unreachable
        instance.on_idle = lambda: self.keeper.asked(self.id)
        self.failure = None
        self._send(Event.READY)
        self._task(self._watch(instance))

    def _failed(self, failure: Failure) -> None:
        self.failure = failure
        self._deaths = self._deaths.after(None)
        if self.plan is not None:
            self._tell.died(self.id, death_of(failure, self.plan.version, self.name))
        self._send(_after_death(failure, self._deaths))

    async def _watch(self, instance: Instance) -> None:
        """Notice the end of a running instance that nobody asked to end."""
        await asyncio.shield(instance.process.ended)
        if self.instance is not instance:
            return
        in_flight, asked = instance.in_flight, instance.asked()
        uptime = instance.uptime_seconds or 0.0
        proven = instance.proven
        self._open = self.instance = None
        self.requests_before += instance.requests
        await instance.gone()
        ended = instance.process.ended.result()
        cause = "exit" if ended.signal is None else "signal"
        lines, evidence = list(instance.pump.recent), instance.evidence(self.settings.limits, in_flight, asked)
        self.failure = Failure(cause, f"it ended with {ended}.", uptime, ended, None, lines, evidence)
        self._tell.died(self.id, death_of(self.failure, instance.version, self.name))
        self._deaths = self._deaths.after(uptime, proven)
        self._send(_after_death(self.failure, self._deaths))

    async def _retire(self) -> None:
        """Drain and stop what runs, or give up what is starting."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._starting
        instance, self.instance = self.instance, None
        if instance is not None:
            cut = await instance.drain(self._timing.drain_seconds)
            if cut:
                waited = f"{cut} slow answers were cut after {self._timing.drain_seconds:g} s."
                self._tell.happened(self.id, "slow_drain", waited)
            self.requests_before += instance.requests
            ended = await instance.stop(self._timing.grace_seconds)
            if ended.signal == "SIGKILL":
                self._tell.died(self.id, _stubborn(instance, ended, self.name))
            self._tell.happened(self.id, "sleep", f"Version {instance.version} stopped.")
        self._send(Event.GONE)
        if len(self._gate) and not self._swapping:
            self._send(Event.WANTED)


def settle(runtime: AppRuntime, settings: Settings) -> None:
    """These are the app's settings from now on; whether its answers wait changes at once."""
    runtime.settings = settings
    runtime.barrier = runtime.keeper.barrier(runtime.id, settings.durability)


# Private


async def _nobody_else(reason: str) -> None:
    pass


def _stubborn(instance: Instance, ended: Exit, name: str) -> Death:
    """It had its grace and did not use it: what it wanted to write at its end may be lost, so there is a card."""
    uptime = instance.uptime_seconds or 0.0
    evidence = Evidence(killed_for=STOP_TIMEOUT)
    failure = Failure(STOP_TIMEOUT, "", uptime, ended, None, list(instance.pump.recent), evidence)
    return death_of(failure, instance.version, name)


def _after_death(failure: Failure, deaths: Deaths) -> Event:
    """An app that filled its disk space would only go on filling it; one whose variables are locked waits for a key."""
    hopeless = failure.evidence.killed_for == DISK or failure.refusal is not None
    return Event.DIED_TOO_OFTEN if hopeless else deaths.event


def _closing() -> SteadyError:
    return SteadyError("shutting_down", "This server is stopping. Try again soon.", retry_after=2)


def _why(state: AppState, failure: Failure | None, name: str, in_full: bool) -> SteadyError:
    """Why there is no instance to answer. The reason and the log, of `failure`, are the owner's business only."""
    if state is AppState.HELD:
        return SteadyError("held", "This app is held: its owner stopped it for now.", retry_after=60)
    if state is AppState.SUSPENDED:
        return SteadyError("suspended", "This app is suspended: the operator of this server took it out of service.")
    if failure is not None and failure.refusal is not None:
        return failure.refusal
    if failure is None or not in_full:
        message = "This app keeps failing to start. Its owner finds the reason on its page and in its log."
        return SteadyError("app_failed", message, retry_after=30)
    reason = sentence(failure, name)
    details = {"step": "start", "reason": reason, "logs": failure.lines}
    return SteadyError("app_failed", f"The app does not run: {reason}", details, retry_after=30)
