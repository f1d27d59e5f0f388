"""The three classes of groups and what each may use together: a stranger's app never costs an account's its turn.

No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from steadyd.linux.group import Caps, Tier

ACCOUNTS_CPU_WEIGHT = 1_000
GUESTS_CPU_WEIGHT = 100
BUILDS_CPU_WEIGHT = 200

GUESTS_MEMORY_SHARE_MAX = 0.25
GUESTS_CPU_SHARE_MAX = 0.5
GUESTS_PROCESSES_MAX = 8_192
"""Of all guests together: a hello Bun has about 12 threads, most of them asleep."""

BUILDS_MEMORY_SHARE_MAX = 0.25
BUILDS_CPU_SHARE_MAX = 0.5
BUILDS_PROCESSES_MAX = 2_048


@dataclass(frozen=True, slots=True)
class Host:
    """What there is to share: the machine's, or less where the daemon itself is limited."""

    memory_bytes: int
    cpus: float


def ceilings(host: Host) -> Mapping[Tier, Caps]:
    """What each tier may use. Accounts have no ceiling: their owners' own limits are theirs."""
    return {
        "accounts": Caps(0, 0, 0, ACCOUNTS_CPU_WEIGHT),
        "guests": Caps(
            int(host.memory_bytes * GUESTS_MEMORY_SHARE_MAX),
            host.cpus * GUESTS_CPU_SHARE_MAX,
            GUESTS_PROCESSES_MAX,
            GUESTS_CPU_WEIGHT,
        ),
        "builds": Caps(
            int(host.memory_bytes * BUILDS_MEMORY_SHARE_MAX),
            host.cpus * BUILDS_CPU_SHARE_MAX,
            BUILDS_PROCESSES_MAX,
            BUILDS_CPU_WEIGHT,
        ),
    }
