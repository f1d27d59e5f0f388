"""What guests and builds may use together."""

from __future__ import annotations

from steadyd.linux.group import Caps
from steadyd.linux.tiers import Host, ceilings

HOST = Host(memory_bytes=16 << 30, cpus=4)


def test_guests_and_builds_share_ceilings_and_accounts_have_none() -> None:
    tiers = ceilings(HOST)
    assert tiers["accounts"] == Caps(0, 0, 0, 1_000)
    assert tiers["guests"] == Caps(4 << 30, 2, 8_192, 100)
    assert tiers["builds"] == Caps(4 << 30, 2, 2_048, 200)


def test_a_guest_weighs_a_tenth_of_an_account() -> None:
    tiers = ceilings(HOST)
    assert tiers["guests"].cpu_weight * 10 == tiers["accounts"].cpu_weight
