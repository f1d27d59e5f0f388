"""What it costs that an answer leaves only when the replica has what it tells of, in one interleaved run.

    python -m bench.durability [ROUNDS]

An app that keeps a row for each request is written to by 1, 8 and 32 clients: as bare Bun, and through the daemon with
`durability` `host` and `replica` (a folder on the same disk); and read from, where nothing has changed. Prints p50,
p95, answers a second, what each adds to the one before, and for one request the CPU of the daemon and all below it.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil

from steadyd.runner.engine import find_bun
from tests.e2e.test_durability import LEDGER
from tests.objectstore import free_port
from tests.served import Daemon, Wire, data_folder, remove, until

ROUNDS = 8
ASKED = 96
"""Requests in one round, of all clients together."""
WRITERS = (1, 8, 32)
WAYS = ("plain", "host", "replica")


class Way:
    """One way to reach the app."""

    def __init__(self, name: str, port: int, process: int) -> None:
        self.name = name
        self.port = port
        self.process = psutil.Process(process)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.rates: dict[str, list[float]] = defaultdict(list)
        self.cpu: dict[str, float] = defaultdict(float)
        self._number = 0

    def cpu_seconds(self) -> float:
        """Used so far, by the process and all below it that live."""
        total = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            try:
                times = process.cpu_times()
                total += times.user + times.system
            except psutil.NoSuchProcess:
                continue
        return total

    async def round(self, kind: str, clients: int, method: str) -> None:
        """ASKED requests by so many clients."""
        used, began = self.cpu_seconds(), time.perf_counter()
        await asyncio.gather(*(self._client(kind, ASKED // clients, method) for _ in range(clients)))
        self.rates[kind].append(ASKED // clients * clients / (time.perf_counter() - began))
        self.cpu[kind] += self.cpu_seconds() - used

    async def _client(self, kind: str, count: int, method: str) -> None:
        wire = Wire(self.port, f"on-{self.name}.localhost")
        for _ in range(count):
            self._number += 1
            began = time.perf_counter()
            status, said = await wire.ask(method, "/", f"{self.name}-{self._number}".encode())
            self.seconds[kind].append(time.perf_counter() - began)
            assert status == 200, (status, said)
        wire.close()


def bare(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """The same file run by Bun alone."""
    port = free_port()
    (folder / "index.ts").write_text(LEDGER.replace("Bun.serve({", f"Bun.serve({{ port: {port},"))
    process = subprocess.Popen([str(find_bun()), "index.ts"], cwd=folder, stdout=subprocess.DEVNULL)
    until(lambda: psutil.Process(process.pid).net_connections(), 10)
    return process, port


async def measure(ways: list[Way], rounds: int) -> None:
    for number in range(rounds + 1):
        for clients in WRITERS:
            for way in ways:
                await way.round(f"write, {clients}", clients, "POST")
        for way in ways:
            await way.round("read, 8", 8, "GET")
        if not number:  # the first is for warmth
            for way in ways:
                for figures in (way.seconds, way.rates, way.cpu):
                    figures.clear()


def tell(ways: list[Way], rounds: int) -> None:
    print(f"{'':12} {'':9} {'p50 ms':>8} {'p95 ms':>8} {'adds ms':>8} {'ratio':>6} {'per s':>7} {'CPU ms':>7}")
    for kind in ways[0].seconds:
        before = 0.0
        for way in ways:
            seconds = sorted(way.seconds[kind])
            p50, p95 = statistics.median(seconds) * 1000, seconds[len(seconds) * 95 // 100] * 1000
            rate, cpu = statistics.median(way.rates[kind]), way.cpu[kind] / (rounds * ASKED) * 1000
            adds, ratio = (f"{p50 - before:8.2f}", f"{p50 / before:6.2f}") if before else (" " * 8, " " * 6)
            print(f"{kind:12} {way.name:9} {p50:8.2f} {p95:8.2f} {adds} {ratio} {rate:7.0f} {cpu:7.2f}")
            before = p50


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    daemon = Daemon(data_folder())
    with tempfile.TemporaryDirectory(dir=daemon.data.parent) as folder:
        alone, port = bare(Path(folder))
        try:
            for name in WAYS[1:]:
                daemon.create(f"on-{name}", {"index.ts": LEDGER})
                daemon.api("PATCH", f"/apps/on-{name}/settings", json={"durability": name}).raise_for_status()
            ways = [Way("plain", port, alone.pid), *(Way(n, daemon.port, daemon.process.pid) for n in WAYS[1:])]
            asyncio.run(measure(ways, rounds))
            tell(ways, rounds)
        finally:
            alone.kill()
            alone.wait()
            daemon.stop()
            remove(daemon.data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
