"""The parent of every child: a program of its own, so small that it has no reason to end before the daemon does.

A kill -9 of the daemon must leave no process, whatever was being started at that moment. Death signals alone leave
gaps: bubblewrap's second process asks for its own some milliseconds after it was forked, and when the first dies in
between, the rest lives on (seen about once in sixty kills). So this process starts the children and is their subreaper
(prctl(2), PR_SET_CHILD_SUBREAPER): whatever loses its parent becomes its child. When its socket to the daemon ends,
it kills its descendants until there are none.

It runs as `python -I -S parent.py DESCRIPTOR` and imports nothing of ours. One JSON object a packet (SOCK_SEQPACKET):

    request  {"id": 7, "argv": [...], "environ": {...}, "numbers": [child's numbers], "uid": 1 or null}
             with as many descriptors as numbers
    answer   {"id": 7, "pid": 1} or {"id": 7, "error": "No such file or directory"}
    news     {"ended": pid, "status": what waitpid(2) said}; {"up": true} once, at the start
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

PACKET_BYTES_MAX = 256 << 10
DESCRIPTORS_PER_REQUEST_MAX = 16
KILL_SECONDS_MAX = 10.0
KILL_AGAIN_SECONDS = 0.002
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
DEFAULTS = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGXFSZ)


class Parent:
    """Serves one daemon until it is gone."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._children: set[int] = set()

    def run(self) -> None:
        """Serve requests and reap children; at the end of the channel, leave nobody behind."""
        waking, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakes)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(waking, select.POLLIN)
        self._tell({"up": True})
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if waking in ready:
                os.read(waking, PACKET_BYTES_MAX)
                self._reap()
            if self._channel.fileno() in ready and not self._serve():
                return

    # Private

    def _serve(self) -> bool:
        """Answer one request; false when the daemon is gone."""
        try:
            packet, descriptors, _, _ = socket.recv_fds(self._channel, PACKET_BYTES_MAX, DESCRIPTORS_PER_REQUEST_MAX)
        except ConnectionError:
            return False
        if not packet:
            return False
        for descriptor in descriptors:  # recv_fds leaves them inheritable, and its flags unused (3.11)
            os.set_inheritable(descriptor, False)
        request = json.loads(packet)
        try:
            pid = spawn(request, descriptors)
            self._children.add(pid)
            self._tell({"id": request["id"], "pid": pid})
        except OSError as error:
            self._tell({"id": request["id"], "error": error.strerror})
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _reap(self) -> None:
        """Take every child that ended, and end what is left of its group while its number is still its own."""
        with contextlib.suppress(ChildProcessError):
            while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                ours = found.si_pid in self._children
                if ours:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(found.si_pid, signal.SIGKILL)
                _, status = os.waitpid(found.si_pid, 0)
                if ours:
                    self._children.discard(found.si_pid)
                    self._tell({"ended": found.si_pid, "status": status})

    def _tell(self, message: dict[str, object]) -> None:
        with contextlib.suppress(OSError):  # the daemon is gone, and the next read says so
            self._channel.send(json.dumps(message).encode())


def spawn(request: dict[str, Any], descriptors: list[int]) -> int:
    """Start one child in a session of its own; stdin is empty. Raises OSError."""
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    ]
    # First out of the way of the numbers that the child wants, then to these.
    aside = [os.dup2(ours, 100 + place, inheritable=False) for place, ours in enumerate(descriptors)]
    try:
        pairs = zip(aside, request["numbers"], strict=True)
        actions += [(os.POSIX_SPAWN_DUP2, ours, int(theirs)) for ours, theirs in pairs]
        argv, environ = request["argv"], request["environ"]
        with identity(request["uid"]):
            return os.posix_spawn(argv[0], argv, environ, file_actions=actions, setsid=True, setsigdef=DEFAULTS)
    finally:
        for descriptor in aside:
            os.close(descriptor)


@contextlib.contextmanager
def identity(uid: int | None) -> Iterator[None]:
    """Be `uid` while a child is made, which saves it the execution of a program for that (1 ms of its 13).

    Only the saved id stays ours, to come back by; execve(2) replaces the child's with its effective one, and with it
    goes every capability (capabilities(7)). This process has one thread and no supplementary groups.
    """
    if uid is None:
        yield
        return
    try:
        os.setresgid(uid, uid, 0)
        os.setresuid(uid, uid, 0)
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)


def descendants(root: int) -> list[int]:
    """Every process below `root`, from proc(5)."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:
                above = int(file.read().rpartition(")")[2].split()[1])
                children.setdefault(above, []).append(int(name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def end_all(seconds: float = KILL_SECONDS_MAX) -> None:
    """Kill what is left, again and again: a process may have been starting another. Gives up after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(KILL_AGAIN_SECONDS)


def main(number: int) -> None:
    """The program. It leads a session of its own: Ctrl-C at the terminal is the daemon's business."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # every child's, from its first instruction
    if os.geteuid() == 0:
        os.setgroups([])
    os.set_inheritable(number, False)  # a child that held our channel would hide the daemon's end from us
    try:
        Parent(socket.socket(fileno=number)).run()
    finally:
        end_all()


if __name__ == "__main__":
    main(int(sys.argv[1]))
