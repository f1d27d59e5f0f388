"""Control groups of version 1: a folder in each of several hierarchies makes one group.

Documentation/admin-guide/cgroup-v1 of the kernel. What differs from version 2 and is made up for here: a child joins
through `tasks`, since `cgroup.procs` takes a lock of the whole machine (14 ms where `tasks` costs 0.3); there is no
kill of a group, so it is kept from forking and signalled until nobody is new; and none of the freezer, because what is
frozen in it outlives SIGKILL and its parent: SIGSTOP it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable, Mapping

from steadyd.linux import control
from steadyd.linux.group import Caps, Group, Sample, Toll, still_there, unable_to_shrink
from steadyd.linux.pressure import Reading, Watch
from steadyd.linux.tiers import Host

CPU_PERIOD_MICROSECONDS = 100_000
CPU_QUOTA_MICROSECONDS_MIN = 1_000
"""The kernel refuses less, which is a hundredth of a processor."""
ANY_BYTES_PER_SECOND = 1 << 50
SWAP_SLACK_BYTES = 4 << 20
"""Memory and swap together get so much more than memory alone: with equal limits the first is asked first, and the
kernel counts no refusals of it. `memory.swappiness` 0 keeps it from being swapped to."""
SHARES_PER_WEIGHT = 1_024 / 100
SHARES_MIN, BLKIO_WEIGHT_GREATEST = 2, 1_000


class Group1:
    """One group, in the folders `places` (controller → folder). `cpus_greatest` is what the group above has: here,
    unlike in version 2, the kernel refuses more. 0 for no limit."""

    def __init__(self, name: str, places: Mapping[str, str], cpus_greatest: float = 0) -> None:
        self.name = name
        self.leaving: list[Group] = []
        """Of it and all below: to be removed, and not yet empty."""
        self.places = places
        self._cpus_greatest = cpus_greatest
        self._cpus = cpus_greatest
        self._watch: Watch | None = None
        self.folders = tuple(dict.fromkeys(places.values()))
        self.join = tuple(f"{folder}/tasks" for folder in self.folders)

    def create(self) -> None:
        """Make the folders. Raises OSError."""
        for folder in self.folders:
            os.mkdir(folder)
        control.write_where_there(self._file("memory", "memory.swappiness"), 0)

    def child(self, name: str, folder: str) -> Group1:
        """A group `name` below this one, in folders of the name `folder`. Raises OSError."""
        places = {controller: f"{above}/{folder}" for controller, above in self.places.items()}
        group = Group1(name, places, self._cpus)
        group.leaving = self.leaving
        group.create()
        return group

    def cap(self, caps: Caps) -> None:
        with still_there(self.name):
            self._cap(caps)

    def sample(self) -> Sample:
        number = self._number
        read, written = self._transferred()
        return Sample(
            memory_bytes=number("memory", "memory.usage_in_bytes"),
            memory_peak_bytes=number("memory", "memory.max_usage_in_bytes"),
            cpu_seconds=number("cpuacct", "cpuacct.usage") / 1e9,
            throttled_seconds=self._keyed("cpu", "cpu.stat")["throttled_time"] / 1e9,
            processes=number("pids", "pids.current"),
            read_bytes=read,
            written_bytes=written,
        )

    def toll(self) -> Toll:
        return Toll(
            memory_kills=self._keyed("memory", "memory.oom_control").get("oom_kill", 0),
            memory_refusals=self._number("memory", "memory.failcnt"),
            process_refusals=self._keyed("pids", "pids.events")["max"],
            throttled_periods=self._keyed("cpu", "cpu.stat")["nr_throttled"],
        )

    def pids(self) -> list[int]:
        return control.members(self.places["pids"])

    def freeze(self) -> None:
        control.signal_all(self.pids, control.send(signal.SIGSTOP))

    def thaw(self) -> None:
        control.signal_all(self.pids, control.send(signal.SIGCONT))

    def kill(self) -> None:
        control.kill(self.places["pids"])

    def watch_memory(self, starving: Callable[[], None]) -> None:
        self._unwatch()
        self._watch = Watch(PressureEvents(self.places["memory"]), self._reading, starving)

    def remove(self) -> None:
        self._unwatch()
        if [folder for folder in self.folders if not control.remove(folder)]:
            self.leaving.append(self)

    # Private

    def _cap(self, caps: Caps) -> None:
        self._cap_memory(caps.memory_bytes)
        self._cpus = least(caps.cpus, self._cpus_greatest)
        control.write(self._file("cpu", "cpu.cfs_quota_us"), quota(self._cpus))
        control.write(self._file("cpu", "cpu.shares"), max(SHARES_MIN, round(caps.cpu_weight * SHARES_PER_WEIGHT)))
        control.write(self._file("pids", "pids.max"), caps.processes or "max")
        if "blkio" in self.places:
            weight = min(caps.cpu_weight, BLKIO_WEIGHT_GREATEST)
            for name in ("blkio.weight", "blkio.bfq.weight"):
                control.write_where_there(self._file("blkio", name), weight)

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.close()

    def _reading(self) -> Reading:
        stat = self._keyed("memory", "memory.stat")
        cache = stat["inactive_file"] + stat["active_file"]
        return Reading(
            at=time.monotonic(),
            limit_bytes=self._number("memory", "memory.limit_in_bytes"),
            held_bytes=self._number("memory", "memory.usage_in_bytes") - cache,
            cache_bytes=cache,
            kills=self._keyed("memory", "memory.oom_control").get("oom_kill", 0),
            major_faults=stat["pgmajfault"],
            refaults=stat.get("workingset_refault_file", 0),
        )

    def _cap_memory(self, limit: int) -> None:
        together = self._file("memory", "memory.memsw.limit_in_bytes"), limit + SWAP_SLACK_BYTES if limit else -1
        alone = self._file("memory", "memory.limit_in_bytes"), limit or -1
        lower = 0 < limit < control.number(alone[0])
        try:
            # Memory and swap together are never below memory alone.
            for file, value in (alone, together) if lower else (together, alone):
                control.write_where_there(file, value)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            used = control.number(self._file("memory", "memory.usage_in_bytes"))
            raise unable_to_shrink(self.name, used, limit) from error

    def _transferred(self) -> tuple[int, int]:
        """Bytes read and written, of all disks: lines of `8:0 Read 4096`."""
        counts = {"Read": 0, "Write": 0}
        if "blkio" in self.places:
            for line in control.read(self._file("blkio", "blkio.throttle.io_service_bytes")).splitlines():
                words = line.split()
                if len(words) == 3 and words[1] in counts:
                    counts[words[1]] += int(words[2])
        return counts["Read"], counts["Write"]

    def _file(self, controller: str, name: str) -> str:
        return f"{self.places[controller]}/{name}"

    def _number(self, controller: str, name: str) -> int:
        return control.number(self._file(controller, name))

    def _keyed(self, controller: str, name: str) -> dict[str, int]:
        return control.keyed(self._file(controller, name))


class Base1(Group1):
    """The group below which all of a daemon's are."""

    def prepare(self) -> None:
        """Make it, with nothing in it. Raises OSError, SteadyError."""
        self.clear()
        self.create()
        # The kernel counts what goes to and from a disk only once some group has a limit on it: one never reached.
        for disk in os.listdir("/sys/block") if "blkio" in self.places else ():
            with contextlib.suppress(OSError):  # not every disk can be limited
                device = control.read(f"/sys/block/{disk}/dev").strip()
                control.write(self._file("blkio", "blkio.throttle.read_bps_device"), f"{device} {ANY_BYTES_PER_SECOND}")

    def clear(self) -> None:
        """Kill and remove everything in it, and it."""
        control.clear(self.folders)

    def leave(self) -> None:
        """The daemon itself never moved."""


