"""One Bun process of one version, with the claims that requests hold on it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from steadyd.linux.cgroup import Group, Sample, Toll
from steadyd.model import Asked, Limits, Reached
from steadyd.proxy.service import Holder
from steadyd.records.metrics import Reading
from steadyd.runner.evidence import Evidence, reached_by
from steadyd.runner.logs import Pump
from steadyd.runner.process import Exit, Process
from steadyd.runner.status import StatusReader

CUT_SECONDS_MAX = 1.0
"""How long a cut exchange may take to give its claim back before the process is stopped under it."""
LAST_SECONDS = 1.0
"""A request that broke off this long before a death was cut by it."""
BROKEN_MAX = 4_096
REQUESTS_TOLD_MAX = 20
"""Requests in flight that are told by method and path."""
PATH_CHARACTERS_MAX = 200


class Instance:
    """What the data plane calls an upstream. `address` is the socket's path; `requests` counts claims ever granted."""

    def __init__(self, process: Process, pump: Pump, address: str, version: int) -> None:
        self.process = process
        self.pump = pump
        self.address = address
        self.version = version
        self.pool: list[Any] = []
        self.retired = False
        self.started = time.monotonic()
        self.ready_at: float | None = None
        self.group: Group | None = None
        """Its cgroup; None where this host lets us make none."""
        self.killed_for = ""
        """The limit that we killed it for: memory or disk."""
        self.killed_why = ""
        """More about that, in a sentence."""
        self.frozen = False
        self.last_reading: tuple[Sample, Toll] | None = None
        """What its cgroup told at its end."""
        self.told: StatusReader | None = None
        """What its harness tells; it runs in the app's process, so nothing of it is believed."""
        self.last_used = self.started
        self.requests = 0
        self.on_gone: Callable[[], None] = lambda: None
        """Called once, when the last trace of the process on this host can be removed."""
        self.on_unreachable: Callable[[], None] = lambda: None
        self.on_idle: Callable[[], None] = lambda: None
        """Called when the last claim on it ends."""
        self._claims: set[Holder] = set()
        self._broken = 0
        self._broken_at: deque[float] = deque(maxlen=BROKEN_MAX)
        self._broken_last: deque[tuple[float, Asked]] = deque(maxlen=REQUESTS_TOLD_MAX)
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def claims(self) -> int:
        return len(self._claims)

    @property
    def proven(self) -> bool:
        """Whether it has answered somebody while it lived."""
        return self.requests > len(self._claims) + self._broken

    @property
    def in_flight(self) -> int:
        """Requests that its end now cuts: claims held, and those that broke off just before."""
        since = time.monotonic() - LAST_SECONDS
        return len(self._claims) + sum(at >= since for at in self._broken_at)

    def asked(self) -> tuple[Asked, ...]:
        """Some of the requests in flight: those that broke off last, then the ones that still hold a claim."""
        since = time.monotonic() - LAST_SECONDS
        broken = [asked for at, asked in self._broken_last if at >= since]
        held = itertools.islice(self._claims, REQUESTS_TOLD_MAX - len(broken))
        return (*broken, *(_asked(holder) for holder in held))

    @property
    def uptime_seconds(self) -> float | None:
        """Seconds since it became ready; None if it never did."""
        return None if self.ready_at is None else time.monotonic() - self.ready_at

    def claim(self, holder: Holder) -> None:
        """Give `holder` this instance. Only called while it is not retired."""
        self._claims.add(holder)
        self._idle.clear()
        self.requests += 1
        holder.granted(self)

    def unreachable(self) -> None:
        """A connection to its socket was refused: it serves nobody any more."""
        self.on_unreachable()

    def broke_off(self, holder: Holder) -> None:
        """A request's connection ended in its middle. The kernel closes a dying process's sockets before it tells that
        it is dead, so this is how most requests in flight end."""
        self._broken += 1
        now = time.monotonic()
        self._broken_at.append(now)
        self._broken_last.append((now, _asked(holder)))

    def release(self, holder: Holder) -> None:
        """The request is over, however it ended."""
        self._claims.discard(holder)
        self.last_used = time.monotonic()
        if not self._claims:
            self._idle.set()
            self.on_idle()

    async def drain(self, seconds: float) -> int:
        """End what is long-lived now, give the rest `seconds`, then cut. Returns how many had to be cut."""
        self.retire()
        for holder in list(self._claims):
            holder.wind_down()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        late = list(self._claims)
        for holder in late:
            holder.cut()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CUT_SECONDS_MAX):
                await self._idle.wait()
        return len(late)

    async def stop(self, grace_seconds: float) -> Exit:
        """SIGTERM, grace, kill; returns when the process is gone and its output was read."""
        self.retire()
        ended = await self.process.stop(grace_seconds)
        await self.gone()
        return ended

    def freeze(self) -> None:
        """Pause every process of it. What its socket gets meanwhile waits in the kernel."""
        assert self.group is not None
        self.frozen = True
        self.group.freeze()

    def thaw(self) -> None:
        """Let it go on. It counts as used now."""
        assert self.group is not None
        self.frozen = False
        self.group.thaw()
        self.last_used = time.monotonic()

    def kill(self, limit: str = "", why: str = "") -> None:
        """End it now, whole. `limit` is what it is killed for, for the death card, with a sentence about it."""
        if not self.killed_for:
            self.killed_for, self.killed_why = limit, why
        self.process.kill()
        if self.group is not None:
            self.group.kill()

    def evidence(self, limits: Limits, in_flight: int = 0, asked: tuple[Asked, ...] = ()) -> Evidence:
        """What is known of its end, of an instance that is gone and had `limits`."""
        if self.last_reading is None:
            reached = Reached(disk_limit_bytes=limits.disk_bytes or None)
            return Evidence(self.killed_for, 0, reached, in_flight, asked, self.killed_why)
        sample, toll = self.last_reading
        reached = reached_by(sample, toll, limits)
        return Evidence(self.killed_for, toll.memory_kills, reached, in_flight, asked, self.killed_why)

    async def gone(self) -> None:
        """Wait for the process's end, kill what is left of its group, read the rest of its output, tidy up."""
        await asyncio.shield(self.process.ended)
        self.retire()
        self.kill()
        if self.group is not None and self.last_reading is None:
            self.last_reading = self.group.sample(), self.group.toll()
        self.pump.finish()
        on_gone, self.on_gone = self.on_gone, lambda: None
        on_gone()

    def retire(self) -> None:
        """No new claim, no pooled connection from here on."""
        self.retired = True
        pool, self.pool = list(self.pool), []
        for connection in pool:
            connection.close()

    def reading(self) -> Reading:
        """What it uses now, with when it started; may be called from any thread.

        Raises:
            OSError: it ends at this moment, and its cgroup is gone.
        """
        if self.group is None:
            memory, cpu = self.consumption()
            return Reading(memory, cpu, self.started)
        now = self.group.sample()
        return Reading(
            now.memory_bytes, now.cpu_seconds, self.started, now.memory_peak_bytes, now.processes, now.throttled_seconds
        )

    def consumption(self) -> tuple[int, float]:
        """Bytes of memory and CPU seconds of the instance now: its cgroup's, else its processes' from proc(5); zeros
        elsewhere."""
        if self.group is not None:
            sample = self.group.sample()
            return sample.memory_bytes, sample.cpu_seconds
        resident, cpu = 0, 0.0
        for pid in _family(self.process.pid):
            with contextlib.suppress(OSError, ValueError, IndexError):
                resident += int(_read(f"/proc/{pid}/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
                fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
                cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return resident, cpu


def pids_of(instance: Instance) -> list[int]:
    """Its processes now."""
    return instance.group.pids() if instance.group is not None else _family(instance.process.pid)


def pause(instance: Instance, yes: bool) -> None:
    """Pause it for a moment in which we look at it, or let it go on; what is frozen stays so."""
    if instance.group is not None and not instance.frozen:
        (instance.group.freeze if yes else instance.group.thaw)()


# Private


def _asked(holder: Holder) -> Asked:
    method, path = holder.describe()
    return Asked(method[:PATH_CHARACTERS_MAX], path[:PATH_CHARACTERS_MAX])


def _family(pid: int) -> list[int]:
    """`pid` and all its descendants."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError), open(f"/proc/{parent}/task/{parent}/children") as file:
            found += [int(child) for child in file.read().split()]
    return found


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()
