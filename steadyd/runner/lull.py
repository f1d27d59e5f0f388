"""A lull: the time in which nobody asks an app. What it does meanwhile is looked at here, and judged in `rest.py`."""

from __future__ import annotations

import contextlib

from steadyd.runner.instance import Instance
from steadyd.runner.rest import Patience, Pulse, Quiet, Rest, rest

TABLE_BYTES_MAX = 64 << 10
"""Of the kernel's list of connections: one of them is enough."""
PAUSED = (
    "Paused after {:g} s without a request, with a timer or a connection open: neither goes on until the next request. "
    "For work on a schedule use crons; to never pause, set “idle”: “never” (steady in package.json, or settings)."
)


class Lull:
    """One app's."""

    def __init__(self, freeze_seconds: float) -> None:
        self._freeze_seconds = freeze_seconds
        self._pulse = Pulse()
        self._told = False

    def end(self) -> None:
        """Somebody asked."""
        self._pulse.forget()

    def look(self, instance: Instance, now: float, idle_seconds: float) -> Rest:
        """What to do with an instance on which no request holds a claim. `now` is monotonic seconds."""
        patience = Patience(self._freeze_seconds, idle_seconds)
        seconds = now - instance.last_used
        quiet = Quiet(seconds, instance.frozen)
        if not instance.frozen and instance.group is not None and patience.wants_to_know(seconds):
            cores = self._pulse.cores(now, instance.consumption()[1])
            quiet = Quiet(seconds, False, cores, talks(instance))
        decided = rest(quiet, patience)
        return Rest.NONE if decided is Rest.FREEZE and instance.group is None else decided

    def pause(self, instance: Instance) -> str:
        """Freeze it. Returns what its owner should know, the first time that this stops something of the app's own."""
        busy = talks(instance) or (instance.told is not None and instance.told.timer)
        instance.freeze()
        if self._told or not busy:
            return ""
        self._told = True
        return PAUSED.format(self._freeze_seconds)


def talks(instance: Instance) -> bool:
    """Whether it has a connection to somebody outside. Its processes share one network, so one of them tells."""
    for pid in instance.group.pids()[-1:] if instance.group is not None else []:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/net/tcp") as file:
            return leads_out(file.read(TABLE_BYTES_MAX))
    return False


def leads_out(table: str) -> bool:
    """Whether a connection of /proc/PID/net/tcp (proc(5)) is open or being opened, states 01 and 02, to another
    address than a loopback one; those stand there in the kernel's byte order."""
    fields = (line.split()[2:4] for line in table.splitlines()[1:])
    return any(state in ("01", "02") and remote[6:8] != "7F" for remote, state in fields)
