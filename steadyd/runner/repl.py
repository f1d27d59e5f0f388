"""REPLs: one more process of an app, beside its instance, that evaluates what its owner types.

It has what an instance has: the sandbox, the app's uid, folder, variables, network and limits, and opens databases
through the same bind, so that SQLite's locks hold between the two. Whoever changes what runs ends it first.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import msgspec

from steadyd.errors import SteadyError
from steadyd.linux.cgroup import Group
from steadyd.runner.networks import Attachment
from steadyd.runner.process import Process
from steadyd.runner.start import Plan
from steadyd.runner.status import InfoReader
from steadyd.runner.watch import Watch

START_SECONDS_MAX = 15.0
"""With the wait for a deploy to end."""
IDLE_SECONDS_MAX = 600.0
SEND_SECONDS_MAX = 5.0
GRACE_SECONDS_MAX = 1.0
CODE_BYTES_MAX = 32 << 10
OUTPUT_BYTES_MAX = 256 << 10
"""What is printed between one entry and the next."""
LINE_BYTES_MAX = 1 << 20
UNREAD_CHARACTERS_MAX = 1 << 20
READ_BYTES = 64 << 10
READS_AT_ONCE = 32
"""More than a pipe holds (pipe(7))."""
ANSWERS = ("value", "nothing", "error", "incomplete")


class Said(msgspec.Struct):
    """What a REPL tells: `output`, one of ANSWERS after each entry, and `ended` with the reason."""

    event: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Child:
    """The process, and what was taken for it."""

    process: Process
    output: int
    info: InfoReader
    channel: socket.socket
    group: Group | None
    network: Attachment

    def give_back(self) -> None:
        """Nothing of it is used any more."""
        os.close(self.output)
        self.channel.close()
        self.info.close()
        give_back(self.group, self.network)


class Repl:
    """One REPL of one person. It has ended when `events` has."""

    def __init__(self, plan: Plan, child: Child) -> None:
        self.id = secrets.token_hex(8)
        self.plan = plan
        self.busy = True
        """While an entry is evaluated, and until it is up."""
        self._child = child
        self._said: deque[Said] = deque()
        self._watch = Watch()
        self._kept = 0
        self._dropped = 0
        self._ending: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._idle: asyncio.TimerHandle | None = None
        self._listening = self._loop.create_task(self._listen())
        child.channel.setblocking(False)
        os.set_blocking(child.output, False)
        self._loop.add_reader(child.output, self._take_output)
        child.process.ended.add_done_callback(lambda ended: self.end_soon(f"It ended with {ended.result()}."))
        if child.group is not None:
            child.group.watch_memory(partial(self.end_soon, "It took more memory than the app may have."))

    @property
    def is_over(self) -> bool:
        return self._ending is not None

    def pids(self) -> list[int]:
        """The processes of it that are known."""
        return self._child.group.pids() if self._child.group is not None else [self._child.process.pid]

    def pause(self, on: bool) -> None:
        """Let nothing of it run, or go on."""
        group = self._child.group
        if group is not None and not self.is_over:
            (group.freeze if on else group.thaw)()

    async def ready(self) -> None:
        """Wait until it takes entries.

        Raises:
            SteadyError: `cannot_start`.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS_MAX):
                await self._watch.until(lambda: not self.busy or self.is_over)
        if self.busy or self.is_over:
            await self.end("")
            printed = " ".join(said.text.strip() for said in self._said)
            raise SteadyError("cannot_start", f"The REPL does not start. {printed[-500:]}".strip())

    async def evaluate(self, code: str) -> None:
        """Have `code` evaluated; `events` tells what came of it.

        Raises:
            SteadyError: `too_large`, or `conflict` if the last entry is not done or the REPL has ended.
        """
        if len(code.encode()) > CODE_BYTES_MAX:
            raise SteadyError("too_large", f"The entry is longer than {CODE_BYTES_MAX >> 10} KiB.")
        if self.is_over:
            raise SteadyError("conflict", "This REPL has ended.")
        if self.busy:
            raise SteadyError("conflict", "The last entry is not done yet.")
        if sum(len(said.text) for said in self._said) > UNREAD_CHARACTERS_MAX:
            raise SteadyError("conflict", "Nobody reads what this REPL says.")
        self.busy, self._kept = True, 0
        self._rest()
        line = json.dumps({"code": code}).encode() + b"\n"
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await self._loop.sock_sendall(self._child.channel, line)
        except (OSError, TimeoutError):
            self.end_soon("It does not listen any more.")

    async def events(self) -> AsyncIterator[Said]:
        """What it says, as it comes, to its end."""
        while True:
            await self._watch.until(lambda: bool(self._said))
            said = self._said.popleft()
            yield said
            if said.event == "ended":
                return

    def end_soon(self, reason: str) -> None:
        """End it, told why."""
        if self._ending is None:
            self._ending = self._loop.create_task(self._end(reason))
            self._watch.changed()

    async def end(self, reason: str) -> None:
        """The same; its process is gone when this returns."""
        self.end_soon(reason)
        assert self._ending is not None
        await asyncio.shield(self._ending)

    # Private

    def _rest(self) -> None:
        """Whoever types nothing more has forgotten it."""
        if self._idle is not None:
            self._idle.cancel()
        reason = f"Nothing was typed for {IDLE_SECONDS_MAX / 60:g} minutes."
        self._idle = self._loop.call_later(IDLE_SECONDS_MAX, self.end_soon, reason)

    async def _listen(self) -> None:
        """Its answers. The app's code can write here too: nothing is believed, only shown."""
        pending = b""
        while True:
            try:
                piece = await self._loop.sock_recv(self._child.channel, READ_BYTES)
            except OSError:
                return
            *lines, pending = (pending + piece).split(b"\n")
            if len(pending) > LINE_BYTES_MAX:
                self.end_soon("It says what no REPL says.")
            if not piece or self.is_over:
                return
            for line in lines:
                with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                    self._answered(msgspec.json.decode(line, type=Said))

    def _answered(self, said: Said) -> None:
        if said.event == "ready":
            self._rest()
        elif said.event not in ANSWERS or not self.busy:
            return
        else:
            self._take_output()  # what was printed before the answer is shown before it
            self._tell(said)
        self.busy = False
        self._watch.changed()

    def _take_output(self) -> None:
        for _ in range(READS_AT_ONCE):
            try:
                piece = os.read(self._child.output, READ_BYTES)
            except OSError:
                break
            if not piece:
                self._loop.remove_reader(self._child.output)
                break
            kept = piece[: max(0, OUTPUT_BYTES_MAX - self._kept)]
            self._kept += len(kept)
            self._dropped += len(piece) - len(kept)
            if kept:
                self._tell(Said("output", kept.decode("utf-8", "replace")))

    def _tell(self, said: Said) -> None:
        if self._dropped and said.event != "output":
            self._said.append(Said("output", f"\n({self._dropped} more bytes were printed and left out)\n"))
            self._dropped = 0
        self._said.append(said)
        self._watch.changed()

    async def _end(self, reason: str) -> None:
        child = self._child
        if self._idle is not None:
            self._idle.cancel()
        await child.process.stop(GRACE_SECONDS_MAX)
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self._take_output()
        self._loop.remove_reader(child.output)
        child.give_back()
        self._tell(Said("ended", reason))


def give_back(group: Group | None, network: Attachment) -> None:
    """What was taken for a process that is gone, or never was."""
    if group is not None:
        group.kill()
        group.remove()
    network.release()
