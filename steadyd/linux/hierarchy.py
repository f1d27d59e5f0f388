"""Where control groups are mounted, and in which of them a process is: cgroups(7), proc(5).

No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

NEEDED_V1 = ("pids", "memory", "cpu", "cpuacct")
"""In the order in which a child joins: one that has joined anything is found in `pids`."""
NEEDED_V2 = ("memory", "cpu", "pids")
WANTED = {1: "blkio", 2: "io"}
"""Weights and counters of disks, by version; not everywhere."""

ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One hierarchy. `root` is what of it is mounted at `path`: less than everything in a container."""

    path: str
    root: str
    version: int
    controllers: frozenset[str]
    """Of v1; v2 names its own in `cgroup.controllers`."""

    def folder(self, place: str) -> str:
        """Where the group `place`, as /proc/PID/cgroup names it, is found. The mount itself if it lies outside."""
        below = place.removeprefix(self.root.rstrip("/"))
        if (below == place and self.root != "/") or "/.." in below:
            below = ""
        return (self.path + "/" + below.strip("/")).rstrip("/")


def mounts(mountinfo: str) -> list[Mount]:
    """The hierarchies in the text of /proc/self/mountinfo."""
    found = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            root, path = (ESCAPE.sub(lambda match: chr(int(match[1], 8)), text) for text in left.split()[3:5])
            found.append(Mount(path, root, 2 if kind == "cgroup2" else 1, frozenset(options.split(","))))
    return found


def places(cgroup: str) -> Mapping[str, str]:
    """Controller → group, from the text of /proc/self/cgroup; the one of v2 under the empty name."""
    found: dict[str, str] = {}
    for line in cgroup.splitlines():
        _, controllers, place = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), place)
    return found


def own_folders(found: Iterable[Mount], where: Mapping[str, str]) -> Mapping[str, str]:
    """v1 controller → the folder of the group we are in, for those that steadyd uses and the machine has."""
    return {
        controller: mount.folder(where[controller])
        for controller in (*NEEDED_V1, WANTED[1])
        for mount in found
        if mount.version == 1 and controller in mount.controllers and controller in where
    }


def unified(found: Iterable[Mount]) -> Mount | None:
    """The hierarchy of version 2, if it is mounted."""
    return next((mount for mount in found if mount.version == 2), None)
