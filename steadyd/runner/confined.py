"""Starting a program of ours in the sandbox, with everything that it talks to us through."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.linux import seccomp
from steadyd.runner import sandbox
from steadyd.runner.process import Confinement, Process, Spawn

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
        SteadyError: `cannot_start` or `too_large`.
    """
    output, output_end = os.pipe()
    info, info_end = os.pipe()
    closing = [output_end, info_end]
    try:
        pipes = sandbox_pipes(room, system)
        closing += pipes.values()
        descriptors = {1: output_end, 2: output_end, STATUS_FD: status.fileno(), sandbox.INFO_FD: info_end, **pipes}
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
