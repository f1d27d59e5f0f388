"""What this host carries now: memory, processors, disk, and how long work waits for them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PRESSURE = Path("/proc/pressure")
"""Pressure stall information (https://docs.kernel.org/accounting/psi.html)."""
SOME = re.compile(r"^some avg10=([0-9.]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Burden:
    """Bytes; `cpus` is how many processors there are, `load` the load averages of 1, 5 and 15 minutes. `stalled` is in
    how many percent of the last ten seconds somebody waited for `cpu`, `memory` or `io`: empty where the kernel does
    not tell."""

    memory_bytes: int
    memory_available_bytes: int
    cpus: int
    load: tuple[float, float, float]
    disk_bytes: int
    disk_free_bytes: int
    stalled: Mapping[str, float] = field(default_factory=dict)

    @property
    def memory_used_bytes(self) -> int:
        return self.memory_bytes - self.memory_available_bytes

    @property
    def disk_used_bytes(self) -> int:
        return self.disk_bytes - self.disk_free_bytes


def look(folder: Path, pressure: Path = PRESSURE) -> Burden:
    """All of it, with the disk under `folder`. Not for the event loop: a network file system lets one wait."""
    memory, told = psutil.virtual_memory(), os.statvfs(folder)
    return Burden(
        memory_bytes=memory.total,
        memory_available_bytes=memory.available,
        cpus=os.cpu_count() or 1,
        load=os.getloadavg(),
        disk_bytes=(told.f_blocks - told.f_bfree + told.f_bavail) * told.f_frsize,
        disk_free_bytes=told.f_bavail * told.f_frsize,
        stalled={name: said for name in ("cpu", "memory", "io") if (said := _stalled(pressure / name)) is not None},
    )


# Private


def _stalled(file: Path) -> float | None:
    try:
        found = SOME.search(file.read_text())
    except OSError:
        return None
    return float(found[1]) if found else None
