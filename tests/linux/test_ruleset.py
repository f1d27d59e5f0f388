"""The packet filter as text. What packets make of it is tested in tests/e2e/test_network.py."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from steadyd.linux.ruleset import allowed, class_of, local_addresses, own_addresses, ruleset, spent, traffic
from steadyd.model import Network
from steadyd.reach import REFUSED, Reach, Target

OWN = ("203.0.113.7", "10.0.0.1")
TARGETS = (Target("10.0.0.5", 5432), Target("host", 11434), Target("10.0.0.6", 80))
TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.1
              /32 host LOCAL
     +-- 192.0.2.0/24 2 0 2
           |-- 192.0.2.0
              /24 link UNICAST
           |-- 192.0.2.2
              /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
"""
DEVICES = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop
    lo:       0       0    0    0    0     0          0         0        0       0    0    0
   u12:     554       7    0    0    0     0          0         0       42       1    0    0
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nftables")
@pytest.mark.parametrize("own", [OWN, ()])
def test_the_kernel_takes_every_text(own: tuple[str, ...]) -> None:
    text = ruleset(own) + own_addresses(OWN) + own_addresses([]) + spent(["g1", "g2"]) + spent([])
    text += allowed("u1", TARGETS) + allowed("u1", TARGETS, "delete")
    done = subprocess.run(["unshare", "-n", "nft", "-f", "-"], input=text, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_nothing_passes_that_no_rule_names() -> None:
    text = ruleset(OWN)
    assert text.count("policy drop") == 2
    assert "policy accept" not in text


def test_every_refused_range_and_own_address_is_in_it_before_anything_is_let_out() -> None:
    text = ruleset(OWN)
    out = text.index('oifname "up0" accept')
    assert all(0 < text.index(network) < out for network, _ in REFUSED)
    assert all(0 < text.index(address) < out for address in OWN)
    assert text.index("@own") < out


def test_the_class_follows_from_owner_and_network() -> None:
    assert class_of(Reach()) == "u"
    assert class_of(Reach(guest=True)) == "g"
    assert class_of(Reach(Network.PRIVATE, guest=True)) == "p"


def test_targets_are_open_to_one_interface_and_the_host_s_are_none_of_the_filter_s() -> None:
    assert allowed("u7", TARGETS) == (
        'add element inet steady allowed { "u7" . 10.0.0.5 . 5432, "u7" . 10.0.0.6 . 80 }\n'
    )
    assert allowed("u7", TARGETS, "delete").startswith("delete element")
    assert allowed("u7", TARGETS[1:2]) == ""


def test_local_addresses_are_read_without_loopback() -> None:
    assert local_addresses(TRIE) == {"192.0.2.2"}
    assert local_addresses("") == set()


def test_traffic_is_what_interfaces_received() -> None:
    assert traffic(DEVICES) == {"lo": 0, "u12": 554}
    assert traffic("") == {}
