"""How often one client address may do something that costs: at most so many times an hour."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict, deque

from steadyd.errors import SteadyError

WINDOW_SECONDS = 3_600.0
ADDRESSES_MAX = 10_000
"""Addresses remembered; past it the one that was quiet for longest is forgotten."""
IPV6_PREFIX_BITS = 64
"""One IPv6 customer has at least a /64, so the whole prefix counts as one address."""


class RateLimit:
    """A sliding window per client address. Loopback is free: it is the person at the machine."""

    def __init__(self, per_hour: int, what: str) -> None:
        self._per_hour = per_hour
        self._what = what
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    def take(self, address: str, now: float) -> None:
        """Count one use by `address` at `now` (seconds).

        Raises:
            SteadyError: `rate_limited`, with the seconds until the next use is allowed.
        """
        key = bucket(address)
        if not key or self._per_hour == 0:
            return
        times = self._times.setdefault(key, deque())
        self._times.move_to_end(key)
        while times and times[0] <= now - WINDOW_SECONDS:
            times.popleft()
        if len(times) >= self._per_hour:
            wait = max(1, math.ceil(times[0] + WINDOW_SECONDS - now))
            raise SteadyError(
                "rate_limited", f"{self._per_hour} {self._what} per hour and address. Try again in {wait} s.",
                {"limit": self._per_hour, "window_seconds": int(WINDOW_SECONDS)}, retry_after=wait,
            )  # fmt: skip
        times.append(now)
        if len(self._times) > ADDRESSES_MAX:
            self._times.popitem(last=False)


def bucket(address: str) -> str:
    """What counts as one address; "" for loopback. Text that is no address is a bucket of its own."""
    try:
        parsed = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    if parsed.is_loopback:
        return ""
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, IPV6_PREFIX_BITS), strict=False))
    return str(parsed)
