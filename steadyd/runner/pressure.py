"""Memory pressure: when this host runs short, which resting apps end their process. A decision without I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LOW_SHARE = 0.06
"""Of the host's memory; less than this available is pressure."""
LOW_BYTES_MAX = 1 << 30
"""On a large host this much is enough."""
STOPS_MAX = 8
"""Apps that are stopped at one look; the next comes a second later, and sees what that brought."""


@dataclass(frozen=True, slots=True)
class Resting:
    """An app on which no request holds a claim. `last_used` is monotonic seconds."""

    app_id: str
    last_used: float
    frozen: bool


def is_short(available_bytes: int, total_bytes: int) -> bool:
    """Whether the host is short of memory."""
    return available_bytes < min(total_bytes * LOW_SHARE, LOW_BYTES_MAX)


def to_stop(available_bytes: int, total_bytes: int, resting: Iterable[Resting]) -> list[str]:
    """The apps to put to sleep now: frozen ones first, in each kind those longest unused first."""
    if not is_short(available_bytes, total_bytes):
        return []
    ordered = sorted(resting, key=lambda app: (not app.frozen, app.last_used))
    return [app.app_id for app in ordered[:STOPS_MAX]]
