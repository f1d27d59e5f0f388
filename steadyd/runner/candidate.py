"""The trial: a candidate version started on a copy of what the app has written, before it may go live."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from steadyd.errors import SteadyError
from steadyd.model import App, Network, Trial, TrialMode, TrialNetwork, Version
from steadyd.runner.bundle import Bundler, Fault, find_bundle, is_small, refusal
from steadyd.runner.copies import Copies
from steadyd.runner.failure import Failure
from steadyd.runner.fleet import Fleet
from steadyd.runner.folder import Folder, Place, scratch_path
from steadyd.runner.health import check_exports, check_health
from steadyd.runner.instance import Instance
from steadyd.runner.kept import Copy
from steadyd.runner.sightings import Sightings
from steadyd.runner.start import Plan
from steadyd.runner.suite import run_suite
from steadyd.runner.tool import Tools

OFFLINE_SECONDS_MAX = 5.0
"""For a start that asked for a host; without one it has as long as any."""
LOOK_SECONDS = 0.5
HOSTS_NAMED = 5
"""Hosts that a sentence names."""


class Trials:
    """Tries candidates. Nothing that a candidate does reaches the live folder."""

    def __init__(self, fleet: Fleet, tools: Tools) -> None:
        self.ground = fleet.ground
        self.tools = tools
        self.bundler = Bundler(tools, fleet.ground.blobs)
        self.copies = Copies(tools, fleet.ground.blobs, fleet.ground.trash)
        self._leaving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def of(
        self,
        app: App,
        live: Version | None,
        version: Version,
        tried: bool = True,
        test: bool = False,
        data: Place | None = None,
    ) -> AsyncIterator[Candidate]:
        """A candidate to check and, if it is to be `tried` and the app's settings say so, to try; its own tests with
        it, if they or `test` say so. While the one goes on, the copy of the data for the other is made: of the app's
        own, or of what lies in `data`."""
        rules = self.ground.settings(app, version).trial
        if test:
            rules = replace(rules, test=True, mode=TrialMode.START if rules.mode is TrialMode.OFF else rules.mode)
        candidate = Candidate(self, app, live, version, rules, tried and rules.mode is not TrialMode.OFF)
        candidate.data = data
        candidate.prepare()
        try:
            yield candidate
        finally:
            await candidate.close()

    async def check(self, app: App, live: Version | None, version: Version, keep: bool) -> None:
        """See that what the entry reaches parses and hangs together; bytecode is made of what one `keep`s.

        Raises:
            SteadyError: `deploy_failed` with file, line, column and source line.
        """
        place = self.ground.place(app)
        faults = await self.bundler.make(place, version, keep)
        if live is not None and any(fault.specifier for fault in faults):
            faults = await asyncio.to_thread(_not_written, Folder(place, self.ground.blobs), faults)
        if faults:
            raise refusal(faults)

    async def settled(self) -> None:
        """Wait until nothing of any candidate is left."""
        while self._leaving:
            await asyncio.wait(self._leaving)

    async def close(self) -> None:
        """As `settled`, for good."""
        await self.settled()
        self.copies.close()

    async def throw(self, staged: Staged) -> None:
        """Let go of a folder in which nothing runs, and keep of the data what the next trial need not copy again."""
        await self.copies.keep(staged.place, staged.scratch, staged.copies)
        await self.ground.trash.throw(staged.scratch.root)

    def dismiss(self, started: Started) -> None:
        """It served nobody, and its data goes: there is nothing to end well, and nobody needs to wait for it."""

        async def leave() -> None:
            await started.instance.gone()
            await self.throw(started.staged)

        started.instance.kill()
        task = asyncio.ensure_future(leave())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


@dataclass(frozen=True, slots=True)
class Staged:
    """A folder as a candidate will find its own, and the large databases that were copied into it."""

    place: Place
    """The app's own."""
    scratch: Place
    copies: Sequence[Copy] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """A candidate that listens, in a folder of its own."""

    instance: Instance
    plan: Plan
    staged: Staged
    sightings: Sightings


