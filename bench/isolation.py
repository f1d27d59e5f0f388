"""What isolation costs: starts against bare runtimes, frozen wakes, memory, the loop's stalls, and a crowd at rest.

    python -m bench.isolation [--rounds 40] [--apps 1000] [--frozen 300] [--only starts|memory|crowd]

Each part is one interleaved run. Prints medians, ratios and the bars; the exit code is 1 if one is missed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import httpx

from bench.processes import family
from bench.runtimes import BUN, contestants, exchange, interleaved, start
from tests.served import Daemon, data_folder, remove, until

START_RATIO_MAX = 1.5
FROZEN_EXTRA_MS_MAX = 0.7
PSS_MIB_MAX = 3.2
COPIES = 20
REST_SECONDS = 10.0
REST_CPU_PERCENT_MAX = 1.0
STALL_MS_MAX = 0.5
FREEZE_SECONDS_MAX = 30.0
CREATING = 4
"""Apps that are made at once, for the crowd."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--apps", type=int, default=1_000)
    parser.add_argument("--frozen", type=int, default=300)
    parser.add_argument("--only", choices=("starts", "memory", "crowd"))
    options = parser.parse_args()
    parts: dict[str, Callable[[], int]] = {
        "starts": lambda: starts(options.rounds),
        "memory": memory,
        "crowd": lambda: crowd(options.apps, options.frozen),
    }
    missed = sum(part() for name, part in parts.items() if options.only in (None, name))
    return 1 if missed else 0


def bar(what: str, value: float, most: float, unit: str) -> int:
    """Print one bar; 1 if it is missed."""
    print(f"  {what}: {value:.2f} {unit}, bar {most:g}: {'met' if value <= most else 'MISSED'}", flush=True)
    return int(value > most)


def is_frozen(client: httpx.Client, name: str) -> bool:
    return bool(client.get(f"/api/apps/{name}").json()["app"]["state"] == "frozen")


def until_frozen(client: httpx.Client, names: Iterable[str]) -> None:
    for name in names:
        until(partial(is_frozen, client, name), FREEZE_SECONDS_MAX)


def starts(rounds: int) -> int:
    """From zero, from the freezer, and awake, through the front door; beside bare runtimes."""
    data = data_folder()
    with tempfile.TemporaryDirectory(prefix="steadyd-bench-") as name:
        folder, stalls = Path(name), Path(name) / "stalls"
        daemon = Daemon(data, "--freeze", "1s", before=[sys.executable, "-m", "bench.timed", str(stalls)])
        client, front = daemon.client, socket.create_connection(("127.0.0.1", daemon.port))
        never = {"package.json": '{"steady": {"idle": "never"}}'}
        try:
            daemon.create("cold", {"index.ts": BUN})
            daemon.create("frozen", {"index.ts": BUN})
            daemon.create("awake", {"index.ts": BUN, **never})

            def asked(app: str) -> float:
                began = time.perf_counter()
                exchange(front, f"{app}.localhost")
                return (time.perf_counter() - began) * 1000

            def from_zero() -> float:
                client.post("/api/apps/cold/stop").raise_for_status()
                return asked("cold")

            def from_the_freezer() -> float:
                until_frozen(client, ["frozen"])
                return asked("frozen")

            asked("awake")
            bare = {name: partial(start, command, folder) for name, command in contestants(folder).items()}
            figures = interleaved(
                {
                    **bare,
                    "sandboxed, from zero": from_zero,
                    "frozen": from_the_freezer,
                    "awake": lambda: asked("awake"),
                },
                rounds,
            )
            stalled = [float(line) for line in stalls.read_text().split()]
        finally:
            daemon.stop()
            remove(data)
    return report_starts(figures, stalled)


