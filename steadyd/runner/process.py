"""One child process: spawned, signalled, and always reaped. This room and `parent.py` start whatever is started.

`posix_spawn` from the event loop's own thread: 0.15 ms at any heap size, where uvloop's subprocess forks and stalls
the loop for milliseconds; and a parent-death signal is bound to the thread that spawned, so that thread must live as
long as the daemon does (prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from steadyd.errors import SteadyError

DESCRIPTORS_MAX = 65_536
"""Two for each connection that a listener takes, and some more."""
RELAYED = 128
SETPRIV = "/usr/bin/setpriv"
PRLIMIT = "/usr/bin/prlimit"
RLIMIT_MSGQUEUE = 12
"""Linux's number: elsewhere `resource` has no such name."""
PRLIMIT_NAMES = {
    RLIMIT_MSGQUEUE: "msgqueue",
    resource.RLIMIT_CORE: "core",
    resource.RLIMIT_FSIZE: "fsize",
    resource.RLIMIT_MEMLOCK: "memlock",
    resource.RLIMIT_NOFILE: "nofile",
}
"""prlimit(1)'s options."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a child gets before its first instruction."""

    uid: int | None = None
    """Host uid and gid, and no other group; None keeps our own."""
    join: tuple[str, ...] = ()
    """Files of cgroups into which the starting child writes itself: `tasks` of v1 hierarchies, `cgroup.procs` of v2."""
    namespaces: tuple[int, ...] = ()
    """Descriptors of namespaces to enter, in this order (setns(2))."""
    limits: tuple[tuple[int, int], ...] = ()
    """(resource.RLIMIT_…, value), soft and hard alike."""


UNCONFINED = Confinement()


class Spawn(Protocol):
    """`spawn` below, or a launcher's."""

    async def __call__(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        descriptors: Mapping[int, int],
        confinement: Confinement = UNCONFINED,
    ) -> Process: ...


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: an exit code, or the signal that killed it."""

    code: int | None
    signal: str | None

    def __str__(self) -> str:
        return f"exit code {self.code}" if self.signal is None else f"signal {self.signal}"


class Process:
    """A running child and the group it leads. `ended` resolves exactly once, after the child was reaped."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.group = pid
        """The process group that is asked to end; a sandbox's inner group once it is known."""
        self.relays = False
        """True for a launcher that ends with 128 + the number of the signal that its child died of (bubblewrap)."""
        self.ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._pidfd = -1
        self._watch()

    def terminate(self) -> None:
        """Ask the group to end (SIGTERM)."""
        self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        """End the group, and the child itself: a sandbox dies whole with its first process."""
        self._signal_group(signal.SIGKILL)
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                self._kill_self()

    async def stop(self, grace_seconds: float) -> Exit:
        """SIGTERM, the grace period, SIGKILL; returns when the child is gone."""
        if not self.ended.done():
            self.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds):
                    await asyncio.shield(self.ended)
        self.kill()
        return await asyncio.shield(self.ended)

    # Private

    def _signal_group(self, number: signal.Signals) -> None:
        if self.ended.done():
            return  # the child was reaped, its group ended with it, and the number may be somebody else's by now
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.group, number)

    def _kill_self(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        if sys.platform == "linux":
            self._pidfd = os.pidfd_open(self.pid)
            loop.add_reader(self._pidfd, self._reap)
        else:
            # No pidfd here: a thread that lives as long as the child waits for it.
            threading.Thread(target=self._wait_in_thread, args=(loop,), daemon=True).start()

    def _reap(self) -> None:
        # Not reaped yet, the child still keeps its number: now the rest of its group can be ended safely.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._set(status)

    def _wait_in_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        _, status = os.waitpid(self.pid, 0)
        with contextlib.suppress(RuntimeError):  # the loop was closed first
            loop.call_soon_threadsafe(self._set, status)

    def _set(self, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        number = code - RELAYED if self.relays and code > RELAYED else -code
        if number in set(signal.Signals):
            self.ended.set_result(Exit(None, signal.Signals(number).name))
        else:
            self.ended.set_result(Exit(code, None))


def settle_descriptors() -> None:
    """As many as the system allows, up to DESCRIPTORS_MAX (a login's 1,024 are a few hundred visitors), and what we
    inherited open from whoever started us goes to no child: it may be any file of theirs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    for name in os.listdir("/dev/fd"):
        if int(name) > 2:
            with contextlib.suppress(OSError):  # the listing's own
                os.set_inheritable(int(name), False)


def identity_options(uid: int | None) -> list[str]:
    """setpriv(1)'s options for the uid and gid `uid` and no other group; none for None."""
    return [] if uid is None else [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


async def spawn(
    argv: Sequence[str],
    environ: Mapping[str, str],
    descriptors: Mapping[int, int],
    confinement: Confinement = UNCONFINED,
) -> Process:
    """As `spawn_now`, for whom a launcher's would do as well."""
    return spawn_now(argv, environ, descriptors, confinement)


def spawn_now(
    argv: Sequence[str],
    environ: Mapping[str, str],
    descriptors: Mapping[int, int],
    confinement: Confinement = UNCONFINED,
) -> Process:
    """Start `argv` in a session of its own. `descriptors` maps the child's numbers to ours; stdin is empty.

    posix_spawn knows no cgroup and no namespace: only a launcher's `spawn` can give a child those.

    Raises:
        SteadyError: `cannot_start` if the program cannot be executed.
    """
    assert (*confinement.join, *confinement.namespaces) == (), "only a launcher confines so"
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    ]
    actions += [(os.POSIX_SPAWN_DUP2, ours, theirs) for theirs, ours in descriptors.items()]
    if confinement.uid is not None:
        argv = [SETPRIV, *identity_options(confinement.uid), "--no-new-privs", *argv]
    if confinement.limits:
        argv = [PRLIMIT, *(f"--{PRLIMIT_NAMES[limit]}={value}" for limit, value in confinement.limits), "--", *argv]
    defaults = [signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXFSZ]
    try:
        pid = os.posix_spawn(argv[0], list(argv), dict(environ), file_actions=actions, setsid=True, setsigdef=defaults)
    except OSError as error:
        raise SteadyError("cannot_start", f"{argv[0]} cannot be executed: {error.strerror}.") from error
    return Process(pid)


def run_now(argv: Sequence[str]) -> int:
    """Run `argv` to its end while everything waits, its output discarded; returns the exit code. For start-up only."""
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    pid = os.posix_spawn(argv[0], list(argv), {"PATH": "/usr/bin:/bin", "HOME": "/tmp"}, file_actions=quiet)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
