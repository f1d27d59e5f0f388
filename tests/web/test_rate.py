"""So many creations an hour for one address, in bounded memory."""

from __future__ import annotations

import pytest

from steadyd.errors import SteadyError
from steadyd.web.rate import ADDRESSES_MAX, WINDOW_SECONDS, RateLimit, bucket


def test_the_window_slides() -> None:
    limit = RateLimit(2, "tests")
    limit.take("192.0.2.1", 0.0)
    limit.take("192.0.2.1", 100.0)
    with pytest.raises(SteadyError) as caught:
        limit.take("192.0.2.1", 200.0)
    assert (caught.value.code, caught.value.retry_after) == ("rate_limited", 3_400)
    limit.take("192.0.2.2", 200.0)
    limit.take("192.0.2.1", WINDOW_SECONDS + 1)
    with pytest.raises(SteadyError):
        limit.take("192.0.2.1", WINDOW_SECONDS + 2)


def test_loopback_is_free_and_zero_switches_off() -> None:
    limit = RateLimit(1, "tests")
    for _ in range(10):
        for address in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1"):
            limit.take(address, 0.0)
        RateLimit(0, "tests").take("192.0.2.1", 0.0)
    assert len(limit) == 0


def test_a_customer_is_one_address() -> None:
    assert bucket("2001:db8:1:2:3::1") == bucket("2001:db8:1:2:ffff::9%eth0") == "2001:db8:1:2::/64"
    assert bucket("::ffff:192.0.2.1") == bucket("192.0.2.1")
    assert bucket("") == bucket("nonsense") == "unknown"


def test_a_crowd_is_forgotten_from_its_quiet_end() -> None:
    limit = RateLimit(1, "tests")
    limit.take("192.0.2.1", 0.0)
    for number in range(ADDRESSES_MAX):
        limit.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1.0)
    assert len(limit) == ADDRESSES_MAX
    limit.take("192.0.2.1", 2.0)
    with pytest.raises(SteadyError):
        limit.take("10.0.39.15", 2.0)
