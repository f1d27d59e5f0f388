"""Starting an instance: a private socket folder, the sandbox, the harness, and the event that says it listens."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import stat
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.linux.cgroup import Cgroups, Group, Tier
from steadyd.model import Limits, Network
from steadyd.reach import Reach
from steadyd.runner import sandbox
from steadyd.runner.confined import ENVIRON, STATUS_FD, caps, file_limits, limit_files, start_confined
from steadyd.runner.engine import ENTRY, Engine, bun_words
from steadyd.runner.failure import Failure
from steadyd.runner.instance import Instance
from steadyd.runner.logs import Logs, Pump, Sink
from steadyd.runner.networks import Attachment, Networks
from steadyd.runner.process import Confinement, Exit, Process, Spawn, spawn
from steadyd.runner.sightings import Sightings
from steadyd.runner.status import StatusEvent, StatusReader
from steadyd.runner.trash import remove_now
from steadyd.runner.zygote import Nursery
from steadyd.variables import is_read_at_start

SOCKET = "app.sock"
CALLS = "calls.sock"
"""Beside it, where functions are called that crons name."""
STARTS_AT_ONCE_MAX = 2 * (os.cpu_count() or 1)
"""Instances that boot at the same time: more would make each other late, and the loop with them."""
SLOT_SECONDS_MAX = 0.5
"""A start that takes longer waits for something, and keeps no other from booting."""
STARTING_CPU_WEIGHT = 20
"""Whoever starts gives way to those who serve, whose weight is 100: a storm of wakes is nobody else's trouble."""
ZYGOTE_CHARACTERS_MAX = 16 << 10
"""Of variables that fit into a message to a zygote, however JSON writes them."""
STATIC = "static.ts"
PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start: one version of one app, in one folder."""

    app_id: str
    version: int
    entry: str
    """Path of the file to run, relative to the folder; "" for a static site."""
    folder: Path
    environ: Mapping[str, str]
    uid: int | None = None
    modules: Path | None = None
    read_only: tuple[str, ...] = ()
    """Top-level names that need a read-only bind, because file ownership cannot protect them."""
    bundle: Path | None = None
    """The entry and its imports as bytecode, made for NODE_ENV=production; None: run from source."""
    reach: Reach = field(default_factory=lambda: Reach(Network.NONE))
    sightings: Sightings | None = None
    """Told what a candidate asks for that reaches nothing."""
    limits: Limits = field(default_factory=Limits)
    tier: Tier = "accounts"
    """Whose share of this host it uses."""
    calls: bool = False
    """Functions that it exports may be called: some cron names one."""
    local: bool = False
    """A developer's own folder: no sandbox, Bun may install what is missing."""
    sink: Sink | None = field(default=None, compare=False)
    """Who takes what it says; None: the app's log."""


@dataclass(frozen=True, slots=True)
class Launched:
    """What was started for an instance."""

    process: Process
    pump: Pump
    status: StatusReader
    runtime: Path
    group: Group | None
    network: Attachment


@dataclass(frozen=True, slots=True)
class Quarters:
    """What an instance gets of this host before it is started."""

    runtime: Path
    ours: socket.socket
    theirs: socket.socket
    """Both ends of its status socket."""
    group: Group | None
    network: Attachment


