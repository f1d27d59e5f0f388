"""What this host knows of an instance's end besides its exit status: a plain value, read before its cgroup is gone."""

from __future__ import annotations

from dataclasses import dataclass, field

from steadyd.linux.group import Sample, Toll
from steadyd.model import Asked, Limits, Reached


@dataclass(frozen=True, slots=True)
class Evidence:
    """Numbers are of this instance's life."""

    killed_for: str = ""
    """Why the daemon itself killed it: memory, processes, disk or stop_timeout; "" if it did not."""
    memory_kills: int = 0
    """Times that the kernel killed a process of its cgroup for want of memory."""
    reached: Reached = field(default_factory=Reached)
    in_flight: int = 0
    """Requests that the end cut."""
    asked: tuple[Asked, ...] = ()
    """Some of them."""
    why: str = ""
    """More about what it was killed for, in a sentence."""


def reached_by(sample: Sample, toll: Toll, limits: Limits, disk_bytes: int | None = None) -> Reached:
    """The numbers of a death card from those of a cgroup that was made for this instance. No limit is None there."""
    return Reached(
        memory_peak_bytes=sample.memory_peak_bytes,
        memory_limit_bytes=limits.memory_bytes or None,
        memory_refusals=toll.memory_refusals,
        processes=sample.processes,
        processes_limit=limits.processes or None,
        process_refusals=toll.process_refusals,
        disk_bytes=disk_bytes,
        disk_limit_bytes=limits.disk_bytes or None,
        throttled_periods=toll.throttled_periods,
        throttled_seconds=round(sample.throttled_seconds, 3),
    )
