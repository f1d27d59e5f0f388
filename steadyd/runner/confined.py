"""Starting a program of ours in the sandbox, with everything that it talks to us through."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from steadyd.linux import seccomp
from steadyd.linux.cgroup import Caps
from steadyd.model import Limits
from steadyd.runner import sandbox
from steadyd.runner.process import RLIMIT_MSGQUEUE, Confinement, Process, Spawn

STATUS_FD = 3
ENVIRON = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "NODE_ENV": "production",
    "PORT": "3000",
    "BUN_RUNTIME_TRANSPILER_CACHE_PATH": "0",
    "STEADY_STATUS_FD": str(STATUS_FD),
}
"""What every app finds in its environment, besides its own variables."""

LIMITS = (
    (resource.RLIMIT_NOFILE, 2_048),  # a thousand WebSockets, and as many of its own
    (resource.RLIMIT_CORE, 0),  # a dump of its memory would lie beside its files
    (resource.RLIMIT_MEMLOCK, 64 << 10),  # locked memory cannot be reclaimed
    (RLIMIT_MSGQUEUE, 0),  # kernel memory that no cgroup counts
)
"""What every program in the sandbox gets at most (getrlimit(2))."""


@dataclass(frozen=True, slots=True)
class Confined:
    """A program in the sandbox. Whoever takes it owns both descriptors."""

    process: Process
    output: int
    """What it prints, standard output and error in one pipe."""
    info: int
    """What bubblewrap tells (`--info-fd`)."""


async def start_confined(
    spawn: Spawn,
    room: sandbox.Room,
    system: sandbox.System,
    words: Sequence[str],
    status: socket.socket,
    confinement: Confinement,
) -> Confined:
    """Start `words` in `room`. The program gets `status` as descriptor STATUS_FD.

    Raises:
        SteadyError: `cannot_start`.
    """
    output, output_end = os.pipe()
    info, info_end = os.pipe()
    closing = [output_end, info_end]
    try:
        files = sandbox_files(room, system)
        closing += files.values()
        descriptors = {1: output_end, 2: output_end, STATUS_FD: status.fileno(), sandbox.INFO_FD: info_end, **files}
        process = await spawn([*sandbox.COMMAND, *words], {}, descriptors, confinement)
    except BaseException:
        os.close(output)
        os.close(info)
        raise
    finally:
        for descriptor in closing:
            os.close(descriptor)
    process.relays = True
    return Confined(process, output, info)


def file_limits(disk_bytes: int) -> tuple[tuple[int, int], ...]:
    """LIMITS, and that no single file gets larger than all of them may be; 0 is no limit."""
    return (*LIMITS, (resource.RLIMIT_FSIZE, disk_bytes)) if disk_bytes > 0 else LIMITS


def limit_files(pids: Iterable[int], disk_bytes: int) -> None:
    """The same for a program that runs already (prlimit(2)); root may."""
    for pid in pids if disk_bytes > 0 and sys.platform == "linux" else ():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (disk_bytes, disk_bytes))


def sandbox_files(room: sandbox.Room, system: sandbox.System) -> dict[int, int]:
    """What bubblewrap reads: its number for it → our descriptor, which the caller closes.

    Raises:
        SteadyError: `cannot_start` if this machine has no filter.
    """
    options = b"".join(word.encode() + b"\0" for word in sandbox.options(room, system))
    rules = filled(seccomp.program())
    try:
        return {sandbox.ARGS_FD: filled(options), sandbox.SECCOMP_FD: rules}
    except BaseException:
        os.close(rules)
        raise


def filled(content: bytes) -> int:
    """A file in memory that holds `content` and is read from its beginning. A pipe would hold 64 KiB (pipe(7)), and an
    app's variables may be more."""
    descriptor = os.memfd_create("steadyd")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def caps(limits: Limits) -> Caps:
    """What an instance's cgroup enforces of an app's limits."""
    return Caps(limits.memory_bytes, limits.cpus, limits.processes)
