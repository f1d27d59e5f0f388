from __future__ import annotations

import pytest

from steadyd.errors import SteadyError
from steadyd.reach import ONLY_IPV4, Target, parse_target, refusal, refusal_of_all


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("10.255.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.0.1", "private"),
        ("100.127.0.1", "carrier"),
        ("169.254.169.254", "link-local"),
        ("168.63.129.16", "metadata"),
        ("198.18.0.1", "other apps"),
        ("224.0.0.251", "multicast"),
        ("255.255.255.255", "reserved"),
        ("0.0.0.0", "this host"),
        ("::ffff:10.0.0.1", "private"),
        ("::1", "IPv4 addresses only"),
        ("2606:4700::1111", "IPv4 addresses only"),
        ("fe80::1%eth0", "IPv4 addresses only"),
    ],
)
def test_what_leads_inward_is_refused_and_named(address: str, why: str) -> None:
    assert why in refusal(address, 443)


@pytest.mark.parametrize("address", ["1.1.1.1", "172.32.0.1", "100.128.0.1", "198.20.0.1", "::ffff:8.8.8.8"])
def test_the_public_internet_is_not(address: str) -> None:
    assert refusal(address, 443) == ""


def test_mail_ports_are_closed() -> None:
    assert [refusal("1.1.1.1", port) for port in (25, 465, 587)] == ["mail ports are closed"] * 3


def test_a_name_is_judged_by_its_addresses_later() -> None:
    assert refusal("example.com", 80) == ""


def test_a_target_is_an_address_or_the_host_with_a_port() -> None:
    assert parse_target("10.0.0.5:5432") == Target("10.0.0.5", 5432)
    assert parse_target("host:11434").is_host
    assert str(parse_target("10.0.0.5:5432")) == "10.0.0.5:5432"


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0.5", "10.0.0.5:", "10.0.0.5:0", "10.0.0.5:65536", "db:5432", "[::1]:80", "10.0.0.5:٣", "010.0.0.5:80"],
)
def test_anything_else_is_not(text: str) -> None:
    with pytest.raises(SteadyError, match=r"Write an IPv4 address and a port") as caught:
        parse_target(text)
    assert caught.value.code == "invalid"


def test_a_name_is_refused_if_all_its_addresses_are() -> None:
    assert refusal_of_all(["1.1.1.1", "2606:4700::1111"], 443) == ""
    assert "loopback" in refusal_of_all(["::1", "127.0.0.1"], 5432)
    assert refusal_of_all(["2606:4700::1111"], 443) == ONLY_IPV4
    assert refusal_of_all([], 443) == "", "a name that means nothing fails by itself"
