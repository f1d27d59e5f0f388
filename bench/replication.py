"""What replication costs: a write that waits for the replica, and databases that do nothing.

    python -m bench.replication [ROUNDS] [SECONDS]

Waiting: a commit alone, and a commit that is in the replica (a folder) when it is answered, in turn. Idle: 200 apps
with a database each, asleep and awake in turn, for so many seconds each time, and beside them in the same seconds
Litestream's own way, which watches a folder with 200 more. Prints medians; the exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.isolation import bar
from steadyd.model import AppState
from steadyd.runner.engine import find_litestream
from tests.backup.replicas import Replicas, opened, replicas, write

APPS = 200
WRITES = 200
WATCHING, ASLEEP, AWAKE = "Litestream watching a folder", "steadyd, asleep", "steadyd, awake"
WAIT_MS_MAX = 10.0
ASLEEP_CPU_SECONDS_MAX = 1.0
"""Per minute, of Litestream and the daemon's part together."""


async def waiting(here: Replicas) -> tuple[list[float], list[float]]:
    """Milliseconds of a commit, and of one that is in the replica, in turn."""
    app_id, folder = await here.app("waiting")
    alone, replicated = list[float](), list[float]()
    with closing(opened(folder / "data.sqlite")) as db:
        db.execute("PRAGMA synchronous = FULL")
        here.wake(app_id)
        await here.replication.sync(app_id)
        for _ in range(WRITES):
            for times, wait in ((alone, False), (replicated, True)):
                began = time.perf_counter()
                db.execute("INSERT INTO t (at) VALUES ('now')")
                db.commit()
                if wait:
                    await here.replication.sync(app_id)
                times.append((time.perf_counter() - began) * 1000)
    here.sleep(app_id)
    return alone, replicated


@contextmanager
def watching(root: Path) -> Iterator[psutil.Process]:
    """Litestream as its documentation starts it for a folder of databases."""
    folder, target = root / "watched", root / "watched-replica"
    for number in range(APPS):
        (folder / f"{number}").mkdir(parents=True)
        write(folder / f"{number}" / "data.db")
    replica = {"type": "file", "path": str(target)}
    one = {"dir": str(folder), "pattern": "*.db", "recursive": True, "watch": True, "replica": replica}
    (root / "watched.yml").write_text(json.dumps({"dbs": [one], "logging": {"level": "error"}}))
    command = [str(find_litestream()), "replicate", "-config", str(root / "watched.yml")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def child_of(group: int) -> psutil.Process:
    [child] = Path(f"/proc/{group}/task/{group}/children").read_text().split()
    return psutil.Process(int(child))


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@dataclass(frozen=True)
class Use:
    """CPU seconds a minute of Litestream and of our part of it, and bytes of Litestream's memory."""

    litestream: float
    ours: float
    memory: int


async def idle(here: Replicas, other: psutil.Process, rounds: int, seconds: float) -> dict[str, list[Use]]:
    """Each in every round."""
    apps = []
    for number in range(APPS):
        app_id, folder = await here.app(f"idle-{number}")
        write(folder / "data.db")
        apps.append(app_id)
    processes = (child_of(here.litestream.group), psutil.Process(), other)
    found: dict[str, list[Use]] = {WATCHING: [], ASLEEP: [], AWAKE: []}
    for _ in range(rounds):
        for name, state in ((AWAKE, AppState.RUNNING), (ASLEEP, AppState.STOPPED)):
            for app_id in apps:
                here.replication.turned(app_id, state)
            await turned(here, apps, APPS if state is AppState.RUNNING else 0)
            before = [cpu(process) for process in processes]
            await asyncio.sleep(seconds)
            used = [(cpu(process) - began) * 60 / seconds for process, began in zip(processes, before, strict=True)]
            found[name].append(Use(used[0], used[1], processes[0].memory_info().rss))
            found[WATCHING].append(Use(used[2], 0.0, other.memory_info().rss))
    return found


async def turned(here: Replicas, apps: list[str], registered: int) -> None:
    """Until as many are registered, and all are replicated."""
    for _ in range(600):
        known = len(await here.litestream.wire.registered())
        if known == registered and all(here.replication.status(app_id).health == "ok" for app_id in apps):
            return
        await asyncio.sleep(0.1)
    raise TimeoutError(f"{registered} databases are not registered")


async def measure(root: Path, rounds: int, seconds: float) -> int:
    async with replicas(root) as here:
        alone, replicated = await waiting(here)
        with watching(root) as other:
            found = await idle(here, other, rounds, seconds)
    print(f"| ms, of {WRITES} | p50 | p95 |\n|---|---:|---:|")
    for name, times in (("a commit", alone), ("a commit that is in the replica", replicated)):
        print(f"| {name} | {statistics.median(times):.2f} | {sorted(times)[int(len(times) * 0.95)]:.2f} |")
    print(f"\n| {APPS} databases, CPU s a minute, {rounds} × {seconds:g} s | Litestream | the daemon | RSS MiB |")
    print("|---|---:|---:|---:|")
    for name, uses in found.items():
        columns = zip(*((use.litestream, use.ours, use.memory / (1 << 20)) for use in uses), strict=True)
        litestream, ours, memory = (statistics.median(column) for column in columns)
        print(f"| {name} | {litestream:.2f} | {ours:.2f} | {memory:.0f} |")
    added = statistics.median(replicated) - statistics.median(alone)
    asleep = statistics.median(use.litestream + use.ours for use in found[ASLEEP])
    worst = bar("added to a commit by waiting for the replica", added, WAIT_MS_MAX, "ms")
    return max(worst, bar(f"{APPS} sleeping databases", asleep, ASLEEP_CPU_SECONDS_MAX, "CPU s a minute"))


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
    with tempfile.TemporaryDirectory() as parent:
        root = Path(parent)
        root.chmod(0o711)
        return asyncio.run(measure(root, rounds, seconds))


if __name__ == "__main__":
    sys.exit(main())
