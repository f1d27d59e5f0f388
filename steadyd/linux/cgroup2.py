"""Control groups of version 2: one folder makes one group.

Documentation/admin-guide/cgroup-v2 of the kernel. Whoever has groups below it has no processes: so a daemon that was
given its own group moves into a leaf of it first.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable

from steadyd.linux import control
from steadyd.linux.group import Caps, Group, Sample, Toll, still_there, unable_to_shrink
from steadyd.linux.hierarchy import NEEDED_V2, WANTED
from steadyd.linux.pressure import Reading, Watch
from steadyd.linux.site import DAEMON, Site
from steadyd.linux.tiers import Host

CPU_PERIOD_MICROSECONDS = 100_000
CPU_QUOTA_MICROSECONDS_MIN = 1_000
"""The kernel refuses less, which is a hundredth of a processor."""
BFQ_WEIGHT_GREATEST = 1_000
DAEMON_CPU_WEIGHT = 2_000
"""It moves every byte of every app: twice what all accounts together weigh."""


class Group2:
    """One group, in `folder`."""

    def __init__(self, name: str, folder: str) -> None:
        self.name = name
        self.folder = folder
        self.join: tuple[str, ...] = (f"{folder}/cgroup.procs",)
        self.leaving: list[Group] = []
        """Of it and all below: to be removed, and not yet empty."""
        self._has_children = False
        self._peak_bytes = 0
        self._watch: Watch | None = None

    def child(self, name: str, folder: str) -> Group2:
        """A group `name` below this one, in a folder of the name `folder`. Raises OSError."""
        if not self._has_children:
            self._has_children = True
            self.share()
            control.write_where_there(self.file("memory.oom.group"), 0)  # one of them is killed, and not all
        group = Group2(name, f"{self.folder}/{folder}")
        group.leaving = self.leaving
        os.mkdir(group.folder)
        control.write_where_there(group.file("memory.swap.max"), 0)
        control.write(group.file("memory.oom.group"), 1)
        return group

    def share(self) -> None:
        """Have groups below it with limits of their own. Raises OSError."""
        control.write(self.file("cgroup.subtree_control"), _listed("+", self.folder))

    def cap(self, caps: Caps) -> None:
        with still_there(self.name):
            self._cap(caps)

    def sample(self) -> Sample:
        cpu = self._keyed("cpu.stat")
        memory = self._number("memory.current")
        read, written = transferred(self._text_where_there("io.stat"))
        return Sample(
            memory_bytes=memory,
            memory_peak_bytes=self._peak(memory),
            cpu_seconds=cpu["usage_usec"] / 1e6,
            throttled_seconds=cpu["throttled_usec"] / 1e6,
            processes=self._number("pids.current"),
            read_bytes=read,
            written_bytes=written,
        )

    def toll(self) -> Toll:
        memory = self._keyed("memory.events")
        return Toll(
            memory_kills=memory["oom_kill"],
            memory_refusals=memory["max"],
            process_refusals=self._keyed("pids.events")["max"],
            throttled_periods=self._keyed("cpu.stat")["nr_throttled"],
        )

    def pids(self) -> list[int]:
        return control.members(self.folder)

    def freeze(self) -> None:
        control.write_where_there(self.file("cgroup.freeze"), 1)

    def thaw(self) -> None:
        control.write_where_there(self.file("cgroup.freeze"), 0)

    def kill(self) -> None:
        control.kill(self.folder)

    def watch_memory(self, starving: Callable[[], None]) -> None:
        self._unwatch()
        self._watch = Watch(MemoryEvents(self.file("memory.events")), self._reading, starving)

    def remove(self) -> None:
        self._unwatch()
        if not control.remove(self.folder):
            self.leaving.append(self)

    def file(self, name: str) -> str:
        """The path of one of its control files."""
        return f"{self.folder}/{name}"

    # Private

    def _cap(self, caps: Caps) -> None:
        if caps.memory_bytes and (held := self._reading().held_bytes) > caps.memory_bytes:
            raise unable_to_shrink(self.name, held, caps.memory_bytes)
        control.write(self.file("memory.max"), caps.memory_bytes or "max")
        control.write(self.file("cpu.max"), f"{quota(caps.cpus)} {CPU_PERIOD_MICROSECONDS}")
        control.write(self.file("cpu.weight"), caps.cpu_weight)
        control.write(self.file("pids.max"), caps.processes or "max")
        control.write_where_there(self.file("io.weight"), f"default {caps.cpu_weight}")
        control.write_where_there(self.file("io.bfq.weight"), f"default {min(caps.cpu_weight, BFQ_WEIGHT_GREATEST)}")

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.close()

    def _reading(self) -> Reading:
        stat = self._keyed("memory.stat")
        cache = stat["inactive_file"] + stat["active_file"]
        return Reading(
            at=time.monotonic(),
            limit_bytes=self._number("memory.max"),
            held_bytes=self._number("memory.current") - cache,
            cache_bytes=cache,
            kills=self._keyed("memory.events")["oom_kill"],
            major_faults=stat["pgmajfault"],
            refaults=stat.get("workingset_refault_file", 0),
        )

    def _peak(self, memory_bytes: int) -> int:
        """Linux 5.19 keeps it; before that, what was seen counts."""
        try:
            return self._number("memory.peak")
        except FileNotFoundError:
            self._peak_bytes = max(self._peak_bytes, memory_bytes)
            return self._peak_bytes

    def _text_where_there(self, name: str) -> str:
        try:
            return control.read(self.file(name))
        except FileNotFoundError:
            return ""

    def _number(self, name: str) -> int:
        return control.number(self.file(name))

    def _keyed(self, name: str) -> dict[str, int]:
        return control.keyed(self.file(name))


class Base2(Group2):
    """The group below which all of a daemon's are, made at `site`."""

    def __init__(self, name: str, site: Site) -> None:
        super().__init__(name, f"{site.folder}/{name}")
        self._site = site
        self._daemon = f"{self.folder}/{DAEMON}"
        self._inside = site.inside

    def prepare(self) -> None:
        """Make it, with nothing in it but the daemon itself if it has to be there. Raises OSError, SteadyError."""
        self.clear()
        os.makedirs(self.folder, exist_ok=True)
        if self._site.moves:
            os.mkdir(self._daemon)
            self._inside = True
        for pid in self._site.moves:
            with contextlib.suppress(ProcessLookupError):
                control.write(f"{self._daemon}/cgroup.procs", pid)
        Group2(self.name, self._site.folder).share()
        self.share()
        if self._inside:
            control.write(f"{self._daemon}/cpu.weight", DAEMON_CPU_WEIGHT)

    def clear(self) -> None:
        """Kill and remove everything in it, and it; where the daemon itself is in it, all the rest."""
        if self._inside:
            control.clear([entry.path for entry in os.scandir(self.folder) if entry.is_dir() and entry.name != DAEMON])
        else:
            control.clear([self.folder])

    def leave(self) -> None:
        """Undo `prepare`, so that whoever runs in the site afterwards finds it as it was."""
        if not self._inside:
            return
        with contextlib.suppress(OSError):  # somebody has groups of their own beside ours: then we stay in our leaf
            for folder in (self.folder, self._site.folder):
                control.write(f"{folder}/cgroup.subtree_control", _listed("-", folder))
            for pid in control.members(self._daemon):
                control.write(f"{self._site.folder}/cgroup.procs", pid)
            self._inside = False
            self.clear()


