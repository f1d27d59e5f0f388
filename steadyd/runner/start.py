"""Starting an instance: a private socket folder, the sandbox, the harness, and the event that says it listens."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import socket
import stat
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.linux import seccomp
from steadyd.model import Network
from steadyd.reach import Reach
from steadyd.runner import sandbox
from steadyd.runner.engine import HARNESS, Engine
from steadyd.runner.evidence import Evidence
from steadyd.runner.instance import Instance
from steadyd.runner.logs import Logs, Pump
from steadyd.runner.networks import Attachment, Networks
from steadyd.runner.process import Confinement, Exit, Spawn, spawn
from steadyd.runner.status import StatusEvent, StatusReader

STATUS_FD = 3
PORT = "3000"
STARTS_AT_ONCE_MAX = 2 * (os.cpu_count() or 1)
"""Instances that boot at the same time: more would make each other late, and the loop with them."""
SLOT_SECONDS_MAX = 0.5
"""A start that takes longer waits for something, and keeps no other from booting."""
STATIC = "static.ts"


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
    reach: Reach = field(default_factory=lambda: Reach(Network.NONE))
    namespaces: tuple[int, ...] = ()
    """Descriptors of the network that this start got; none: it has none."""
    local: bool = False
    """A developer's own folder: no sandbox, Bun may install what is missing."""


@dataclass(eq=False, slots=True)
class Failure(Exception):
    """Why an instance never became ready."""

    cause: str
    """exit, signal or start_timeout."""
    message: str
    uptime_seconds: float
    ended: Exit | None = None
    where: StatusEvent | None = None
    lines: list[str] = field(default_factory=list)
    evidence: Evidence = field(default_factory=Evidence)

    def as_error(self, step: str) -> SteadyError:
        """The `deploy_failed` error of the contract: step, reason, place, last log lines."""
        details: dict[str, object] = {"step": step, "reason": self.message, "logs": self.lines}
        if self.where is not None:
            details |= {key: getattr(self.where, key) for key in ("file", "line", "column") if getattr(self.where, key)}
        return SteadyError("deploy_failed", f"The app did not start: {self.message}", details)


