"""A database brought back from its replica: by `litestream restore`, and by us, in one interleaved run.

    python -m bench.restore [ROUNDS]

The replica is a folder; in it lies a database of 1, 10 or 100 MB with 50 transactions after the first. Each round does
in turn: the command as it is; the command with its own integrity check; and our restore, which lists, plans, fetches,
puts together and checks, the last two in the sandbox. Prints medians; the exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.isolation import bar
from steadyd.backup.chain import Chain
from steadyd.backup.objects import Objects
from steadyd.runner import engine
from steadyd.runner.folder import Place
from steadyd.runner.ground import UID_FIRST
from steadyd.runner.tool import Tools
from steadyd.runner.trash import Trash
from tests.backup.writer import Writer, writer

MEGABYTES = (1, 10, 100)
TRANSACTIONS = 50
ROW_BYTES = 100_000
COMMAND, CHECKED, OURS = "litestream restore", "with its own check", "steadyd"
RATIO_MAX = 1.25
"""Of the command with a check, where a database is large enough for the start of processes not to count."""


def fill(folder: Path, megabytes: int) -> Writer:
    """A replica whose first transaction holds nearly all of it."""
    with writer(folder) as found:
        found.write(max(1, (megabytes << 20) // ROW_BYTES), ROW_BYTES)
        for _ in range(TRANSACTIONS):
            found.write(1, 400)
    return found


async def measure(root: Path, found: Writer, built: engine.Engine, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each, one after the other in every round."""
    uid = UID_FIRST + 7 if os.geteuid() == 0 else None
    chain = Chain(Objects(found.target), Tools(built, True), Trash(root / "trash"))
    place, txid, target = Place(root / "app", uid), found.history[-1].txid, root / "restored"

    async def command(*words: str) -> None:
        run = [str(built.litestream), "restore", *words, "-txid", f"{txid:016x}", "-o", str(target)]
        await asyncio.to_thread(
            subprocess.run, [*run, f"file://{found.objects}"], check=True, stdout=subprocess.DEVNULL
        )

    async def ours() -> None:
        await chain.restore(found.line, txid, target, place)

    ways: dict[str, Callable[[], Awaitable[None]]] = {
        COMMAND: command,
        CHECKED: lambda: command("-integrity-check", "full"),
        OURS: ours,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            await way()
            times[name].append((time.perf_counter() - began) * 1000)
            target.unlink()
    return times


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    print(f"| ms, median of {rounds} | {COMMAND} | {CHECKED} | {OURS} | × checked |\n|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as parent:
        root = Path(parent)
        root.chmod(0o711)
        built = engine.prepare(root / "engine")
        ratio = 0.0
        for megabytes in MEGABYTES:
            folder = root / f"{megabytes}"
            folder.mkdir(mode=0o711)
            times = asyncio.run(measure(folder, fill(folder, megabytes), built, rounds))
            medians = {name: statistics.median(found) for name, found in times.items()}
            ratio = medians[OURS] / medians[CHECKED]
            said = " | ".join(f"{medians[name]:.0f}" for name in (COMMAND, CHECKED, OURS))
            print(f"| {megabytes} MB | {said} | {ratio:.2f} |", flush=True)
        return bar(f"restore of {MEGABYTES[-1]} MB, above the command with its check", ratio, RATIO_MAX, "×")


if __name__ == "__main__":
    sys.exit(main())
