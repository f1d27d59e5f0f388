"""The packet filter between apps and the world, as text for nft(8). No I/O.

One namespace, the router, forwards for every app. Each app's own namespace hangs on one interface of it, whose first
letter is the app's class; an app can neither change its address nor see another's packets. Only answers are let
through by connection: whatever an app sends is judged packet by packet, so a rule that changes cuts what it forbids.
"""

from __future__ import annotations

from collections.abc import Iterable

from steadyd.model import Network
from steadyd.reach import GUEST_PORTS, MAIL_PORTS, REFUSED, Reach, Target

ACCOUNT, GUEST, PRIVATE, TRIAL = "u", "g", "p", "t"
CLASSES = (ACCOUNT, GUEST, PRIVATE, TRIAL)
"""A trial's network has no interface here: it leads nowhere."""
UPLINK = "up0"
"""pasta's interface in the router."""
DNS = "198.19.255.53"
"""Where apps ask for names; pasta hands it to the host's resolver."""
TABLE = "inet steady"
NO = "goto refuse"
"""An answer, not silence: the app's connect fails at once. By a reset where it can be, since the kernel sends only so
many ICMP errors in a second (icmp(7), icmp_ratelimit)."""


def class_of(reach: Reach) -> str:
    """The class of interface for an app that has a network."""
    if reach.tried:
        return TRIAL
    if reach.network == Network.PRIVATE:
        return PRIVATE
    return GUEST if reach.guest else ACCOUNT


def ruleset(own: Iterable[str]) -> str:
    """The whole filter. `own` are the IPv4 addresses of this host, whatever range they are of."""
    refused = ", ".join(network for network, _ in REFUSED)
    return f"""
table {TABLE} {{
  set own {{ type ipv4_addr; {_elements(own)} }}
  set allowed {{ type ifname . ipv4_addr . inet_service; }}
  set spent {{ type ifname; }}
  chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct direction reply ct state established,related accept
    ct state invalid drop
    iifname "{UPLINK}" drop
    iifname . ip daddr . tcp dport @allowed accept
    iifname "{PRIVATE}*" {NO}
    iifname @spent {NO}
    ip daddr {DNS} udp dport 53 accept
    ip daddr {DNS} tcp dport 53 accept
    ip daddr {{ {refused} }} {NO}
    ip daddr @own {NO}
    tcp dport {{ {_ports(MAIL_PORTS)} }} {NO}
    iifname "{GUEST}*" tcp dport {{ {_ports(GUEST_PORTS)} }} oifname "{UPLINK}" accept
    iifname "{ACCOUNT}*" oifname "{UPLINK}" meta nfproto ipv4 accept
    {NO}
  }}
  chain input {{
    type filter hook input priority filter; policy drop;
    {NO}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    oifname "{UPLINK}" masquerade
  }}
}}
"""


def own_addresses(own: Iterable[str]) -> str:
    """Replace the host's own addresses."""
    addresses = sorted(own)
    added = f"add element {TABLE} own {{ {', '.join(addresses)} }}\n" if addresses else ""
    return f"flush set {TABLE} own\n{added}"


def allowed(interface: str, targets: Iterable[Target], verb: str = "add") -> str:
    """Open (`add`) or close (`delete`) those targets of one app that are addresses; "" if there are none."""
    found = [f'"{interface}" . {target.address} . {target.port}' for target in targets if not target.is_host]
    return f"{verb} element {TABLE} allowed {{ {', '.join(found)} }}\n" if found else ""


def spent(interfaces: Iterable[str]) -> str:
    """Replace the interfaces whose daily amount is used up."""
    names = ", ".join(f'"{name}"' for name in sorted(interfaces))
    return f"flush set {TABLE} spent\n" + (f"add element {TABLE} spent {{ {names} }}\n" if names else "")


def local_addresses(trie: str) -> set[str]:
    """The host's IPv4 addresses outside loopback, from /proc/net/fib_trie."""
    found, address = set(), ""
    for line in trie.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == "|--":
            address = words[1]
        elif words == ["/32", "host", "LOCAL"] and not address.startswith("127."):
            found.add(address)
    return found


def traffic(table: str) -> dict[str, int]:
    """Bytes that each interface has received, so what its app sent, from /proc/PID/net/dev (proc(5))."""
    found = {}
    for line in table.splitlines():
        name, colon, numbers = line.partition(":")
        if colon:
            found[name.strip()] = int(numbers.split()[0])
    return found


# Private


def _elements(addresses: Iterable[str]) -> str:
    joined = ", ".join(sorted(addresses))
    return f"elements = {{ {joined} }}" if joined else ""


def _ports(ports: Iterable[int]) -> str:
    return ", ".join(map(str, ports))
