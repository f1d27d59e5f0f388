"""Proxied WebSocket echoes: steadyd's splice against the peers, in one interleaved run.

`python -m bench.websocket` keeps a number of sockets busy, each with one message on its way, and prints echoes per
second and the proxy's CPU seconds per 10,000 echoes (20,000 frames passed on). Medians of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import cast

import uvloop

from bench.load import HOST
from bench.peers import PEERS
from bench.processes import cpu_seconds
from bench.proxy import Contestant, rotated, start

UPGRADE = (
    f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()
MASK = bytes(4)


class Talker(asyncio.Protocol):
    """One socket: sends the next message when the last has come back."""

    def __init__(self, size: int) -> None:
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        self.message = b"\x82" + length + MASK + bytes(size)
        self.echo_bytes = len(self.message) - len(MASK)
        self.left = 0
        self.echoes = 0
        self.open = False
        self.transport = cast(asyncio.Transport, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(UPGRADE)

    def data_received(self, data: bytes) -> None:
        if not self.open:
            if not data.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(data[:200])
            self.open = True
        else:
            self.left -= len(data)
            if self.left > 0:
                return
            self.echoes += 1
        self.left = self.echo_bytes
        self.transport.write(self.message)


async def talk(port: int, sockets: int, size: int, seconds: float) -> int:
    """Echoes in that time."""
    loop = asyncio.get_running_loop()
    talkers = [(await loop.create_connection(lambda: Talker(size), "127.0.0.1", port))[1] for _ in range(sockets)]
    await asyncio.sleep(seconds)
    for talker in talkers:
        talker.transport.abort()
    return sum(talker.echoes for talker in talkers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--sockets", type=int, default=64)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 16_384], help="of a message in bytes")
    parser.add_argument("--only", nargs="+", default=list(PEERS), choices=PEERS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        contestants = start(stack, Path(folder), options.only, "websocket.ts")
        for size in options.sizes:
            print(f"\n{size} bytes, {options.sockets} sockets\n{'':9} echoes/s  CPU-s/10k")
            for name, (rate, cpu) in _compare(contestants, options, size).items():
                print(f"{name:9} {rate:8.0f} {cpu:10.3f}")


def _compare(contestants: list[Contestant], options: argparse.Namespace, size: int) -> dict[str, tuple[float, float]]:
    rates, cpus = defaultdict(list), defaultdict(list)
    for number in range(options.rounds):
        for contestant in rotated(contestants, number):
            before = cpu_seconds(contestant.pid)
            echoes = uvloop.run(talk(contestant.port, options.sockets, size, options.seconds))
            rates[contestant.name].append(echoes / options.seconds)
            cpus[contestant.name].append((cpu_seconds(contestant.pid) - before) / echoes * 10_000)
    return {name: (statistics.median(rates[name]), statistics.median(cpus[name])) for name in rates}


if __name__ == "__main__":
    main()