class PressureEvents:
    """The eventfd(2) that the kernel adds to when the group is out of memory, and when that becomes critical: almost
    everything it looks at to give up is in use."""

    def __init__(self, folder: str) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        for name, level in (("memory.oom_control", ""), ("memory.pressure_level", "critical")):
            file = os.open(f"{folder}/{name}", os.O_RDONLY)
            try:
                control.write(f"{folder}/cgroup.event_control", f"{self.descriptor} {file} {level}".rstrip())
            finally:
                os.close(file)

    def clear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)

    def close(self) -> None:
        os.close(self.descriptor)


# Private


def least(cpus: float, cpus_greatest: float) -> float:
    """The lesser of two limits, each 0 for none."""
    return min(cpus or cpus_greatest, cpus_greatest or cpus)


def quota(cpus: float) -> int:
    """`cpu.cfs_quota_us` for so many processors; -1 is no limit."""
    return max(CPU_QUOTA_MICROSECONDS_MIN, int(cpus * CPU_PERIOD_MICROSECONDS)) if cpus else -1


def host_of(machine: Host, own: Mapping[str, str]) -> Host:
    """What there is to share below the groups `own`: what the machine has, or less where they are limited."""
    memory = control.keyed(f"{own['memory']}/memory.stat")["hierarchical_memory_limit"]
    cpus = machine.cpus
    for folder in control.above(own["cpu"], "cpu.cfs_quota_us"):
        allowed = control.number(f"{folder}/cpu.cfs_quota_us") / control.number(f"{folder}/cpu.cfs_period_us")
        cpus = min(cpus, allowed) if allowed > 0 else cpus
    return Host(min(memory, machine.memory_bytes), cpus)