def report_starts(figures: dict[str, list[float]], stalled: list[float]) -> int:
    middle = {name: statistics.median(values) for name, values in figures.items()}
    bare, stall = middle["bare bun"], statistics.median(stalled)
    print(f"{len(figures['bare bun'])} rounds; from nothing, or from sleep, to the first answer")
    for name, values in figures.items():
        late = statistics.quantiles(values, n=20)[-1]
        print(f"{name:22} p50 {middle[name]:7.2f} ms   p95 {late:7.2f} ms   x{middle[name] / bare:.2f} bare bun")
    print(f"{'loop stalled by a start':22} p50 {stall:6.2f} ms   max {max(stalled):7.2f} ms")
    return (
        bar("sandboxed from zero / bare bun", middle["sandboxed, from zero"] / bare, START_RATIO_MAX, "x")
        + bar("frozen - awake", middle["frozen"] - middle["awake"], FROZEN_EXTRA_MS_MAX, "ms")
        + bar("loop stalled by a start, p50", stall, STALL_MS_MAX, "ms")
    )


def memory() -> int:
    """PSS (proc_pid_smaps(5)) of all processes of idle copies of a hello, bubblewrap's included."""
    data = data_folder()
    daemon = Daemon(data, "--freeze", "1s")
    try:
        for number in range(COPIES):
            daemon.create(f"copy-{number}", {"index.ts": BUN})
            assert daemon.ask(f"copy-{number}").text == "hello"
        with daemon.client as client:
            until_frozen(client, [f"copy-{number}" for number in range(COPIES)])
        pids = instance_processes(daemon)
        each = sum(pss_mib(pid) for pid in pids) / COPIES
        ours = [daemon.process.pid, parent_of_apps(daemon)]
        print(f"{COPIES} idle hellos, {len(pids)} processes; daemon and parent {sum(map(pss_mib, ours)):.1f} MiB")
        return bar("PSS of one", each, PSS_MIB_MAX, "MiB")
    finally:
        daemon.stop()
        remove(data)


def instance_processes(daemon: Daemon) -> set[int]:
    """Every process that sees an app's folder, and what stands above it, up to the parent of all instances."""
    parent = parent_of_apps(daemon)
    found = set()
    for pid in daemon.instances():
        while pid not in (0, 1, parent, daemon.process.pid):
            found.add(pid)
            pid = above(pid)
    return found


def parent_of_apps(daemon: Daemon) -> int:
    """steadyd/runner/parent.py, which starts everything."""
    return next(pid for pid in family(daemon.process.pid)[1:] if "runner/parent.py" in command_line(pid))


def above(pid: int) -> int:
    """Its parent; 0 if it is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def pss_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def crowd(apps: int, frozen: int) -> int:
    """Many apps registered, some of them frozen, nobody asking: what the daemon does all day."""
    data = data_folder()
    daemon = Daemon(data, "--freeze", "2s", "--idle", "1h")
    try:
        names = [f"crowd-{number}" for number in range(apps)]
        with daemon.client as client, concurrent.futures.ThreadPoolExecutor(CREATING) as threads:

            def make(name: str) -> None:
                client.post("/api/apps", json={"name": name, "files": {"index.ts": BUN}}).raise_for_status()
                if name not in resting:
                    client.post(f"/api/apps/{name}/stop").raise_for_status()

            resting = set(names[:frozen])
            list(threads.map(make, names))
            until_frozen(client, resting)
        before = cpu(daemon)
        time.sleep(REST_SECONDS)
        after = cpu(daemon)
        percent = {name: (after[name] - before[name]) / REST_SECONDS * 100 for name in before}
        print(
            f"{apps} apps, {frozen} frozen, {REST_SECONDS:g} s: "
            + ", ".join(f"{n} {p:.2f} %" for n, p in percent.items())
        )
        return bar("CPU of the daemon with its helpers", sum(percent.values()), REST_CPU_PERCENT_MAX, "% of a core")
    finally:
        daemon.stop()
        remove(data)


def cpu(daemon: Daemon) -> dict[str, float]:
    """CPU seconds so far of all that is not an instance, by what it is."""
    seconds: dict[str, float] = {}
    for pid in set(family(daemon.process.pid)) - instance_processes(daemon):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            name = "daemon" if pid == daemon.process.pid else "its helpers"
            seconds[name] = seconds.get(name, 0.0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
