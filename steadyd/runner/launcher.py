"""Starting children through their parent process (`parent.py`), so that none of them outlives the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steadyd.errors import SteadyError
from steadyd.runner.parent import DESCRIPTORS_PER_REQUEST_MAX, PACKET_BYTES_MAX
from steadyd.runner.process import UNCONFINED, Confinement, Process, spawn_now

logger = logging.getLogger("steadyd.launcher")

PROGRAM = Path(__file__).with_name("parent.py")
CHANNEL = 3
UP_SECONDS_MAX = 10.0
ANSWER_SECONDS_MAX = 5.0
"""For one request: 2 ms is usual, as the parent process is a Python that forks. The loop goes on meanwhile."""


class LaunchedProcess(Process):
    """A child of the parent process: who reaps it tells how it ended."""

    def take(self, status: int) -> None:
        """It was reaped with `status` (waitpid(2))."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if not self.ended.done():
            self._set(status)

    def _watch(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # reaped already: the news is on its way
            self._pidfd = os.pidfd_open(self.pid)

    def _kill_self(self) -> None:
        if self._pidfd >= 0:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)


class Launcher:
    """The daemon's side of the parent process. Linux only; elsewhere `process.spawn` starts children directly."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._processes: dict[int, LaunchedProcess] = {}
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        """By number, who waits for an answer."""
        self._started: dict[int, LaunchedProcess] = {}
        """By pid, children whose askers have not yet had the time to take them."""
        self._up: asyncio.Future[None] | None = None
        self._channel: socket.socket | None = None
        self._parent: Process | None = None
        self._closing = False
        self._again: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Start the parent process and wait until it serves.

        Raises:
            SteadyError: `cannot_start` if it does not.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * PACKET_BYTES_MAX)
        with theirs:
            command = [sys.executable, "-I", "-S", str(PROGRAM), str(CHANNEL)]
            self._parent = spawn_now(command, {}, {CHANNEL: theirs.fileno()})
        ours.setblocking(False)
        self._channel, self._up = ours, asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(ours.fileno(), self._read)
        try:
            async with asyncio.timeout(UP_SECONDS_MAX):
                await self._up
        except TimeoutError:
            raise SteadyError("cannot_start", f"{sys.executable} does not start as the parent of apps.") from None

    async def spawn(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        descriptors: Mapping[int, int],
        confinement: Confinement = UNCONFINED,
    ) -> Process:
        """As `process.spawn`: start `argv` in a session of its own, confined.

        Raises:
            SteadyError: `cannot_start` if the program cannot be executed, or the parent process is gone.
        """
        request = {
            "argv": list(argv),
            "environ": dict(environ),
            "numbers": list(descriptors),
            "uid": confinement.uid,
            "join": confinement.join,
            "limits": confinement.limits,
        }
        pid, error = await self._ask(request, [*confinement.namespaces, *descriptors.values()])
        if pid is None:
            raise SteadyError("cannot_start", f"{argv[0]} cannot be executed: {error}.")
        return self._started.pop(pid)

    async def spare(self) -> int:
        """The pid of a process that holds a user namespace for a later `bind`. Root only.

        Raises:
            SteadyError: `cannot_start` if the system makes none.
        """
        pid, error = await self._ask({"spare": True}, [])
        if pid is None:
            raise SteadyError("cannot_start", f"A user namespace cannot be made: {error}.")
        return pid

    def dismiss(self, spare: int) -> None:
        """End a spare that is not needed."""
        with contextlib.suppress(SteadyError, OSError):  # it ends with the parent process, too
            self._send(next(self._numbers), {"users": spare}, [])

    async def bind(
        self, spare: int, ids: tuple[int, int], namespace: int, mounts: Sequence[tuple[str, str, bool]]
    ) -> None:
        """Bind (source, target, mapped) into the mount namespace that `namespace` is open on, and end the spare.

        Where `mapped`, the owner `ids[0]` on disk is `ids[1]` there, and root is root; elsewhere it is read-only.

        Raises:
            SteadyError: `cannot_start` if the kernel or the file system cannot do this.
        """
        request = {"users": spare, "map": f"0 0 1\n{ids[0]} {ids[1]} 1\n", "mounts": list(mounts)}
        _, error = await self._ask(request, [namespace])
        if error:
            raise SteadyError("cannot_start", f"A folder cannot be bound into a running sandbox: {error}.")

    async def show(self, namespace: int, mounts: Sequence[tuple[str, str]]) -> None:
        """Bind (source, target), writable, into the mount namespace that `namespace` is open on: no link in them leads
        anywhere there, nothing can be executed, and no device opened. Root only.

        Raises:
            SteadyError: `cannot_start` if the kernel cannot do this.
        """
        _, error = await self._ask({"linkless": list(mounts)}, [namespace])
        if error:
            raise SteadyError("cannot_start", f"A folder cannot be bound into a running sandbox: {error}.")

    async def close(self) -> None:
        """End the parent process, and with it every child that is left."""
        self._closing = True
        if self._again is not None:
            await asyncio.wait({self._again})
        self._hang_up()
        if self._parent is not None:
            await self._parent.ended

    # Private

    async def _ask(self, content: Mapping[str, object], descriptors: list[int]) -> tuple[int | None, str]:
        """A pid, or why there is none. Whoever stops waiting gets no child: one that comes too late is ended."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        said: dict[str, Any] = {}
        try:
            self._send(number, content, descriptors)
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                said = await answer
        except TimeoutError:
            return None, "it did not answer in time"
        except OSError as error:
            return None, error.strerror or str(error)
        finally:
            self._waiting.pop(number, None)
            if not said and answer.done() and not answer.cancelled():
                self._end_unknown(answer.result())
        return said.get("pid"), str(said.get("error", ""))

    def _send(self, number: int, content: Mapping[str, object], descriptors: list[int]) -> None:
        """Raises OSError if it does not fit, or the parent process has not yet read what was sent before."""
        if self._channel is None:
            raise SteadyError("cannot_start", "The parent process of apps is starting again. Try again soon.")
        request = json.dumps({"id": number, **content}).encode()
        if len(descriptors) > DESCRIPTORS_PER_REQUEST_MAX:
            raise OSError(errno.E2BIG, f"more than {DESCRIPTORS_PER_REQUEST_MAX} descriptors")
        if len(request) > PACKET_BYTES_MAX:
            raise OSError(errno.E2BIG, f"its arguments and variables are longer than {PACKET_BYTES_MAX >> 10} KiB")
        socket.send_fds(self._channel, [request], descriptors)

    def _read(self) -> None:
        """News, outside of any request."""
        assert self._channel is not None
        try:
            packet = self._channel.recv(PACKET_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if packet:
            self._take(json.loads(packet))
        else:
            self._lost()

    def _take(self, message: dict[str, Any]) -> None:
        if "up" in message and self._up is not None and not self._up.done():
            self._up.set_result(None)
        elif "id" in message:
            self._answered(message)
        elif "ended" in message:
            process = self._processes.pop(message["ended"], None)
            if process is not None:
                process.take(message["status"])

    def _answered(self, message: dict[str, Any]) -> None:
        answer = self._waiting.pop(message["id"], None)
        if answer is None or answer.done():
            self._end_unknown(message)
            return
        if message.get("child"):  # known at once: the news of its end may be the next packet
            pid = message["pid"]
            self._processes[pid] = self._started[pid] = LaunchedProcess(pid)
        answer.set_result(message)

    def _end_unknown(self, message: dict[str, Any]) -> None:
        """An answer that nobody waits for any more, and the child that nobody will know."""
        pid = message.get("pid")
        if pid is None:
            return
        self._started.pop(pid, None)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _lost(self) -> None:
        """The parent process was killed: its children die with it, and another takes its place."""
        self._hang_up()
        if not self._closing and self._up is not None and self._up.done():
            self._again = asyncio.ensure_future(self._open_again())
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result({"error": "the parent process of apps has ended"})
        processes, self._processes = self._processes, {}
        for process in processes.values():
            process.kill()
            process.take(signal.SIGKILL)

    async def _open_again(self) -> None:
        try:
            await self.open()
        except SteadyError as error:
            logger.error("no app can be started any more, restart the daemon: %s", error.message)

    def _hang_up(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            asyncio.get_running_loop().remove_reader(channel.fileno())
            channel.close()
