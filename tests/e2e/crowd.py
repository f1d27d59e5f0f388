"""A crowd around one app while it changes: writers, one event stream, one WebSocket. Nobody may lose anything."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.served import Daemon, Wire

WRITERS = 16
SWAP_SECONDS_MAX = 20.0
"""For an event stream or a WebSocket to end, and to come back."""
CLOSE = 0x88
"""A whole close frame's first byte (RFC 6455 5.2)."""
SOURCE = """
import { Database } from "bun:sqlite";
import { version } from "./version";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS rows (key TEXT NOT NULL)");
const add = db.query("INSERT INTO rows VALUES (?)");
const events = () => new ReadableStream({
  async start(stream) {
    for (;;) { stream.enqueue(`data: ${version}\\n\\n`); await Bun.sleep(50); }
  },
});
Bun.serve({
  async fetch(request, server) {
    const path = new URL(request.url).pathname;
    if (request.method === "POST") { add.run(await request.text()); return new Response("kept"); }
    if (path === "/events") return new Response(events(), { headers: { "content-type": "text/event-stream" } });
    if (path === "/socket") return server.upgrade(request) ? undefined : new Response("no", { status: 400 });
    return Response.json((db.query("SELECT key FROM rows").all() as any[]).map((row) => row.key));
  },
  websocket: { open(socket) { socket.send(String(version)); }, message() {} },
});
"""
UPGRADE = (
    "GET /socket HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def files(number: int) -> dict[str, str]:
    """What changes from one version to the next."""
    return {"version.ts": f"export const version = {number};"}


@dataclass
class Crowd:
    """What happened to everybody."""

    daemon: Daemon
    name: str
    acknowledged: list[str] = field(default_factory=list)
    failures: list[object] = field(default_factory=list)
    streams: Counter[str] = field(default_factory=Counter)
    """How event streams ended: `whole` or `broken`."""
    sockets: Counter[int] = field(default_factory=Counter)
    """The close codes that WebSockets got; 0 for one that was cut."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def host(self) -> str:
        return f"{self.name}.localhost"

    async def around(self, changes: list[tuple[str, dict[str, Any]]]) -> list[int]:
        """Make API calls about the app, one after the other, with everybody about; the statuses of the calls."""
        everybody = [asyncio.create_task(self._write(number)) for number in range(WRITERS)]
        others = [asyncio.create_task(self._listen()), asyncio.create_task(self._talk())]
        statuses = []
        for path, body in changes:
            answer = await asyncio.to_thread(self.daemon.api, "POST", f"/apps/{self.name}/{path}", json=body)
            statuses.append(answer.status_code)
        self.stopping.set()
        await asyncio.gather(*everybody)
        for task in others:
            task.cancel()
        for ended in await asyncio.gather(*others, return_exceptions=True):
            if isinstance(ended, Exception):
                self.failures.append(ended)
        return statuses

    def kept(self) -> list[str]:
        """The rows that are there now."""
        return list(self.daemon.ask(self.name).json())

    def held_ms(self) -> list[float]:
        """How long each request that a swap held waited at the gate, in ms, the shortest first."""
        (path,) = (self.daemon.data / "apps").glob("*/telemetry.db")
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        found = database.execute("SELECT gate_us FROM requests WHERE gate_us > 1000 ORDER BY gate_us").fetchall()
        database.close()
        return [row[0] / 1000 for row in found]

    # Private

    async def _write(self, number: int) -> None:
        wire, count = Wire(self.daemon.port, self.host), 0
        while not self.stopping.is_set():
            key, count = f"{number}-{count}", count + 1
            try:
                status, body = await wire.ask("POST", "/", key.encode())
            except (OSError, asyncio.IncompleteReadError) as error:
                self.failures.append(error)
                wire.close()
                continue
            if status == 200:
                self.acknowledged.append(key)
            else:
                self.failures.append((status, body))
        wire.close()

    async def _listen(self) -> None:
        """One event stream after the other, each to its end."""
        while True:
            async with self._open(f"GET /events HTTP/1.1\r\nHost: {self.host}\r\n\r\n", b" 200 ") as reader:
                try:
                    while size := int((await reader.readline()).strip() or b"-1", 16):
                        await reader.readexactly(size + 2)
                    self.streams["whole"] += 1
                except (ValueError, asyncio.IncompleteReadError, OSError):
                    self.streams["broken"] += 1

    async def _talk(self) -> None:
        """One WebSocket after the other, each until the server closes it."""
        while True:
            async with self._open(UPGRADE.format(host=self.host), b" 101 ") as reader:
                try:
                    kind = 0
                    while kind != CLOSE:
                        kind, length = await reader.readexactly(2)
                        content = await reader.readexactly(length & 0x7F)
                    self.sockets[int.from_bytes(content[:2], "big")] += 1
                except (asyncio.IncompleteReadError, OSError):
                    self.sockets[0] += 1

    @asynccontextmanager
    async def _open(self, head: str, status: bytes) -> AsyncIterator[asyncio.StreamReader]:
        """A connection whose request was answered with `status`."""
        async with asyncio.timeout(SWAP_SECONDS_MAX):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.daemon.port)
        try:
            writer.write(head.encode())
            async with asyncio.timeout(SWAP_SECONDS_MAX):
                answer = await reader.readuntil(b"\r\n\r\n")
            assert status in answer.split(b"\r\n", 1)[0], answer
            yield reader
        finally:
            writer.close()