class MemoryEvents:
    """An epoll(7) that is readable once the kernel says that `memory.events` is new: usage was held at the limit, or
    something was killed. Asked directly, the file would always be readable."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(self._file, select.EPOLLPRI)
        self.descriptor = self._epoll.fileno()
        self.clear()

    def clear(self) -> None:
        with contextlib.suppress(OSError):  # the group is gone, as the next reading will find
            os.pread(self._file, 4_096, 0)

    def close(self) -> None:
        self._epoll.close()
        os.close(self._file)


def quota(cpus: float) -> int | str:
    """The first word of `cpu.max` for so many processors."""
    return max(CPU_QUOTA_MICROSECONDS_MIN, int(cpus * CPU_PERIOD_MICROSECONDS)) if cpus else "max"


def transferred(io_stat: str) -> tuple[int, int]:
    """Bytes read and written, of all disks, from lines of `8:0 rbytes=4096 wbytes=0 …`."""
    counts = {"rbytes": 0, "wbytes": 0}
    for word in io_stat.split():
        key, _, value = word.partition("=")
        if key in counts:
            counts[key] += int(value)
    return counts["rbytes"], counts["wbytes"]


def host_of(machine: Host, own: str) -> Host:
    """What there is to share below the group `own`: what the machine has, or less where it is limited."""
    memory, cpus = machine.memory_bytes, machine.cpus
    for folder in control.above(own, "memory.max"):
        memory = min(memory, control.number(f"{folder}/memory.max") or memory)
    for folder in control.above(own, "cpu.max"):
        allowed, period = control.read(f"{folder}/cpu.max").split()
        cpus = min(cpus, int(allowed) / int(period)) if allowed != "max" else cpus
    return Host(memory, cpus)


# Private


def _listed(sign: str, folder: str) -> str:
    """What of the controllers there is for the groups below `folder`, each with `sign`: `+cpu +memory`."""
    there = control.read(f"{folder}/cgroup.controllers").split()
    return " ".join(sign + controller for controller in (*NEEDED_V2, WANTED[2]) if controller in there)
