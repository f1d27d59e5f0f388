"""The outgoing door: one HTTPS POST to an address that a stranger may have chosen, and never into a private network.

The name is looked up once; every address it has must be public, and the connection goes to one of those, so a name that
changes its mind between check and use (DNS rebinding) gains nothing. No redirect is followed, no proxy is used, and of
the answer only the status is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from steadyd.webhook import Webhook

RESOLVE_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 15.0
"""For the whole of connecting, TLS, sending and the answer's head."""
ANSWER_BYTES_MAX = 16 << 10
IPV6_PUBLIC = ipaddress.ip_network("2000::/3")
IPV6_EMBEDDING = tuple(ipaddress.ip_network(text) for text in ("2001::/32", "2002::/16"))
"""Teredo and 6to4: public IPv6 addresses that mean an IPv4 address, maybe a private one (RFC 4380, RFC 3056)."""
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: |\r)")

Resolve = Callable[[str, int], Awaitable[list[str]]]


class Undelivered(Exception):
    """Why a message did not arrive, in a few words. `final`: the same message will not arrive later either."""

    def __init__(self, reason: str, final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final


def is_public(address: str) -> bool:
    """Whether a message may go to this IP address: global unicast, and not a way to a private one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return is_public(str(parsed.ipv4_mapped))
        if parsed not in IPV6_PUBLIC or any(parsed in network for network in IPV6_EMBEDDING):
            return False
    return parsed.is_global and not parsed.is_multicast


async def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of `host` by the system's resolver, off the loop.

    Raises:
        OSError: it has none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Post:
    """Sends messages. What it may reach and whom it trusts are given at construction, by nothing else."""

    def __init__(
        self,
        allowed: Callable[[str], bool] = is_public,
        trust: ssl.SSLContext | None = None,
        lookup: Resolve = resolve,
    ) -> None:
        self._allowed = allowed
        self._trust = trust
        self._lookup = lookup

    async def send(self, to: Webhook, headers: Mapping[str, str], body: bytes) -> int:
        """POST `body`; returns the status, which is 2xx.

        Raises:
            Undelivered: it was not taken.
        """
        address = await self._address(to)
        head = _head(to, headers, len(body))
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                status = await self._exchange(address, to, head + body)
        except TimeoutError:
            raise Undelivered(f"{to.host} did not answer within {ANSWER_SECONDS_MAX:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise Undelivered(f"the certificate of {to.host} is not valid: {error.verify_message}") from None
        except ssl.SSLError:
            raise Undelivered(f"{to.host} does not speak TLS as it should") from None
        except OSError:
            raise Undelivered(f"no connection to {to.host} on port {to.port}") from None
        if not 200 <= status < 300:
            moved = ", which is not followed" if 300 <= status < 400 else ""
            final = 300 <= status < 500 and status not in (408, 425, 429)
            raise Undelivered(f"{to.host} answered {status}{moved}", final)
        return status

    # Private

    async def _address(self, to: Webhook) -> str:
        """One address of the host, after all of them were found to be allowed."""
        try:
            async with asyncio.timeout(RESOLVE_SECONDS_MAX):
                addresses = await self._lookup(to.host, to.port)
        except TimeoutError:
            raise Undelivered(f"the name {to.host} was not found within {RESOLVE_SECONDS_MAX:g} s") from None
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise Undelivered(f"there is no host called {to.host}")
        if not all(self._allowed(address) for address in addresses):
            raise Undelivered(f"{to.host} is not on the public internet; notices go nowhere else", final=True)
        return addresses[0]

    async def _exchange(self, address: str, to: Webhook, message: bytes) -> int:
        trust = self._trust or await asyncio.to_thread(ssl.create_default_context)  # it reads a file
        connect = partial(asyncio.open_connection, address, to.port, ssl=trust, server_hostname=to.host)
        reader, writer = await connect(limit=ANSWER_BYTES_MAX)
        try:
            writer.write(message)
            await writer.drain()
            return await _status(reader, to)
        finally:
            writer.transport.abort()  # the rest of the answer is nobody's business
            with contextlib.suppress(OSError):
                await writer.wait_closed()


# Private


def _head(to: Webhook, headers: Mapping[str, str], length: int) -> bytes:
    fields = {
        "Host": to.authority,
        "User-Agent": "steadyd",
        "Accept": "*/*",
        **headers,
        "Content-Length": str(length),
        "Connection": "close",
    }
    lines = [f"POST {to.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("ascii")


async def _status(reader: asyncio.StreamReader, to: Webhook) -> int:
    """The status of the first answer that is not an interim one."""
    try:
        while True:
            match = STATUS_LINE.match(await reader.readuntil(b"\r\n\r\n"))
            if match is None:
                break
            if not match[1].startswith(b"1"):
                return int(match[1])
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    raise Undelivered(f"{to.host} did not answer as a web server does")
