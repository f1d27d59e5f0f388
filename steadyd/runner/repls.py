"""Every REPL of this host: who has one, what each is started with, and when it must end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from dataclasses import replace
from functools import partial

from steadyd.errors import SteadyError
from steadyd.linux.cgroup import Group
from steadyd.model import App
from steadyd.runner import sandbox
from steadyd.runner.app import AppRuntime
from steadyd.runner.confined import ENVIRON, STATUS_FD, caps, file_limits, start_confined
from steadyd.runner.fleet import Fleet
from steadyd.runner.folder import Place
from steadyd.runner.networks import Attachment
from steadyd.runner.process import Confinement, Process, Spawn, spawn
from steadyd.runner.quota import Share, Watched
from steadyd.runner.repl import START_SECONDS_MAX, Child, Repl, give_back
from steadyd.runner.start import Plan
from steadyd.runner.status import InfoReader
from steadyd.runner.tool import SCRIPT

REPLS_MAX = 16
"""Of all apps; one of each person and app."""


class Repls:
    """Every REPL of this host."""

    def __init__(self, fleet: Fleet, spawn: Spawn = spawn) -> None:
        self._fleet = fleet
        self._spawn_child = spawn
        self._system = sandbox.look_at_system()
        self._open: dict[tuple[str, str], Repl] = {}
        """By app's and person's id."""

    async def open(self, app: App, who: str) -> Repl:
        """A new REPL of `app` for the person `who`; their last one of it ends.

        Raises:
            SteadyError: `overloaded`, `conflict` while something is done to the app, or `cannot_start`.
        """
        self._fleet.ground.check_may_run(app)
        try:
            async with asyncio.timeout(START_SECONDS_MAX), self._fleet.turn(app) as runtime:
                await self._make_room(app.id, who)
                repl = await self._start(runtime, who)
        except TimeoutError:
            message = f"Something is being done to “{app.name}”. Try again when it is finished."
            raise SteadyError("conflict", message) from None
        await repl.ready()
        return repl

    def find(self, app: App, who: str, repl_id: str) -> Repl:
        """The REPL that `who` has open.

        Raises:
            SteadyError: `not_found`.
        """
        repl = self._open.get((app.id, who))
        if repl is None or repl.id != repl_id or repl.is_over:
            raise SteadyError("not_found", "This REPL has ended. Open another.")
        return repl

    def watched(self, instances: list[Watched]) -> list[Watched]:
        """Those that may be writing: `instances`, and REPLs as one with their app's, or alone."""
        found = {each.folders[0]: each for each in instances}
        for repl in self._open.values():
            if not repl.is_over:
                mine = _watched(repl, self._fleet.ground.apps.policy.guest_limits.disk_bytes)
                beside = found.get(mine.folders[0])
                found[mine.folders[0]] = mine if beside is None else _together(beside, mine)
        return list(found.values())

    # Private

    async def _leave(self, app_id: str, reason: str) -> None:
        """Nothing of ours runs in the app's folder when this returns."""
        mine = [repl for repl in self._open.values() if repl.plan.app_id == app_id]
        await asyncio.gather(*(repl.end(reason) for repl in mine))

    async def _make_room(self, app_id: str, who: str) -> None:
        self._open = {key: repl for key, repl in self._open.items() if not repl.is_over}
        if (former := self._open.get((app_id, who))) is not None:
            await former.end("You opened another REPL of this app.")
        elif len(self._open) >= REPLS_MAX:
            raise SteadyError("overloaded", f"There are {REPLS_MAX} REPLs on this host already.", retry_after=60)

    async def _start(self, runtime: AppRuntime, who: str) -> Repl:
        if runtime.plan is None:  # since the daemon's start its folder was not linked
            with contextlib.suppress(SteadyError):
                await runtime.wake()
        if runtime.plan is None:
            raise SteadyError("cannot_start", f"“{runtime.name}” cannot be started: its log says why.")
        runtime.alone = partial(self._leave, runtime.id)
        repl = Repl(runtime.plan, await self._child(runtime.plan))
        self._open[runtime.id, who] = repl
        return repl

    async def _child(self, plan: Plan) -> Child:
        starter = self._fleet.ground.starter
        network, group = Attachment(plan.app_id, plan.reach), None
        ours, theirs = socket.socketpair()
        try:
            if starter.networks is not None and starter.sandboxed:
                network = await starter.networks.take(plan.app_id, plan.reach)
            if starter.cgroups is not None:
                group = starter.cgroups.make(plan.tier, f"{plan.app_id}.repl")
                group.cap(caps(plan.limits))
            process, output, info = await self._spawn(plan, network, group, theirs)
        except BaseException:
            ours.close()
            give_back(group, network)
            raise
        finally:
            theirs.close()
        return Child(process, output, InfoReader(process, info), ours, group, network)

    async def _spawn(
        self, plan: Plan, network: Attachment, group: Group | None, theirs: socket.socket
    ) -> tuple[Process, int, int]:
        """The process, what it prints, and what bubblewrap tells (-1 without)."""
        starter = self._fleet.ground.starter
        join, limits = group.join if group else (), file_limits(plan.limits.disk_bytes)
        environ = {**ENVIRON, **plan.environ, "STEADY_STATUS_FD": ENVIRON["STEADY_STATUS_FD"]}
        if not starter.sandboxed:
            linux = sys.platform == "linux"
            words = [*sandbox.bare(plan.folder, plan.uid, linux), *_words(str(starter.engine.folder))]
            output, output_end = os.pipe()
            descriptors = {1: output_end, 2: output_end, STATUS_FD: theirs.fileno()}
            try:
                confinement = Confinement(None, join, (), limits if linux else ())
                return await self._spawn_child(words, environ, descriptors, confinement), output, -1
            except BaseException:
                os.close(output)
                raise
            finally:
                os.close(output_end)
        entered = network.namespaces
        room = sandbox.Room(
            plan.folder, starter.engine.folder, plan.uid, environ, modules=plan.modules, read_only=plan.read_only,
            network="entered" if entered else "own",
        )  # fmt: skip
        words = _words(sandbox.ENGINE)
        confinement = Confinement(plan.uid, join, entered, limits)
        confined = await start_confined(self._spawn_child, room, self._system, words, theirs, confinement)
        return confined.process, confined.output, confined.info


# Private


def _words(engine: str) -> list[str]:
    return [f"{engine}/bun", *SCRIPT, f"{engine}/repl.ts"]


def _watched(repl: Repl, guest_bytes: int) -> Watched:
    plan = repl.plan
    place = Place(plan.folder.parent, plan.uid)

    def stop(why: str) -> None:
        repl.end_soon(f"It was ended: {why}")

    folders = (str(place.app), str(place.aside))
    share = Share(plan.reach.owner, guest_bytes) if plan.reach.guest else None
    return Watched(folders, plan.uid, plan.limits.disk_bytes, repl.pids, repl.pause, stop, share)


def _together(one: Watched, other: Watched) -> Watched:
    """Two that write in one folder: what is too much is both's. Who rests does not write."""
    if one.rests:
        return other

    def pause(on: bool) -> None:
        one.pause(on)
        other.pause(on)

    def stop(why: str) -> None:
        one.stop(why)
        other.stop(why)

    return replace(one, pids=lambda: [*one.pids(), *other.pids()], pause=pause, stop=stop)
