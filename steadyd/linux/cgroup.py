"""Control groups of whichever version this machine has, behind one small interface (`group`).

Below the group that the daemon itself is in, or where it may make one, lies the base, named after the daemon; in it
the three tiers (`tiers`), each with its ceiling; in these a group for each instance and each build.
"""

from __future__ import annotations

import errno
import itertools
import os
import sys
from collections.abc import Mapping
from typing import Protocol

from steadyd.errors import SteadyError
from steadyd.linux import cgroup1, cgroup2, control
from steadyd.linux.group import Caps, Cgroups, Group, Sample, Tier, Toll
from steadyd.linux.hierarchy import NEEDED_V1, Mount, mounts, own_folders, places, unified
from steadyd.linux.site import site
from steadyd.linux.tiers import Host, ceilings

__all__ = ["Caps", "Cgroups", "Group", "Sample", "Tier", "Toll", "open_cgroups"]


def open_cgroups(name: str, host: Host | None = None) -> Cgroups:
    """The groups of the daemon `name`, which no other living daemon may have: what one of that name left is killed
    and removed. The tiers share `host`; None is all that we may use ourselves. It blocks for milliseconds.

    Raises:
        SteadyError: `cannot_start` with what is missing and the command that mends it.
    """
    if sys.platform != "linux":
        raise SteadyError("cannot_start", "Control groups are Linux's. Here, apps run without limits: steadyd run")
    found = mounts(control.read("/proc/self/mountinfo"))
    where = places(control.read("/proc/self/cgroup"))
    try:
        return _first(name, own_folders(found, where), host) or _second(name, unified(found), where[""], host)
    except OSError as error:
        raise refused(error) from error


class Branch(Group, Protocol):
    """A group that has others below it."""

    def child(self, name: str, folder: str) -> Branch: ...


class Base(Branch, Protocol):
    """The one below which all others are."""

    leaving: list[Group]

    def prepare(self) -> None: ...

    def clear(self) -> None: ...

    def leave(self) -> None: ...


class Tree:
    """The groups of one daemon: the base, its tiers, and what is made in them."""

    def __init__(self, version: int, base: Base, host: Host) -> None:
        """Raises OSError, SteadyError."""
        self.version = version
        self._base = base
        self._serial = itertools.count(1)
        base.prepare()
        self._tiers = {tier: base.child(tier, tier) for tier in ceilings(host)}
        for tier, caps in ceilings(host).items():
            self._tiers[tier].cap(caps)

    def make(self, tier: Tier, name: str) -> Group:
        """Folders have a number too: the last of that name may still be ending."""
        self._sweep()
        try:
            return self._tiers[tier].child(name, f"{name}.{next(self._serial)}")
        except OSError as error:
            raise refused(error) from error

    def close(self) -> None:
        self._base.clear()
        self._base.leave()

    # Private

    def _sweep(self) -> None:
        """Remove what was still ending when it was to be removed."""
        left = self._base.leaving[:]
        self._base.leaving.clear()
        for group in left:
            group.remove()


def refused(error: OSError) -> SteadyError:
    """The kernel's refusal to make a group, with what to do about it."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        todo = "Start steadyd as root, or give it a control group of its own: steadyd doctor --unit"
    elif error.errno == errno.ENOSPC:
        todo = "Too many groups are there already."
    else:
        todo = ""
    return SteadyError(
        "cannot_start", f"The control group {error.filename} cannot be made: {error.strerror}. {todo}".rstrip()
    )


# Private


def _first(name: str, own: Mapping[str, str], host: Host | None) -> Tree | None:
    """Version 1, where it has all controllers."""
    if not own.keys() >= set(NEEDED_V1):
        return None
    base = cgroup1.Base1(name, {controller: f"{folder}/{name}" for controller, folder in own.items()})
    return Tree(1, base, host or cgroup1.host_of(_machine(), own))


def _second(name: str, mount: Mount | None, place: str, host: Host | None) -> Tree:
    if mount is None:
        raise SteadyError(
            "cannot_start",
            f"No control groups with {', '.join(NEEDED_V1)} are mounted. With: mount -t cgroup2 none /sys/fs/cgroup",
        )
    own = mount.folder(place)
    base = cgroup2.Base2(name, site(name, own, mount.path))
    return Tree(2, base, host or cgroup2.host_of(_machine(), own))


def _machine() -> Host:
    return Host(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), len(os.sched_getaffinity(0)))
