"""A web server with TLS on loopback that takes notices, and a door that may reach it and nothing else.

What production refuses (a loopback address, an unknown certificate) is allowed at construction only.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from steadyd.post import Post

CERTIFICATE = Path(__file__).parent / "certificates" / "notify.example.pem"
"""Made for these tests, for this host, and trusted by nobody else."""
HOST = "notify.example"
TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Receiver:
    """Answers `answers` in turn, the last one again and again. `taken` are (head, body) as they came."""

    answers: list[bytes] = field(default_factory=lambda: [TAKEN])
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    hold: asyncio.Event | None = None
    """If set, nobody is answered before this."""
    waiting: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}/hook"

    async def lookup(self, host: str, port: int) -> list[str]:
        """The only name that there is."""
        if host != HOST:
            raise OSError("no such name")
        return ["127.0.0.1"]

    def post(self) -> Post:
        return Post(lambda address: address == "127.0.0.1", ssl.create_default_context(cafile=CERTIFICATE), self.lookup)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
            self.taken.append((head, await reader.readexactly(length)))
            if self.hold is not None:
                self.waiting += 1
                await self.hold.wait()
                self.waiting -= 1
            answer = self.answers[min(len(self.taken), len(self.answers)) - 1]
            writer.write(answer)
            await writer.drain()
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def receiver(handler: Handler | None = None) -> AsyncIterator[Receiver]:
    made = Receiver()
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trust.load_cert_chain(CERTIFICATE)
    server = await asyncio.start_server(handler or made.connected, "127.0.0.1", 0, ssl=trust)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        if made.hold is not None:
            made.hold.set()
        server.close()
