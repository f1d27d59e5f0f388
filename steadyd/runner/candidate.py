"""The trial: a candidate version started on a copy of what the app has written, before it may go live."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import PurePosixPath

from steadyd.errors import SteadyError
from steadyd.model import App, Network, Trial, TrialMode, TrialNetwork, Version
from steadyd.reach import Reach
from steadyd.runner.bundle import Bundler, Fault, find_bundle, refusal
from steadyd.runner.copies import Copies
from steadyd.runner.failure import Failure
from steadyd.runner.fleet import Fleet
from steadyd.runner.folder import Folder, Place, scratch_path
from steadyd.runner.health import check_health
from steadyd.runner.instance import Instance
from steadyd.runner.sightings import Sightings
from steadyd.runner.start import Plan
from steadyd.runner.suite import run_suite
from steadyd.runner.tool import Tools

HOSTS_NAMED = 5
"""Hosts that a sentence names."""


class Trials:
    """Tries candidates. Nothing that a candidate does reaches the live folder."""

    def __init__(self, fleet: Fleet, tools: Tools) -> None:
        self.ground = fleet.ground
        self.tools = tools
        self.bundler = Bundler(tools, fleet.ground.blobs)
        self.copies = Copies(tools, fleet.ground.blobs)
        self._leaving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def of(
        self, app: App, live: Version | None, version: Version, tried: bool = True, test: bool = False
    ) -> AsyncIterator[Candidate]:
        """A candidate to check and, if it is to be `tried` and the app's settings say so, to try; its own tests with
        it, if they or `test` say so. While the one goes on, the copy of the data for the other is made."""
        rules = self.ground.settings(app, version).trial
        if test:
            rules = replace(rules, test=True, mode=TrialMode.START if rules.mode is TrialMode.OFF else rules.mode)
        candidate = Candidate(self, app, live, version, rules, tried and rules.mode is not TrialMode.OFF)
        candidate.prepare()
        try:
            yield candidate
        finally:
            await candidate.close()

    async def settled(self) -> None:
        """Wait until nothing of any candidate is left."""
        while self._leaving:
            await asyncio.wait(self._leaving)

    def dismiss(self, instance: Instance, scratch: Place) -> None:
        """It served nobody, and its data goes: there is nothing to end well, and nobody needs to wait for it."""

        async def leave() -> None:
            await instance.gone()
            await self.ground.trash.throw(scratch.root)

        instance.kill()
        task = asyncio.ensure_future(leave())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


class Candidate:
    """One version on its way to be live."""

    def __init__(
        self, trials: Trials, app: App, live: Version | None, version: Version, rules: Trial, tried: bool
    ) -> None:
        self.tried = tried
        """Whether there is a trial at all."""
        self.hosts: list[str] = []
        """What it asked the network for, and did not reach."""
        self._trials = trials
        self._ground = trials.ground
        self._app = app
        self._live = live
        self._version = version
        self._rules = rules
        self._staged: asyncio.Task[Place] | None = None

    def prepare(self) -> None:
        """Begin to copy the data."""
        if self.tried:
            self._staged = asyncio.ensure_future(self._stage())

    async def check(self) -> None:
        """See that what the entry reaches parses and hangs together. Bytecode is made of what is to be tried.

        Raises:
            SteadyError: `deploy_failed` with file, line, column and source line.
        """
        place = self._ground.place(self._app)
        faults = await self._trials.bundler.make(place, self._version, keep=self.tried)
        if self._live is not None and any(fault.specifier for fault in faults):
            faults = await asyncio.to_thread(_not_written, Folder(place, self._ground.blobs), faults)
        if faults:
            raise refusal(faults)

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
        """Let go of a copy that nobody used."""
        staged, self._staged = self._staged, None
        if staged is not None:
            staged.cancel()
            with contextlib.suppress(asyncio.CancelledError, SteadyError, OSError):
                await self._ground.trash.throw((await staged).root)

    # Private

    async def _try(self) -> tuple[str, ...]:
        how = "" if self._rules.mode is TrialMode.START else " on a copy of the data"
        self._say(f"Trying version {self._version.number}{how}.")
        own = self._network
        if self._rules.network is TrialNetwork.APP or own is Network.NONE:
            self._judge(await self._attempt(own))
            return ()
        try:
            failure = await self._attempt(None)
        except Failure as refused:
            if not self.hosts or self._rules.network is TrialNetwork.OFF:
                raise self._explained(refused) from refused
            note = f"It does not start without {self._asked}, so it was tried with the app's own network."
            self._say(note)
            self._judge(await self._attempt(own))
            return (note,)
        if failure is not None and self.hosts and self._rules.network is TrialNetwork.AUTO:
            note = (
                f"{failure.message} A trial reaches no network, and it had asked for {self._asked}: nothing is known."
            )
            self._say(note)
            return (note,)
        self._judge(failure)
        return ()

    @property
    def _network(self) -> Network:
        return self._ground.settings(self._app, self._version).network

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
        place, bundler = self._ground.place(self._app), self._trials.bundler
        bundled = find_bundle(place, self._version, self._ground.starter.engine) is not None
        try:
            failure = await self._start(network)
            if failure is None or not bundled:
                return failure
        except Failure as refused:
            if not bundled:
                raise
            failure = refused
        await bundler.decline(place, self._version, failure.message)
        return await self._start(network)

    async def _start(self, network: Network | None) -> Failure | None:
        ground = self._ground
        if self._staged is None:
            self.prepare()
        staged, self._staged = self._staged, None
        assert staged is not None
        scratch, sightings = await staged, Sightings()
        try:
            plan = await ground.plan(self._app, self._version, scratch, environment="trial")
            plan = self._reaching(plan, network, sightings)
            instance = await ground.starter.start(plan, ground.timing.start_seconds)
        except BaseException:
            await ground.trash.throw(scratch.root)
            raise
        finally:
            self._remember(sightings)
        try:
            return await self._ask(instance, plan)
        finally:
            self._remember(sightings)
            self._trials.dismiss(instance, scratch)

    async def _ask(self, instance: Instance, plan: Plan) -> Failure | None:
        path = self._rules.health
        if not path or self._rules.mode is TrialMode.START:
            return None
        try:
            await check_health(instance, self._ground.urls.app(self._app.name), path)
        except Failure as failure:
            instance.kill()
            await instance.gone()
            return replace(failure, evidence=instance.evidence(plan.limits))
        return None

    def _reaching(self, plan: Plan, network: Network | None, sightings: Sightings) -> Plan:
        """A trial may not touch the world by itself: what a candidate sends or changes out there stays so."""
        app = self._app
        reach = Reach(network or Network.NONE, app.owner_id, app.by_guest, tried=network is None)
        return replace(plan, reach=reach, sightings=sightings)

    def _remember(self, sightings: Sightings) -> None:
        sightings.look()
        self.hosts += [host for host in sightings.hosts if host not in self.hosts]

    async def _test(self) -> None:
        """On a copy of its own: tests may write what they like."""
        scratch, ground = await self._stage(), self._ground
        try:
            plan = await ground.plan(self._app, self._version, scratch, environment="trial")
            await run_suite(self._trials.tools, ground.blobs, self._version, plan)
        finally:
            await ground.trash.throw(scratch.root)

    async def _stage(self) -> Place:
        """A folder as the candidate will find its own: a copy of what was written, and the version's files.

        Raises:
            SteadyError: `deploy_failed`, if the data cannot be copied.
        """
        place = self._ground.place(self._app)
        scratch = Place(scratch_path(place, "trial"), place.uid)
        try:
            if self._live is not None and self._rules.mode is TrialMode.FULL:
                await self._trials.copies.make(place, scratch, self._live)
            await self._ground.link(self._app, self._version, scratch)
        except BaseException:
            await self._ground.trash.throw(scratch.root)
            raise
        return scratch


# Private


def _not_written(folder: Folder, faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """The faults but those of an import that finds what the app itself has written."""

    def found(fault: Fault) -> bool:
        inner = os.path.normpath(PurePosixPath(fault.file).parent / fault.specifier)
        return fault.specifier.startswith(".") and not inner.startswith("..") and folder.holds(inner)

    return tuple(fault for fault in faults if not found(fault))