class Candidate:
    """One version on its way to be live."""

    def __init__(
        self, trials: Trials, app: App, live: Version | None, version: Version, rules: Trial, tried: bool
    ) -> None:
        self.tried = tried
        """Whether there is a trial at all."""
        self.hosts: list[str] = []
        """What it asked the network for, and did not reach."""
        self.data: Place | None = None
        """Where the data lies that it is tried on a copy of; None: in the app's own folder."""
        self._trials = trials
        self._ground = trials.ground
        self._app = app
        self._live = live
        self._version = version
        self._rules = rules
        self._staged: asyncio.Task[Staged] | None = None
        self._started: asyncio.Task[Started] | None = None

    def prepare(self) -> None:
        """Begin with what need not wait for the check: to copy the data, and to start what has no bytecode to wait
        for."""
        if not self.tried:
            return
        how = "" if self._rules.mode is TrialMode.START else " on a copy of the data"
        self._say(f"Trying version {self._version.number}{how}.")
        if is_small(self._version):
            self._started = asyncio.ensure_future(self._launch(self._network))
        else:
            self._staged = asyncio.ensure_future(self._stage())

    async def check(self) -> None:
        """See that what the entry reaches parses and hangs together. Bytecode is made of what is to be tried.

        Raises:
            SteadyError: `deploy_failed` with file, line, column and source line.
        """
        await self._trials.check(self._app, self._live, self._version, keep=self.tried)

    async def run(self) -> tuple[str, ...]:
        """Start it on a copy of the data (a new app has none); it must listen and answer its health request below 500.

        Where its network is `auto`, it has none, and gets the app's own if it does not start after something that it
        asked for was refused. A health request that fails after that proves nothing. Its own tests come last.

        Returns sentences for the user.

        Raises:
            Failure, SteadyError: why it may not go live.
        """
        notes = await self._try()
        if self._rules.test:
            self._say("Running its own tests.")
            await self._test()
        return notes

    async def close(self) -> None:
        """Let go of what nobody used."""
        staged, self._staged = self._staged, None
        started, self._started = self._started, None
        with contextlib.suppress(asyncio.CancelledError, Failure, SteadyError, OSError):
            if staged is not None:
                staged.cancel()
                await self._trials.throw(await staged)
            if started is not None:
                started.cancel()
                self._trials.dismiss(await started)

    # Private

    async def _try(self) -> tuple[str, ...]:
        if self._network is not None:
            self._judge(await self._attempt(self._network))
            return ()
        try:
            failure = await self._attempt(None)
        except Failure as refused:
            if not self._excused(None):
                raise self._explained(refused) from refused
            note = f"It does not start without {self._asked}, so it was tried with the app's own network."
            self._say(note)
            self._judge(await self._attempt(self._own))
            return (note,)
        if failure is not None and self._excused(None):
            note = (
                f"{failure.message} A trial reaches no network, and it had asked for {self._asked}: nothing is known."
            )
            self._say(note)
            return (note,)
        self._judge(failure)
        return ()

    @property
    def _own(self) -> Network:
        """What the app itself reaches."""
        return self._ground.settings(self._app, self._version).network

    @property
    def _network(self) -> Network | None:
        """What it reaches when it is tried first; None: nothing, and what it asks for is seen."""
        as_own = self._rules.network is TrialNetwork.APP or self._own is Network.NONE
        return self._own if as_own else None

    @property
    def _asked(self) -> str:
        more = len(self.hosts) - HOSTS_NAMED
        return ", ".join(self.hosts[:HOSTS_NAMED]) + (f" and {more} more" if more > 0 else "")

    def _say(self, told: str) -> None:
        self._ground.logs.say(self._app.id, self._version.number, told)

    def _explained(self, failure: Failure) -> Failure:
        if not self.hosts:
            return failure
        told = f"{failure.message} It had asked for {self._asked}, and its trial reaches no network."
        return replace(failure, message=told)

    def _judge(self, failure: Failure | None) -> None:
        if failure is not None:
            raise self._explained(failure) from failure

    async def _attempt(self, network: Network | None) -> Failure | None:
        """Start it as it will run: as bytecode where that can be, and from source where its bytecode fails. With no
        network, and what it asks for is remembered, unless one is given. Returns why it is not healthy.

        Raises:
            Failure: it does not start.
        """
        place = self._ground.place(self._app)
        bundled = find_bundle(place, self._version, self._ground.starter.engine) is not None
        try:
            failure = await self._start(network)
            if failure is None or not bundled or self._excused(network):
                return failure
        except Failure as refused:
            if not bundled or self._excused(network):
                raise
            failure = refused
        await self._trials.bundler.decline(place, self._version, failure.message)
        return await self._start(network)

    def _excused(self, network: Network | None) -> bool:
        """Whether a failure may come of what it did not reach, which says nothing of its bytecode."""
        return network is None and bool(self.hosts) and self._rules.network is TrialNetwork.AUTO

    async def _start(self, network: Network | None) -> Failure | None:
        early, self._started = self._started, None
        started = await (early or self._launch(network))
        try:
            if started.plan.calls:
                exports = await self._ground.library.crons.exports(self._app.id, self._version.number)
                await check_exports(started.instance, exports)
            return await self._ask(started)
        finally:
            self._remember(started.sightings)
            self._trials.dismiss(started)

    async def _launch(self, network: Network | None) -> Started:
        staged, self._staged = self._staged, None
        found, sightings, ground = await (staged or self._stage()), Sightings(), self._ground
        try:
            plan = await ground.plan(self._app, self._version, found.scratch, environment="trial")
            plan = _reaching(plan, network, sightings)
            starting = ground.starter.start(plan, ground.timing.start_seconds)
            auto = network is None and self._rules.network is TrialNetwork.AUTO
            instance = await (_impatiently(starting, sightings) if auto else starting)
        except BaseException:
            self._remember(sightings)
            await self._trials.throw(found)
            raise
        return Started(instance, plan, found, sightings)

    async def _ask(self, started: Started) -> Failure | None:
        instance, path = started.instance, self._rules.health
        if not path or self._rules.mode is TrialMode.START:
            return None
        try:
            await check_health(instance, self._ground.urls.app(self._app.name), path)
        except Failure as failure:
            instance.kill()
            await instance.gone()
            return replace(failure, evidence=instance.evidence(started.plan.limits))
        return None

    def _remember(self, sightings: Sightings) -> None:
        sightings.look()
        self.hosts += [host for host in sightings.hosts if host not in self.hosts]

    async def _test(self) -> None:
        """On a copy of its own: tests may write what they like."""
        staged, ground = await self._stage(), self._ground
        try:
            plan = await ground.plan(self._app, self._version, staged.scratch, environment="trial")
            await run_suite(self._trials.tools, ground.blobs, self._version, plan)
        finally:
            await self._trials.throw(staged)

    async def _stage(self) -> Staged:
        """A folder as the candidate will find its own: a copy of what was written, and the version's files.

        Raises:
            SteadyError: `deploy_failed`, if the data cannot be copied.
        """
        place = self._ground.place(self._app)
        scratch = Place(scratch_path(place, "trial"), place.uid)
        copies: Sequence[Copy] = ()
        try:
            if self._live is not None and self._rules.mode is TrialMode.FULL:
                copies = await self._trials.copies.make(self.data or place, scratch, self._live)
            await self._ground.link(self._app, self._version, scratch)
        except BaseException:
            await self._ground.trash.throw(scratch.root)
            raise
        return Staged(place, scratch, () if self.data else copies)


