"""What an app may reach on the network, as values and decisions. The packet filter is made from the same table."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.model import Network

REFUSED = (
    ("0.0.0.0/8", "this host"),
    ("10.0.0.0/8", "a private network"),
    ("100.64.0.0/10", "a carrier's private network"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "a cloud's metadata service"),
    ("169.254.0.0/16", "link-local, where clouds keep their metadata service"),
    ("172.16.0.0/12", "a private network"),
    ("192.0.0.0/24", "reserved"),
    ("192.88.99.0/24", "reserved"),
    ("192.168.0.0/16", "a private network"),
    ("198.18.0.0/15", "other apps"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
"""IANA's special-purpose addresses (RFC 6890) that lead somewhere, and Azure's wire server."""
MAIL_PORTS = (25, 465, 587)
GUEST_PORTS = (80, 443)
HOST = "host"
"""The name, in an app, of this machine's loopback: where the operator opened a port of it."""

HOST_ADDRESS = "127.0.0.3"
"""What that name means there."""

INTERNAL = "internal"
"""Apps of one owner reach each other as `http://NAME.internal/` (a name that is nobody else's: ICANN, 2024)."""
DOOR_ADDRESS, DOOR_PORT = "198.19.255.80", 80
"""What these names mean on a private network."""

ONLY_IPV4 = "apps reach IPv4 addresses only"

_REFUSED = tuple((ipaddress.IPv4Network(network), what) for network, what in REFUSED)


@dataclass(frozen=True, slots=True)
class Target:
    """One TCP port that the operator opened to an app: of an IPv4 address, or of `host`."""

    address: str
    port: int

    @property
    def is_host(self) -> bool:
        return self.address == HOST

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Reach:
    """What one instance may reach."""

    network: Network = Network.INTERNET
    owner: str = ""
    """The owner's id: whose apps `private` means, and whose daily amount is used up."""
    guest: bool = False
    tried: bool = False
    """It is a candidate's: it reaches nothing, and what it asks for can be seen."""


def parse_target(text: str) -> Target:
    """`10.0.0.5:5432` or `host:11434`.

    Raises:
        SteadyError: `invalid` for anything else; names are not taken, since what they mean can change.
    """
    address, _, port = text.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
    try:
        if address != HOST:
            address = str(ipaddress.IPv4Address(address))
    except ValueError:
        number = 0
    if not 0 < number <= 65_535:
        message = f"“{text}” is no target. Write an IPv4 address and a port, such as 10.0.0.5:5432, or host:11434."
        raise SteadyError("invalid", message)
    return Target(address, number)


def refusal_of_all(addresses: Iterable[str], port: int) -> str:
    """The same for a name that has several addresses: refused if all are, for the first reason that is about IPv4."""
    reasons = [refusal(address, port) for address in addresses]
    if not all(reasons):
        return ""
    return next((reason for reason in reasons if reason != ONLY_IPV4), ONLY_IPV4 if reasons else "")


def refusal(address: str, port: int) -> str:
    """Why an app on the internet is refused `port` of `address` (a literal), as a clause; "" if it is not."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return ONLY_IPV4
        found = found.ipv4_mapped
    for network, what in _REFUSED:
        if found in network:
            return f"{network} is {what}"
    return "mail ports are closed" if port in MAIL_PORTS else ""
