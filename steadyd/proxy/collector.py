"""The garbage collector's policy for a process that serves requests.

Requests leave no cycles behind, so reference counts free them; a full collection only walks what will never go away,
and stops the loop meanwhile (65 to 125 ms were measured in a process that had run for a while).
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS_MAX = 50_000
"""Net new objects before a young collection; Python's default is 700."""
YOUNG_PER_MIDDLE = 20
MIDDLE_PER_FULL = 100


def settle_collector() -> None:
    """Call once, after start-up: what exists now is never walked again, and collections become rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX, YOUNG_PER_MIDDLE, MIDDLE_PER_FULL)