# Private


async def _impatiently(starting: Coroutine[None, None, Instance], sightings: Sightings) -> Instance:
    """Give up early on a start that waits for what it does not reach: some ask again for ever.

    Raises:
        Failure: as `starting`, or since it asked for a host and did not listen within OFFLINE_SECONDS_MAX.
    """
    task = asyncio.ensure_future(starting)
    try:
        await asyncio.wait({task}, timeout=OFFLINE_SECONDS_MAX)
        while not task.done():
            sightings.look()
            if sightings.hosts:
                raise Failure("start_timeout", f"it did not listen within {OFFLINE_SECONDS_MAX:g} s.", 0.0)
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})


def _reaching(plan: Plan, network: Network | None, sightings: Sightings) -> Plan:
    """A trial may not touch the world by itself: what a candidate sends or changes out there stays so."""
    reach = replace(plan.reach, network=network or Network.NONE, tried=network is None)
    return replace(plan, reach=reach, sightings=sightings)


def _not_written(folder: Folder, faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """The faults but those of an import that finds what the app itself has written."""

    def found(fault: Fault) -> bool:
        inner = os.path.normpath(PurePosixPath(fault.file).parent / fault.specifier)
        return fault.specifier.startswith(".") and not inner.startswith("..") and folder.holds(inner)

    return tuple(fault for fault in faults if not found(fault))
