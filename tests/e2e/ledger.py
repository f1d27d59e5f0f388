"""A ledger: clients that write rows into one app while it is changed, put to sleep, and killed, with everything under
it. Afterwards every moment that can be restored must be a prefix of what was committed, and what it claims to be.

One process of the app writes at a time and ids are given in order, so the rows of a moment are 1 … n without a gap; a
row carries when it was committed, by the clock that everybody here shares.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.served import Daemon, Wire, pids

NAME = "ledger"
WRITERS = 8
SOURCE = """
import { Database } from "bun:sqlite";
import { version } from "./version";
const db = new Database("ledger.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, at REAL NOT NULL)");
const add = db.query("INSERT INTO rows (key, at) VALUES (?, ?) RETURNING id");
export default {
  async fetch(request: Request) {
    if (request.method !== "POST") return Response.json({ version });
    const key = await request.text();
    return Response.json(add.get(key, Date.now() / 1000));
  },
};
"""


def version(number: int) -> dict[str, str]:
    """What changes from one version to the next."""
    return {"version.ts": f"export const version = {number};"}


@dataclass(frozen=True)
class Row:
    """One acknowledged row: its id, and when it was asked for and acknowledged, seconds since 1970."""

    id: int
    began: float
    ended: float


@dataclass
class Ledger:
    """The app, its writers, and what they were told."""

    daemon: Daemon
    seed: int
    acknowledged: list[Row] = field(default_factory=list)
    failures: list[object] = field(default_factory=list)
    """Answers that were none, while nothing was killed."""
    done: list[str] = field(default_factory=list)
    """What was done to it, in order."""
    _killing: int = 0
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, seconds: float, pause: float = 0.002) -> None:
        """So long, and until each was done once: writers write, and one thing after the other is done to the app.
        `pause` is between two rows."""
        writers = [asyncio.create_task(self._write(number, pause)) for number in range(WRITERS)]
        choice, deadline, number = random.Random(self.seed), time.monotonic() + seconds, 2
        deeds = list(DEEDS)
        while time.monotonic() < deadline or len(set(self.done)) < len(deeds):
            choice.shuffle(deeds)
            for name in deeds:
                if time.monotonic() < deadline or name not in self.done:
                    await DEEDS[name](self, number)
                    self.done.append(name)
                    number += 1
                    await asyncio.sleep(choice.uniform(0.1, 1.0))  # so long nothing happens, which is a deed too
        self._stopping.set()
        await asyncio.gather(*writers)

    # Deeds

    async def deploy(self, number: int) -> None:
        body = {"files": version(number), "merge": True, "trial": False}
        assert (await self._api("deploys", body)).status_code == 201

    async def sleep(self, number: int) -> None:
        assert (await self._api("stop", {})).status_code == 200

    async def point(self, number: int) -> None:
        """Where Litestream was just killed, there is none until it is back, and that is said."""
        deadline = time.monotonic() + 20.0
        while (answer := await self._api("backups", {"note": str(number)})).status_code != 201:
            assert answer.json()["error"]["code"] == "replica_away", answer.text
            assert time.monotonic() < deadline, answer.text
            await asyncio.sleep(0.1)

    async def rest(self, number: int) -> None:
        """Nobody writes for a moment: the app is frozen."""
        self._killing += 1  # writers wait
        await asyncio.sleep(1.5)
        self._killing -= 1

    async def kill_app(self, number: int) -> None:
        async with self._killed():
            for pid in self.daemon.instances():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    async def kill_litestream(self, number: int) -> None:
        for pid in litestreams(self.daemon):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def kill_daemon(self, number: int) -> None:
        async with self._killed():
            await asyncio.to_thread(self.daemon.kill)
            await asyncio.to_thread(self.daemon.start, f"127.0.0.1:{self.daemon.port}")

    # Private

    async def _api(self, path: str, body: dict[str, Any]) -> Any:
        return await asyncio.to_thread(self.daemon.api, "POST", f"/apps/{NAME}/{path}", json=body)

    @contextlib.asynccontextmanager
    async def _killed(self) -> Any:
        """Whoever has a request under way may be told nothing."""
        self._killing += 1
        try:
            yield
            await asyncio.to_thread(self.daemon.ask, NAME)
        finally:
            self._killing -= 1

    async def _write(self, number: int, pause: float) -> None:
        wire, count, host = Wire(self.daemon.port, f"{NAME}.localhost"), 0, f"{number}"
        while not self._stopping.is_set():
            if self._killing:
                await asyncio.sleep(0.01)
                continue
            began, count = time.time(), count + 1
            try:
                async with asyncio.timeout(30):
                    status, body = await wire.ask("POST", "/", f"{host}-{count}".encode())
            except (OSError, asyncio.IncompleteReadError) as error:
                wire.close()
                self._failed(error)
                continue
            if status == 200:
                self.acknowledged.append(Row(json.loads(body)["id"], began, time.time()))
            else:
                self._failed((status, body))
            await asyncio.sleep(pause)
        wire.close()

    def _failed(self, failure: object) -> None:
        if not self._killing:
            self.failures.append(failure)


DEEDS: dict[str, Callable[[Ledger, int], Awaitable[None]]] = {
    "deploy": Ledger.deploy,
    "sleep": Ledger.sleep,
    "point": Ledger.point,
    "rest": Ledger.rest,
    "kill the app": Ledger.kill_app,
    "kill Litestream": Ledger.kill_litestream,
    "kill the daemon": Ledger.kill_daemon,
}


def litestreams(daemon: Daemon) -> list[int]:
    """Pids of this daemon's Litestream."""
    found = []
    for pid in pids():
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            if name == "litestream" and b"replicate" in words and _below(pid, daemon.process.pid):
                found.append(pid)
    return found


@dataclass(frozen=True)
class Found:
    """What is in a restored database."""

    ids: list[int]
    newest: float
    """When its last row was committed; 0 for none."""


def read(path: Path) -> Found:
    """Asserts that SQLite finds nothing wrong with it."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type='table'")]
        if "rows" not in tables:
            return Found([], 0.0)
        rows = database.execute("SELECT id, at FROM rows ORDER BY id").fetchall()
    return Found([row[0] for row in rows], rows[-1][1] if rows else 0.0)


# Private


def _below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        with contextlib.suppress(OSError):
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            continue
        return False
    return False
