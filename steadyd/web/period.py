"""A range of time as an address says it, and the buckets that it is counted in. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from steadyd.backup.when import At, read_when
from steadyd.errors import SteadyError
from steadyd.quantity import duration
from steadyd.records.tallies import KEPT_SECONDS, level_of

WINDOWS: Mapping[str, str] = {"1h": "last hour", "6h": "6 hours", "1d": "day", "7d": "week", "30d": "30 days"}
"""What one chooses from."""
WIDTHS = (60, 300, 900, 3_600, 7_200, 28_800)
"""Seconds of a bucket."""
BUCKETS_MAX = 120
WINDOW_SECONDS_MIN = 300.0
WINDOW_SECONDS_MAX = 30 * 86_400.0
BACK_SECONDS_MAX = 31 * 86_400.0
"""From now, to where a range may begin: numbers are kept for so long."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` to `end`, seconds since 1970, in buckets of `width` seconds. `window` is which of WINDOWS it is."""

    start: float
    end: float
    width: int
    window: str = ""

    @property
    def first(self) -> int:
        """Where the first bucket begins."""
        return int(self.start // self.width * self.width)

    @property
    def buckets(self) -> list[int]:
        """Where each begins."""
        return list(range(self.first, int(self.end) + (self.end % 1 > 0), self.width))

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def query(self) -> str:
        """It as an address says it."""
        return urlencode({"window": self.window} if self.window else between(self.start, self.end))


def between(start: float, end: float) -> dict[str, str]:
    """Two moments as an address says them."""
    return {"from": stamp(start), "to": stamp(end)}


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def read_period(said: Mapping[str, str], now: float, window: str = "1h") -> Period:
    """`window=6h`, or `from` and `to` as people say moments, without `to` until now; `window` where nothing is said.

    Raises:
        SteadyError: `invalid`, with `details` {field}.
    """
    begins, ends = said.get("from", "").strip(), said.get("to", "").strip()
    if begins:
        start, end = _moment(begins, now, "from"), _moment(ends, now, "to") if ends else now
        return period(start, end, now)
    text = said.get("window", "").strip() or window
    return period(now - parse_window(text), now, now, text if text in WINDOWS else "")


def parse_window(text: str) -> float:
    """`5m`, `1h`, `30d` as seconds.

    Raises:
        SteadyError: `invalid`.
    """
    seconds = duration(text)
    if not WINDOW_SECONDS_MIN <= seconds <= WINDOW_SECONDS_MAX:
        raise SteadyError("invalid", f"“window” is from 5m to 30d, not “{text[:40]}”.", {"field": "window"})
    return seconds


def period(start: float, end: float, now: float, window: str = "") -> Period:
    """The range with the finest buckets that it can have.

    Raises:
        SteadyError: `invalid` if it is too short, too long or too long ago.
    """
    if not WINDOW_SECONDS_MIN <= end - start <= WINDOW_SECONDS_MAX:
        raise SteadyError("invalid", "A range of time is from 5 minutes to 30 days long.", {"field": "from"})
    if start < now - BACK_SECONDS_MAX:
        raise SteadyError("invalid", "Numbers are kept for 31 days. Begin later.", {"field": "from"})
    fits = [width for width in WIDTHS if _fits(start, end, now, width)]
    return Period(start, end, fits[0] if fits else WIDTHS[-1], window)


# Private


def _fits(start: float, end: float, now: float, width: int) -> bool:
    """One more than its length has buckets, because a range may begin within one."""
    return (end - start) / width + 1 <= BUCKETS_MAX and start >= now - KEPT_SECONDS[level_of(width)]


def _moment(text: str, now: float, field: str) -> float:
    try:
        when = read_when(text, datetime.fromtimestamp(now, UTC))
    except SteadyError as error:
        raise SteadyError("invalid", error.message, {"field": field}) from None
    if not isinstance(when, At):
        raise SteadyError("invalid", f"“{text[:60]}” is no time. Write 2h ago or 2026-11-25 14:00.", {"field": field})
    return when.time
