"""Where on version 2 the groups of a daemon may lie.

A group that has others below it has no processes. So a daemon in a group that was given to it alone moves into a leaf
of it first; root elsewhere takes the top; anybody else cannot.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.linux import control
from steadyd.linux.hierarchy import NEEDED_V2

DAEMON = "daemon"
"""The leaf's name."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the groups of a daemon may lie: in `folder`. `moves` are the processes there, which must leave it first;
    `inside` is whether they did before."""

    folder: str
    moves: tuple[int, ...] = ()
    inside: bool = False


def site(name: str, own: str, top: str) -> Site:
    """Choose it, being in the group `own` of the hierarchy mounted at `top`.

    Raises:
        SteadyError: `cannot_start` with the command that mends it.
    """
    if own.endswith(f"/{name}/{DAEMON}"):  # moved there before
        found = Site(os.path.dirname(os.path.dirname(own)), inside=True)
    elif delegated(own):
        found = Site(own, tuple(control.members(own)))
    elif os.geteuid() == 0:
        found = Site(top)
    else:
        raise SteadyError(
            "cannot_start",
            f"The control group {own} is not ours alone, so no limits can be set in it. "
            "Start steadyd in one of its own: systemd-run --user --scope -p Delegate=yes steadyd serve",
        )
    there = control.read(f"{found.folder}/cgroup.controllers").split()
    missing = [controller for controller in NEEDED_V2 if controller not in there]
    if missing:
        raise SteadyError(
            "cannot_start",
            f"The control group {found.folder} lacks {', '.join(missing)}. Have systemd delegate them: "
            "Delegate=cpu io memory pids in the unit, or for a user in a file in /etc/systemd/system/user@.service.d",
        )
    return found


def delegated(own: str) -> bool:
    """Whether the group that we are in is given to us: we may write in it, and all in it descends from us."""
    if not os.path.exists(f"{own}/cgroup.events"):  # the root of all
        return False
    files = (own, f"{own}/cgroup.procs", f"{own}/cgroup.subtree_control")
    return all(os.access(file, os.W_OK) for file in files) and all(map(_ours, control.members(own)))


# Private


def _ours(pid: int) -> bool:
    """Whether a process descends from us, or is us."""
    while pid > 1 and pid != os.getpid():
        try:
            pid = int(control.read(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])
        except FileNotFoundError:  # it has ended
            return True
    return pid == os.getpid()
