"""When a database whose app rests stays registered all the same: so that Litestream merges its many small files.

Litestream merges and removes files of what is registered at the moment of a tick, and of nothing else. An app that is
awake for seconds, again and again, would never meet one. No I/O.
"""

from __future__ import annotations

FILES_MAX = 200
"""Files of single syncs that a database may have when its app comes to rest."""
INTERVALS = (30.0, 300.0, 3_600.0)
"""Seconds between the ticks of each level (`litestream.LEVELS`): they are multiples of that since 1970."""
TIMES = 12
"""Each level is met once in so many stays of the one below."""
SLACK_SECONDS = 20.0
"""For what follows a tick: the merging, and the removal of what was merged (every 15 s)."""


def stay_seconds(files: int, stays: int, now: float) -> float:
    """How long one that has so many files, and has stayed so often, is to stay at `now` (seconds since 1970); 0: it can
    go."""
    if files <= FILES_MAX:
        return 0.0
    level = 2 if stays % TIMES**2 == TIMES**2 - 1 else 1 if stays % TIMES == TIMES - 1 else 0
    return INTERVALS[level] - now % INTERVALS[level] + SLACK_SECONDS