class Starter:
    """Starts instances on this host. `runtime` is a short path: a Unix socket's path ends at 108 bytes (unix(7))."""

    def __init__(self, engine: Engine, runtime: Path, logs: Logs, sandboxed: bool, spawn: Spawn = spawn) -> None:
        self.engine = engine
        self.networks: Networks | None = None
        """Where instances get their networks from; None: nowhere."""
        self._spawn_child = spawn
        self.sandboxed = sandboxed
        self._runtime = runtime
        self._logs = logs
        self._system = sandbox.look_at_system()
        self._numbers = itertools.count(1)
        self._slots = asyncio.Semaphore(STARTS_AT_ONCE_MAX)

    async def start(self, plan: Plan, seconds: float) -> Instance:
        """Start `plan` and wait until its server listens.

        Raises:
            Failure: it exited, was killed, or did not listen within `seconds`; nothing of it is left.
        """
        async with self._slot():
            network = await self._network(plan)
            try:
                instance = await self._start(replace(plan, namespaces=network.namespaces), seconds)
            except BaseException:
                network.release()
                raise
            _afterwards(instance, network)
            return instance

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
        runtime = self._socket_folder(plan)
        ours, theirs = socket.socketpair()
        try:
            instance, status = self._spawn(plan, runtime, ours, theirs)
        except BaseException:
            ours.close()
            shutil.rmtree(runtime, ignore_errors=True)
            raise
        finally:
            theirs.close()
        instance.told = status
        instance.on_gone = lambda: _forget(status, runtime)
        try:
            await self._wait_ready(instance, status, seconds)
            self._seal(plan, runtime, instance)
        except BaseException:
            instance.process.kill()
            await instance.gone()
            raise
        instance.ready_at = time.monotonic()
        return instance

    async def _network(self, plan: Plan) -> Attachment:
        if self.networks is None or not self.sandboxed or plan.local:
            return Attachment(plan.app_id, plan.reach)
        try:
            return await self.networks.take(plan.app_id, plan.reach)
        except SteadyError as error:
            raise Failure("start_timeout", error.message, 0.0) from error

    def _socket_folder(self, plan: Plan) -> Path:
        """A fresh folder for each instance: a socket left behind by a killed one would refuse the next."""
        runtime = self._runtime / str(next(self._numbers))
        runtime.mkdir(mode=0o700)
        if plan.uid is not None:
            os.chown(runtime, plan.uid, plan.uid)
        return runtime

    def _spawn(
        self, plan: Plan, runtime: Path, ours: socket.socket, theirs: socket.socket
    ) -> tuple[Instance, StatusReader]:
        output, output_end = os.pipe()
        descriptors = {1: output_end, 2: output_end, STATUS_FD: theirs.fileno()}
        info = -1
        closing = [output_end]
        try:
            if self.sandboxed and not plan.local:
                info, info_end = os.pipe()
                closing.append(info_end)
                pipes = sandbox_pipes(self._room(plan, runtime), self._system)
                closing += pipes.values()
                descriptors |= {**pipes, sandbox.INFO_FD: info_end}
                command = [*sandbox.COMMAND, *self._bun(plan, sandbox.ENGINE, sandbox.APP)]
                process = self._spawn_child(command, {}, descriptors, Confinement(plan.uid, namespaces=plan.namespaces))
                process.relays = True
            else:
                linux = sys.platform == "linux"
                command = [
                    *sandbox.bare(plan.folder, plan.uid, linux),
                    *self._bun(plan, str(self.engine.folder), str(plan.folder)),
                ]
                process = self._spawn_child(command, self._environ(plan, str(runtime)), descriptors)
        except BaseException:
            os.close(output)
            if info >= 0:
                os.close(info)
            raise
        finally:
            for descriptor in closing:
                os.close(descriptor)
        pump = Pump(self._logs, plan.app_id, plan.version, output)
        instance = Instance(process, pump, str(runtime / "app.sock"), plan.version)
        return instance, StatusReader(process, ours, info)

    def _room(self, plan: Plan, runtime: Path) -> sandbox.Room:
        return sandbox.Room(
            folder=plan.folder,
            engine=self.engine.folder,
            uid=plan.uid,
            environ=self._environ(plan, sandbox.RUNTIME),
            runtime=runtime,
            modules=plan.modules,
            read_only=plan.read_only,
            network="entered" if plan.namespaces else "own",
        )

    def _environ(self, plan: Plan, runtime: str) -> dict[str, str]:
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            "NODE_ENV": "production",
            "PORT": PORT,
            "BUN_RUNTIME_TRANSPILER_CACHE_PATH": "0",
            **plan.environ,
            "STEADY_SOCKET": f"{runtime}/app.sock",
            "STEADY_STATUS_FD": str(STATUS_FD),
        }

    def _bun(self, plan: Plan, engine: str, folder: str) -> list[str]:
        """Bun's command line, in the paths that the program sees."""
        entry = f"{folder}/{plan.entry}" if plan.entry else f"{engine}/{STATIC}"
        # A developer's own folder: its .env is meant, and what is missing may be fetched, also where a node_modules of
        # some folder above would make Bun think that it is not.
        switches = ["--install=fallback"] if plan.local else ["--no-install", "--no-env-file"]
        return [f"{engine}/bun", *switches, "--preload", f"{engine}/{HARNESS}", entry]

    async def _wait_ready(self, instance: Instance, status: StatusReader, seconds: float) -> None:
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
        instance.process.kill()
        await instance.gone()
        lines = list(instance.pump.recent)
        outcome = ended.result() if cause != "start_timeout" else None
        raise Failure(cause, _reason(outcome, status.error, seconds, lines), uptime, outcome, status.error, lines)

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


def sandbox_pipes(room: sandbox.Room, system: sandbox.System) -> dict[int, int]:
    """What bubblewrap reads, each from a pipe: its number for it → our descriptor, which the caller closes.

    Raises:
        SteadyError: `too_large` if the options do not fit; `cannot_start` if this machine has no filter.
    """
    options = b"".join(word.encode() + b"\0" for word in sandbox.options(room, system))
    rules = filled_pipe(seccomp.program())
    try:
        return {sandbox.ARGS_FD: filled_pipe(options), sandbox.SECCOMP_FD: rules}
    except BaseException:
        os.close(rules)
        raise


def filled_pipe(content: bytes) -> int:
    """The reading end of a pipe that holds `content`.

    Raises:
        SteadyError: `too_large` if it does not fit: a pipe holds 64 KiB (pipe(7)).
    """
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        if os.write(writing, content) == len(content):
            return reading
    except BlockingIOError:
        pass
    finally:
        os.close(writing)
    os.close(reading)
    raise SteadyError("too_large", "The app's variables are longer than 64 KiB together.")


# Private


def _forget(status: StatusReader, runtime: Path) -> None:
    status.close()
    shutil.rmtree(runtime, ignore_errors=True)


def _afterwards(instance: Instance, network: Attachment) -> None:
    """When the instance is gone, its network goes too."""
    before = instance.on_gone

    def gone() -> None:
        before()
        network.release()

    instance.on_gone = gone


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
