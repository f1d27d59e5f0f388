"""Which service a request is for: one reading of the host, one table. No I/O.

A host that could be read in two ways is an error, never a guess: two readers of one request that disagree about its
host are how one app's traffic reaches another (RFC 9112 section 3.2, RFC 9110 section 7.2).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from steadyd.errors import SteadyError
from steadyd.proxy.service import Service

HOST_BYTES_MAX = 255
PORT_MAX = 65_535

_AUTHORITY = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*)\.?)(?::([0-9]*))?")
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?]*)(.*)", re.DOTALL)


def read_host(authority: bytes) -> str:
    """The normalised host of a `Host` header or of a target's authority: lower case, no port, no trailing dot.

    An IPv6 literal keeps its brackets and gets its shortest form. Raises `bad_host` for whatever is not exactly one
    host with at most a port.
    """
    match = _AUTHORITY.fullmatch(authority) if len(authority) <= HOST_BYTES_MAX else None
    if match is None:
        raise _bad_host("The Host header does not name exactly one host.")
    literal, name, port = match.groups()
    if port and int(port) > PORT_MAX:
        raise _bad_host("The port in the Host header is above 65535.")
    if name is not None:
        return str(name, "ascii").lower()
    try:
        return f"[{ipaddress.IPv6Address(str(literal, 'ascii'))}]"
    except ValueError:
        raise _bad_host("The Host header holds a malformed IPv6 address.") from None


def split_absolute(target: bytes) -> tuple[str, bytes]:
    """`http://host/path` -> (host, origin-form target). Raises `bad_host` or `bad_request`."""
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise SteadyError("bad_request", "The request target is neither a path nor an http URL.")
    authority, rest = match.groups()
    return read_host(authority), rest if rest.startswith(b"/") else b"/" + rest


def agree(target_host: str, header_host: str | None) -> str:
    """The one host of an absolute-form request; raises `bad_host` when its Host header says another."""
    if header_host is not None and header_host != target_host:
        raise _bad_host("The request target and the Host header name different hosts.")
    return target_host


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Host -> service. Never edited: a change builds a new table and replaces the reference."""

    services: Mapping[str, Service] = field(default_factory=dict)
    control: Service | None = None
    control_url: str = ""
    """Without a trailing slash, e.g. `http://localhost:8080`."""
    any_ip_is_control: bool = False
    """True while the control domain is `localhost`: there a visitor by address can mean nothing else."""
    only_control: bool = False
    """True where no app answers: whatever the host, it is the control plane."""
    moved: Mapping[str, str] = field(default_factory=dict)
    """Host that an app gave up -> the app's origin now, without a trailing slash."""
    abuse: tuple[str, str] = ("", "")
    """Whom to tell what an app does to people, as text and as a link; "" for nobody."""

    def find(self, host: str) -> Service | None:
        if self.only_control:
            return self.control
        service = self.services.get(host)
        if service is None and self.any_ip_is_control and is_ip(host):
            return self.control
        return service

    def page_of(self, service: Service | None) -> str:
        """The URL of an app's page in the control plane, at its death card; "" for what is no app, or has no page."""
        if service is None or service.owned_by_steadyd or not self.control_url:
            return ""
        return f"{self.control_url}/apps/{service.name}#death"

    @property
    def errors_url(self) -> str:
        """Where every error code has its entry; "" where there is no control plane."""
        return f"{self.control_url}/errors" if self.control_url else ""

    def redirects(self, host: str) -> bool:
        """True for a host that is the control plane only because it is an address."""
        return self.any_ip_is_control and host not in self.services and is_ip(host)


def is_ip(host: str) -> bool:
    """Whether a normalised host is an IP literal."""
    if host.startswith("["):
        return True
    if not host[-1:].isdigit():
        return False
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Whether a client address (not a host header) is this machine's own."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def unknown_host() -> SteadyError:
    """The same sentence for every host that leads nowhere: it does not tell what exists."""
    return SteadyError(
        "unknown_host",
        "Nothing is served under this host name: check how the app is called. Apps answer under the domain set by "
        "--app-domain, and the editor and the API under the one set by --control-domain.",
    )


def _bad_host(message: str) -> SteadyError:
    return SteadyError("bad_host", message)
