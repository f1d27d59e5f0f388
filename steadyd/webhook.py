"""An address that notices are sent to: an https URL, read strictly. No I/O."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlsplit

from steadyd.errors import SteadyError

URL_CHARACTERS_MAX = 2_048
HTTPS_PORT = 443
PLAIN_LABEL = "ntfy"
"""A host whose first label is this (ntfy.sh, ntfy.example.org) is an ntfy server."""
TARGET_SAFE = "/?%:@!$&'()*+,;=~-._[]"


@dataclass(frozen=True, slots=True)
class Webhook:
    """`host` as certificates spell it, `target` the path with the query, as a request line has it."""

    host: str
    port: int
    target: str
    plain: bool
    """True for plain text with a Title header, as ntfy takes it, instead of JSON."""

    @property
    def authority(self) -> str:
        """For the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == HTTPS_PORT else f"{host}:{self.port}"


def read_webhook(url: str) -> Webhook:
    """The address that `url` means. Plain text goes to ntfy servers, and wherever the query has `format=text`.

    Raises:
        SteadyError: `invalid`, saying what is wrong, without a full stop: it ends a longer sentence.
    """
    if len(url) > URL_CHARACTERS_MAX:
        raise SteadyError("invalid", f"an address has at most {URL_CHARACTERS_MAX:,} characters")
    try:
        parts = urlsplit(url)
        host, port = _host(parts.hostname or ""), parts.port or HTTPS_PORT
    except ValueError:
        raise _no_url() from None
    if parts.scheme != "https" or not host or not url.isprintable() or "\\" in url:
        raise _no_url()
    if "@" in parts.netloc:
        raise SteadyError("invalid", "a user name or password before the host is not sent; put a token in the path")
    target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=TARGET_SAFE)
    plain = host.partition(".")[0] == PLAIN_LABEL or ("format", "text") in parse_qsl(parts.query)
    return Webhook(host, port, target, plain)


# Private


def _host(host: str) -> str:
    """In ASCII: a name by IDNA, an IPv6 address without brackets.

    Raises:
        ValueError: it is neither (UnicodeError is one).
    """
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        name = host.encode("idna").decode("ascii").rstrip(".")
    if not all(label and label.replace("-", "").replace("_", "").isalnum() for label in name.split(".")):
        raise ValueError(host)
    return name


def _no_url() -> SteadyError:
    return SteadyError("invalid", "it must be an https address, such as https://ntfy.sh/my-topic, or “” for nowhere")
