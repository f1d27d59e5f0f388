"""Which captures stay: every one of the last hours, then fewer the older they are, until their moment is out of reach.
No I/O.

What a restore point needs stays with the point, whatever becomes of the capture.
"""

from __future__ import annotations

from collections.abc import Sequence

from steadyd.moment import Capture

HOUR_SECONDS = 3_600.0
STEPS = ((6 * HOUR_SECONDS, 0.0), (72 * HOUR_SECONDS, HOUR_SECONDS), (float("inf"), 6 * HOUR_SECONDS))
"""Up to this age (seconds), one in each stretch of so many seconds; 0: all."""

Stretch = tuple[float, float]


def superfluous(captures: Sequence[Capture], now: float, window: float) -> list[int]:
    """Ids of those of one app, the newest first, that can go at `now` (seconds since 1970).

    Of each stretch the last one stays, and so does the last one before the `window` (seconds; 0: there is none): it was
    true when the window began.
    """
    taken: set[Stretch] = set()
    gone = []
    for capture in captures:
        stretch = _stretch(capture, now, window)
        if stretch in taken:
            gone.append(capture.id)
        taken.add(stretch)
    return gone


# Private


def _stretch(capture: Capture, now: float, window: float) -> Stretch:
    age = now - capture.at
    if 0 < window < age:
        return -1.0, 0.0
    width = next(width for limit, width in STEPS if age <= limit)
    return (width, capture.at // width) if width else (0.0, float(capture.id))
