"""A control group: what it may use, what it used, and what can be done to all that runs in it.

The two kinds, `cgroup1` and `cgroup2`, keep the same promises; `cgroup` opens whichever the machine has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from steadyd.errors import SteadyError

Tier = Literal["accounts", "guests", "builds"]


@dataclass(frozen=True, slots=True)
class Caps:
    """What a group may use at most. 0 is no limit; swap is always off."""

    memory_bytes: int
    cpus: float
    """Processor seconds a second: 0.5 is half of one processor."""
    processes: int
    """Processes and threads, as the kernel counts."""
    cpu_weight: int = 100
    """Share of a busy processor, and of a busy disk where that can be had: 1 to 10,000, as cgroup v2's `cpu.weight`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a group uses, and has used since it was made. Memory includes the page cache that it filled."""

    memory_bytes: int
    memory_peak_bytes: int
    cpu_seconds: float
    throttled_seconds: float
    """How long something waited for the next period because `Caps.cpus` was used up."""
    processes: int
    read_bytes: int
    written_bytes: int
    """Of block devices; what the page cache answers costs none."""


@dataclass(frozen=True, slots=True)
class Toll:
    """What the limits did so far."""

    memory_kills: int
    """Processes that the kernel killed for want of memory; version 2 counts some of them twice."""
    memory_refusals: int
    """How often usage was held at the limit: pages had to be given up first. Not bad by itself."""
    process_refusals: int
    """Forks that failed."""
    throttled_periods: int


class Group(Protocol):
    """One group. What the kernel refuses is an OSError, as `sample` and `toll` are once it was removed."""

    name: str
    join: tuple[str, ...]
    """The files into which a starting child writes "0", in this order (`Confinement.join`)."""

    def cap(self, caps: Caps) -> None:
        """Set the limits; again while it runs, if need be.

        Raises:
            SteadyError: `conflict` if it holds more memory than it would be allowed, and the limits stay as they were;
                or if it was removed.
        """

    def sample(self) -> Sample: ...

    def toll(self) -> Toll: ...

    def pids(self) -> list[int]:
        """The processes in it; none after it was removed."""

    def freeze(self) -> None:
        """Nothing in it runs any more, until `thaw`. The kernel needs a moment, which is not waited for."""

    def thaw(self) -> None: ...

    def kill(self) -> None:
        """SIGKILL to every process, frozen ones too; none escapes by forking. For good: nothing starts in it again."""

    def watch_memory(self, starving: Callable[[], None]) -> None:
        """Call `starving`, once, on the running loop, when the group is out of memory or gets nothing done for want
        of it (`pressure`). One that merely fills its page cache is not."""

    def remove(self) -> None:
        """Once nothing runs in it. What is still ending then is removed later, with the next that is made or at
        `Cgroups.close`. Idempotent."""


class Cgroups(Protocol):
    """All groups of one daemon."""

    version: int
    """1 or 2."""

    def make(self, tier: Tier, name: str) -> Group:
        """A new group without limits of its own, below its tier's. Two of one name do not meet."""

    def close(self) -> None:
        """Kill what still runs in a group and remove them all."""


@contextmanager
def still_there(name: str) -> Iterator[None]:
    """`conflict` if the group `name` was removed, which a missing control file says."""
    try:
        yield
    except FileNotFoundError as error:
        raise SteadyError("conflict", f"{name} has ended, and its limits with it.") from error


def unable_to_shrink(name: str, held_bytes: int, limit_bytes: int) -> SteadyError:
    """`conflict`: what runs in the group `name` holds more than it would be allowed."""
    return SteadyError(
        "conflict",
        f"{name} holds {held_bytes >> 20} MiB of memory now and cannot be limited to {limit_bytes >> 20} MiB while it "
        "runs. Restart it with the new limit.",
    )
