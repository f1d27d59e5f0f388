"""Programs of ours that start without reading Python's modules again, which is two thirds of a daemon's start.

One process per test session has imported everything, and forks a child for each start. The child is the program from
its first line on: its own arguments, variables, output and process; only its modules are there already.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import cache

MESSAGE_BYTES_MAX = 1 << 16


class Started:
    """What `subprocess.Popen` is for a process that somebody else is the parent of."""

    def __init__(self, status: int) -> None:
        """`status` is a pipe on which its parent says the pid, and later how it ended."""
        self._status = os.fdopen(status, "rb")
        self.pid = int(self._status.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not select.select([self._status], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired([str(self.pid)], timeout or 0.0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(module: str, words: Sequence[str], environ: dict[str, str], output: int) -> Started:
    """Runs `python -m module words…` with more variables; what it says goes to the descriptor `output`."""
    status, told = os.pipe()
    message = json.dumps([module, list(words), environ]).encode()
    try:
        socket.send_fds(_parent()[0], [message], [output, told])
    finally:
        os.close(told)
    return Started(status)


@cache
def _parent() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """The door to the process that forks, which ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.warm", str(theirs.fileno())]
    with theirs:
        descriptors = [theirs.fileno()]
        parent = subprocess.Popen(command, pass_fds=descriptors, stdin=subprocess.DEVNULL, start_new_session=True)
    return ours, parent


def end() -> None:
    """Nothing is started any more; what runs goes on."""
    if _parent.cache_info().currsize:
        door, parent = _parent()
        door.close()
        parent.wait()


# In the process that forks


def _serve(door: socket.socket) -> None:
    import steadyd.cli
    import steadyd.daemon  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(door, MESSAGE_BYTES_MAX, 2)
        if not message:
            return
        if os.fork() == 0:
            door.close()
            _watch(json.loads(message), *descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)


def _watch(order: tuple[str, list[str], dict[str, str]], output: int, told: int) -> None:
    """A process between: it says how the program ended, as only a parent can."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(told)
        _become(order, output)
        return
    os.close(output)
    os.write(told, b"%d\n" % pid)
    os.write(told, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def _become(order: tuple[str, list[str], dict[str, str]], output: int) -> None:
    module, words, environ = order
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.update(environ)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
