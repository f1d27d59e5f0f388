"""What a starting instance tells: the harness on its status socket, bubblewrap on its info pipe."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import Callable

import msgspec

from steadyd.runner.process import Process

STATUS_LINE_BYTES_MAX = 64 << 10
INFO_BYTES_MAX = 4 << 10
PATHS_MAX = 20_000
"""Paths of one kind, and targets, that are remembered: the app's process sends them, so it must not decide how much we
keep."""
CHILD_PID = re.compile(rb'"child-pid": (\d+)\b')


class StatusEvent(msgspec.Struct):
    """One line that the harness writes. It runs in the user's process: nothing here is believed, only shown."""

    event: str
    message: str = ""
    file: str | None = None
    line: int | None = None
    column: int | None = None
    source: str | None = None
    """The line itself."""
    files: list[str] = []
    target: str | None = None
    """HOST PORT of a connection."""


class StatusReader:
    """Reads the harness's status lines and the sandbox's `--info-fd`. `ready` resolves at the ready event."""

    def __init__(self, process: Process, ours: socket.socket, info: int) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Resolves when it is a zygote, and has nothing more to do until it gets an app."""
        self.error: StatusEvent | None = None
        self.timer = False
        """Whether it has ever set a timer that outlives a pause."""
        self.files: set[str] = set()
        self.wrote: set[str] = set()
        self.reached: list[str] = []
        """HOST PORT of what it connected to, once each, as a developer's own folder tells."""
        self.on_reached: Callable[[str], None] = lambda target: None
        self._socket = ours
        self._info = InfoReader(process, info)
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        ours.setblocking(False)
        self._loop.add_reader(ours.fileno(), self.read)

    def read(self) -> None:
        """Take every whole line that has come."""
        if self._socket.fileno() < 0:
            return
        with contextlib.suppress(OSError):
            piece = self._socket.recv(STATUS_LINE_BYTES_MAX)
            if not piece:
                self._loop.remove_reader(self._socket.fileno())
            *lines, self._buffer = (self._buffer + piece).split(b"\n")
            self._buffer = self._buffer[-STATUS_LINE_BYTES_MAX:]
            for line in lines:
                with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                    self._take(msgspec.json.decode(line, type=StatusEvent))

    def send(self, line: bytes) -> bool:
        """Tell the program one line; false if its socket did not take it whole."""
        try:
            return self._socket.send(line) == len(line)
        except OSError:
            return False

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
        self._info.close()

    # Private

    def _take(self, event: StatusEvent) -> None:
        if event.event == "ready" and not self.ready.done():
            self.ready.set_result(None)
        elif event.event == "waiting" and not self.waiting.done():
            self.waiting.set_result(None)
        elif event.event == "error":
            self.error = event
        elif event.event == "timer":
            self.timer = True
        elif event.event == "modules":
            self.files.update(event.files[: PATHS_MAX - len(self.files)])
        elif event.event == "wrote" and event.file and len(self.wrote) < PATHS_MAX:
            self.wrote.add(event.file)
        elif event.event == "reached" and event.target and len(self.reached) < PATHS_MAX:
            self.reached.append(event.target)
            self.on_reached(event.target)


class InfoReader:
    """Reads what bubblewrap tells: the host pid of its child, which leads the group to signal. It writes in pieces:
    closing before the end would kill it (SIGPIPE). Owns the descriptor; -1 is none."""

    def __init__(self, process: Process, info: int) -> None:
        self._process = process
        self._info = info
        self._told = b""
        self._loop = asyncio.get_running_loop()
        if info >= 0:
            os.set_blocking(info, False)
            self._loop.add_reader(info, self._read)

    def close(self) -> None:
        if self._info >= 0:
            self._loop.remove_reader(self._info)
            os.close(self._info)
            self._info = -1

    # Private

    def _read(self) -> None:
        piece = b""
        with contextlib.suppress(OSError):
            piece = os.read(self._info, INFO_BYTES_MAX)
        self._told = (self._told + piece)[:INFO_BYTES_MAX]
        if found := CHILD_PID.search(self._told):
            self._process.group = int(found[1])
        if not piece:
            self.close()
