"""Running one of our scripts, `bun install` or Litestream to its end in the sandbox: bounded in time and output."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
import json
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from steadyd.errors import SteadyError
from steadyd.linux import userns
from steadyd.linux.cgroup import Caps, Cgroups, Group
from steadyd.runner import sandbox
from steadyd.runner.confined import sandbox_files
from steadyd.runner.engine import BUN, Engine
from steadyd.runner.process import UNCONFINED, Confinement, Exit, Process, Spawn, spawn

OUTPUT_BYTES_MAX = 1 << 20
READ_BYTES = 64 << 10
READS_AT_END = 32
"""More than a pipe holds (pipe(7): 1 MiB at most)."""
PROBE_SECONDS_MAX = 10.0
FILE_BYTES_MAX = 1 << 30
"""Of any file that a tool writes, where its bounds say nothing else."""
MEMORY_BYTES_MAX = 1 << 30
PROCESSES_MAX = 256
"""Threads are processes, here."""
SCRIPT = ("--no-install", "--no-env-file", "--config=/dev/null")
"""How Bun runs a script of ours: nothing is fetched, no .env is read, and no bunfig.toml (its `preload` names code)."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one run may take of memory, how much of what it says is kept, and how large a file it may write."""

    memory_bytes: int
    output_bytes: int
    file_bytes: int = FILE_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool said and how it ended. `timed_out` means that we killed it."""

    ended: Exit
    output: bytes
    timed_out: bool

    @property
    def ok(self) -> bool:
        return self.ended.code == 0

    def answer(self) -> dict[str, Any]:
        """The JSON object that one of our scripts prints as its last line; {} if there is none."""
        for line in reversed(self.output.splitlines()):
            if line.startswith(b"{"):
                with contextlib.suppress(ValueError):
                    return dict(json.loads(line))
        return {}

    def last_lines(self, count: int = 20) -> list[str]:
        return self.output.decode("utf-8", "replace").strip().splitlines()[-count:]


class Tools:
    """Runs programs of the engine folder on users' files: always in the sandbox, never with a secret."""

    def __init__(self, engine: Engine, sandboxed: bool, spawn: Spawn = spawn, cgroups: Cgroups | None = None) -> None:
        self.engine = engine
        self._cgroups = cgroups
        self._numbers = itertools.count(1)
        self.sandboxed = sandboxed
        self.spawn = spawn
        self._system = sandbox.look_at_system()
        self._bounds: Bounds | None = None
        self._program = BUN

    def within(self, bounds: Bounds, program: str = BUN) -> Tools:
        """The same for programs that may take other amounts than a build, and for another one of the engine folder."""
        other = copy.copy(self)
        other._bounds = bounds
        other._program = program
        return other

    async def run(self, room: sandbox.Room, words: Sequence[str], seconds: float) -> Result:
        """Run `bun WORDS…` in `room`; a word may name paths with {app}, {engine} and the keys of `room.extra` and
        `room.shown`."""
        bounds = self._bounds or Bounds(MEMORY_BYTES_MAX, OUTPUT_BYTES_MAX, FILE_BYTES_MAX)
        group = self._group(bounds.memory_bytes)
        try:
            process, output = await self._start(room, words, group, bounds.file_bytes)
            collector = Collector(output, bounds.output_bytes)
            try:
                done, _ = await asyncio.wait({process.ended}, timeout=seconds)
            finally:
                process.kill()
                ended = await asyncio.shield(process.ended)
                said = collector.finish()
            return Result(ended, said, not done)
        finally:
            if group is not None:
                group.kill()
                group.remove()

    # Private

    def _group(self, memory_bytes: int) -> Group | None:
        """A cgroup of its own for each run, in the class of builds."""
        if self._cgroups is None:
            return None
        group = self._cgroups.make("builds", f"build-{next(self._numbers)}")
        group.cap(Caps(memory_bytes, 0, PROCESSES_MAX))
        return group

    async def _start(
        self, room: sandbox.Room, words: Sequence[str], group: Group | None, file_bytes: int
    ) -> tuple[Process, int]:
        """The process, and what it prints."""
        limits = ((resource.RLIMIT_FSIZE, file_bytes), (resource.RLIMIT_CORE, 0))
        confinement = Confinement(join=group.join if group else (), limits=limits)
        output, output_end = os.pipe()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        closing = [output_end, nowhere]
        descriptors = {1: output_end, 2: output_end}
        try:
            if self.sandboxed:
                pipes = sandbox_files(room, self._system)
                closing += pipes.values()
                descriptors |= {**pipes, sandbox.INFO_FD: nowhere}
                command = [*sandbox.COMMAND, *self._command(room, words, inside=True)]
                process = await self.spawn(command, {}, descriptors, replace(confinement, uid=room.uid))
                process.relays = True
            else:
                linux = sys.platform == "linux"
                command = [*sandbox.bare(room.folder, room.uid, linux), *self._command(room, words, inside=False)]
                process = await self.spawn(
                    command, dict(room.environ), descriptors, confinement if linux else UNCONFINED
                )
        except BaseException:
            os.close(output)
            raise
        finally:
            for descriptor in closing:
                os.close(descriptor)
        return process, output

    def _command(self, room: sandbox.Room, words: Sequence[str], inside: bool) -> list[str]:
        engine = sandbox.ENGINE if inside else str(self.engine.folder)
        folder = sandbox.APP if inside else str(room.folder)
        paths = {"app": folder, "engine": engine}
        further = {**room.extra, **room.shown}
        paths |= {inner.strip("/"): inner if inside else str(outer) for inner, outer in further.items()}
        return [f"{engine}/{self._program}", *(word.format(**paths) for word in words)]


class Collector:
    """What a tool writes: read as it comes, so that nothing stalls, and cut at the limit. Owns the descriptor."""

    def __init__(self, descriptor: int, limit: int = OUTPUT_BYTES_MAX) -> None:
        self._descriptor = descriptor
        self._limit = limit
        self._kept = bytearray()
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def finish(self) -> bytes:
        """Everything so far. Does not wait for the pipe's end: a child of the tool may hold it for ever."""
        for _ in range(READS_AT_END):
            if not self._read():
                break
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        return bytes(self._kept)

    # Private

    def _read(self) -> bool:
        """Take one piece; false where there is none."""
        try:
            piece = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return False
        self._kept += piece[: max(0, self._limit - len(self._kept))]
        if not piece:
            asyncio.get_running_loop().remove_reader(self._descriptor)
        return bool(piece)


async def probe(tools: Tools, room: sandbox.Room) -> None:
    """Really start a program under the full policy.

    Raises:
        SteadyError: `cannot_start` with what the sandbox said and what mends it.
    """
    sandbox.check_installed()
    result = await tools.run(room, ["--version"], PROBE_SECONDS_MAX)
    if not result.ok:
        said = " ".join(result.last_lines(2)) or str(result.ended)
        message = f"A program cannot be started in the sandbox ({said}). To mend it: {userns.fix()}"
        raise SteadyError("cannot_start", message)