class Starter:
    """Starts instances on this host. `runtime` is a short path: a Unix socket's path ends at 108 bytes (unix(7))."""

    def __init__(
        self,
        engine: Engine,
        runtime: Path,
        logs: Logs,
        sandboxed: bool,
        spawn: Spawn = spawn,
        cgroups: Cgroups | None = None,
    ) -> None:
        self.engine = engine
        self.cgroups = cgroups
        self.networks: Networks | None = None
        """Where instances get their networks from; None: nowhere."""
        self.nursery: Nursery | None = None
        """Where instances may come from faster; the composition root's to open and to close."""
        self.running: dict[Instance, Plan] = {}
        """Every instance that has a process, those of trials and those that are starting too."""
        self._spawn_child = spawn
        self.sandboxed = sandboxed
        self.runtime = runtime
        self._logs = logs
        self._system = sandbox.look_at_system()
        self._numbers = itertools.count(1)
        self._slots = asyncio.Semaphore(STARTS_AT_ONCE_MAX)

    async def start(self, plan: Plan, seconds: float) -> Instance:
        """Start `plan` and wait until its server listens.

        Raises:
            Failure: it exited, was killed, or did not listen within `seconds`; nothing of it is left.
        """
        if plan.environ.get("NODE_ENV", PRODUCTION) != PRODUCTION:
            plan = replace(plan, bundle=None)
        async with self._slot():
            return await self._start(plan, seconds)

    # Private

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """One of a few places to boot in, given back after a while: who hangs in its start delays nobody else's."""
        await self._slots.acquire()
        held = True

        def give_back() -> None:
            nonlocal held
            if held:
                held = False
                self._slots.release()

        timer = asyncio.get_running_loop().call_later(SLOT_SECONDS_MAX, give_back)
        try:
            yield
        finally:
            timer.cancel()
            give_back()

    async def _start(self, plan: Plan, seconds: float) -> Instance:
        instance = await self._from_zygote(plan)
        was_waiting = instance is not None
        instance = instance or await self._afresh(plan)
        assert instance.told is not None
        try:
            await self._wait_ready(plan, instance, instance.told, seconds)
            self._seal(plan, Path(instance.address).parent, instance)
        except BaseException:
            instance.kill()
            await instance.gone()
            raise
        if instance.group is not None and not was_waiting:
            instance.group.cap(caps(plan.limits))
        instance.ready_at = time.monotonic()
        return instance

    async def _from_zygote(self, plan: Plan) -> Instance | None:
        """An instance that was up before it was wanted; None where only a plain start will do."""
        zygote = self.nursery.take(plan.app_id, plan.reach) if self.nursery and _suits_zygote(plan) else None
        if zygote is None or self.nursery is None or plan.uid is None:
            return None
        folders = {sandbox.APP: plan.folder}
        if plan.modules is not None:
            folders[f"{sandbox.APP}/node_modules"] = plan.modules
        if plan.limits != zygote.limits:
            zygote.group.cap(caps(plan.limits))
        limit_files(zygote.group.pids(), plan.limits.disk_bytes)
        if not await self.nursery.settle(zygote, plan.uid, folders, self._environ(plan, sandbox.RUNTIME)):
            return None
        pump = Pump(plan.sink or self._logs, plan.app_id, plan.version, zygote.confined.output)
        process, status = zygote.confined.process, zygote.status
        launched = Launched(process, pump, status, zygote.runtime, zygote.group, zygote.network)
        instance = self._instance(plan, launched)
        zygote.starving = lambda: instance.kill("memory")
        return instance

    async def _afresh(self, plan: Plan) -> Instance:
        runtime = self._socket_folder(plan)
        ours, theirs = socket.socketpair()
        group: Group | None = None
        network = Attachment(plan.app_id, plan.reach)
        try:
            network = await self._network(plan)
            group = self._group(plan, runtime.name)
            launched = await self._spawn(plan, Quarters(runtime, ours, theirs, group, network))
        except BaseException:
            ours.close()
            _forget(None, runtime, group, network)
            raise
        finally:
            theirs.close()
        instance = self._instance(plan, launched)
        if group is not None:
            group.watch_memory(lambda: instance.kill("memory"))
        return instance

    async def _network(self, plan: Plan) -> Attachment:
        if self.networks is None or not self.sandboxed or plan.local:
            return Attachment(plan.app_id, plan.reach)
        try:
            return await self.networks.take(plan.app_id, plan.reach, plan.sightings)
        except SteadyError as error:
            raise Failure("start_timeout", error.message, 0.0) from error

    def _instance(self, plan: Plan, launched: Launched) -> Instance:
        address = str(launched.runtime / SOCKET)
        instance = Instance(launched.process, launched.pump, address, plan.version)
        instance.told, instance.group = launched.status, launched.group
        self.running[instance] = plan

        def gone() -> None:
            self.running.pop(instance, None)
            _forget(launched.status, launched.runtime, launched.group, launched.network)

        instance.on_gone = gone
        return instance

    def _socket_folder(self, plan: Plan) -> Path:
        """A fresh folder for each instance: a socket left behind by a killed one would refuse the next."""
        runtime = self.runtime / str(next(self._numbers))
        runtime.mkdir(mode=0o700)
        if plan.uid is not None:
            os.chown(runtime, plan.uid, plan.uid)
        return runtime

    def _group(self, plan: Plan, number: str) -> Group | None:
        """A cgroup of its own for each instance, its limits set before anything is in it."""
        if self.cgroups is None or plan.local:
            return None
        group = self.cgroups.make(plan.tier, f"{plan.app_id}.{number}")
        group.cap(replace(caps(plan.limits), cpu_weight=STARTING_CPU_WEIGHT))
        return group

    async def _spawn(self, plan: Plan, place: Quarters) -> Launched:
        join = place.group.join if place.group is not None else ()
        info = -1
        if self.sandboxed and not plan.local:
            entered = place.network.namespaces
            room = self._room(plan, place.runtime, "entered" if entered else "own")
            confinement = Confinement(plan.uid, join, entered, file_limits(plan.limits.disk_bytes))
            words = self._bun(plan, sandbox.ENGINE, sandbox.APP)
            confined = await start_confined(self._spawn_child, room, self._system, words, place.theirs, confinement)
            process, output, info = confined.process, confined.output, confined.info
        else:
            limited = sys.platform == "linux" and not plan.local
            confinement = Confinement(None, join, (), file_limits(plan.limits.disk_bytes) if limited else ())
            process, output = await self._spawn_bare(plan, place.runtime, place.theirs, confinement)
        pump = Pump(plan.sink or self._logs, plan.app_id, plan.version, output)
        status = StatusReader(process, place.ours, info)
        return Launched(process, pump, status, place.runtime, place.group, place.network)

    async def _spawn_bare(
        self, plan: Plan, runtime: Path, theirs: socket.socket, confinement: Confinement
    ) -> tuple[Process, int]:
        """Without a sandbox: the process, and what it prints."""
        output, output_end = os.pipe()
        descriptors = {1: output_end, 2: output_end, STATUS_FD: theirs.fileno()}
        command = [
            *sandbox.bare(plan.folder, plan.uid, sys.platform == "linux"),
            *self._bun(plan, str(self.engine.folder), str(plan.folder)),
        ]
        try:
            process = await self._spawn_child(command, self._environ(plan, str(runtime)), descriptors, confinement)
            return process, output
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(output_end)

    def _room(self, plan: Plan, runtime: Path, network: sandbox.Network) -> sandbox.Room:
        return sandbox.Room(
            folder=plan.folder,
            engine=self.engine.folder,
            uid=plan.uid,
            environ=self._environ(plan, sandbox.RUNTIME),
            runtime=runtime,
            modules=plan.modules,
            read_only=plan.read_only,
            shown={sandbox.BUNDLE: plan.bundle} if plan.bundle else {},
            network=network,
        )

    def _environ(self, plan: Plan, runtime: str) -> dict[str, str]:
        status = ENVIRON["STEADY_STATUS_FD"]
        own = {"STEADY_SOCKET": f"{runtime}/{SOCKET}", "STEADY_STATUS_FD": status}
        own |= {"STEADY_CALLS": f"{runtime}/{CALLS}"} if plan.calls else {}
        own |= {"STEADY_ENTRY": f"{sandbox.APP}/{plan.entry}"} if plan.bundle else {}
        return {**ENVIRON, **plan.environ, **own}

    def _bun(self, plan: Plan, engine: str, folder: str) -> list[str]:
        """Bun's command line, in the paths that the program sees."""
        entry = f"{folder}/{plan.entry}" if plan.entry else f"{engine}/{STATIC}"
        entry = f"{sandbox.BUNDLE}/index.js" if plan.bundle else entry
        # A developer's own folder: its .env is meant, and what is missing may be fetched, also where a node_modules of
        # some folder above would make Bun think that it is not.
        return bun_words(engine, entry, ["--install=fallback"]) if plan.local else bun_words(engine, entry)

    async def _wait_ready(self, plan: Plan, instance: Instance, status: StatusReader, seconds: float) -> None:
        ended = instance.process.ended
        waiting: set[asyncio.Future[object]] = {status.ready, ended}  # type: ignore[arg-type]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if status.ready.done() and not ended.done():
            return
        uptime = time.monotonic() - instance.started
        cause = "start_timeout"
        if ended.done():
            cause = "exit" if ended.result().signal is None else "signal"
        status.read()
        instance.kill()
        await instance.gone()
        lines = list(instance.pump.recent)
        outcome = ended.result() if cause != "start_timeout" else None
        reason = _reason(outcome, status.error, seconds, lines)
        raise Failure(cause, reason, uptime, outcome, status.error, lines, instance.evidence(plan.limits))

    def _seal(self, plan: Plan, runtime: Path, instance: Instance) -> None:
        """Take the socket folder away from the app, so that it cannot put something else in the socket's place."""
        if plan.uid is not None:
            os.chown(runtime, 0, 0)
            os.chmod(runtime, 0o711)
        try:
            listens = stat.S_ISSOCK(os.lstat(instance.address).st_mode)
        except FileNotFoundError:
            listens = False
        if not listens:
            lines = list(instance.pump.recent)
            raise Failure("exit", "it says that it listens, but there is no socket of it.", 0.0, None, None, lines)


# Private


def _suits_zygote(plan: Plan) -> bool:
    """bunfig.toml is read before anything else: a zygote's Bun has looked for it already, and for some variables. The
    others it gets in one message."""
    plain = plan.entry == ENTRY and plan.bundle is None
    characters = sum(map(len, (*plan.environ, *plan.environ.values())))
    late = characters <= ZYGOTE_CHARACTERS_MAX and not any(map(is_read_at_start, plan.environ))
    return plain and late and plan.uid is not None and not os.path.lexists(plan.folder / "bunfig.toml")


def _forget(status: StatusReader | None, runtime: Path, group: Group | None, network: Attachment) -> None:
    if status is not None:
        status.close()
    if group is not None:
        group.remove()
    network.release()
    remove_now(runtime)


def _reason(ended: Exit | None, error: StatusEvent | None, seconds: float, lines: list[str]) -> str:
    """One plain sentence."""
    if error is not None:
        place = f"{error.file}:{error.line}: " if error.file and error.line else ""
        return f"{place}{error.message}"
    if ended is None:
        return f"it did not listen within {seconds:g} s. Start a server: export default {{ fetch }} or Bun.serve()."
    if ended.signal is None and ended.code == 0:
        return "it ended without starting a server. Start one: export default { fetch } or Bun.serve()."
    said = [line for line in lines if line.startswith("error")]
    return said[-1] if said else f"it ended with {ended} before it listened."
