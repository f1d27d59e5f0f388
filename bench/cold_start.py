"""Cold start through the front door against bare Bun, and POST-to-live, in one interleaved run.

    python -m bench.cold_start [ROUNDS]

Each round does, in turn: start bare `bun index.ts` until the first answer; put the app to sleep
and ask it through the proxy; the same with a mid-sized app (middle.ts, its packages from the
registry), as it is deployed and from source; deploy a changed file; create an app. Prints medians,
p95 and ratios.
"""

from __future__ import annotations

import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from bench.runtimes import BUN, contestants, exchange, interleaved, start
from tests.served import Daemon, data_folder, remove

MIDDLE = Path(__file__).with_name("middle.ts")


def wake(client: httpx.Client, front: socket.socket, name: str) -> float:
    """Milliseconds of the request that wakes the app, on a connection that is open already."""
    client.post(f"/api/apps/{name}/stop").raise_for_status()
    began = time.perf_counter()
    exchange(front, f"{name}.localhost")
    return (time.perf_counter() - began) * 1000


def timed(call: Callable[[], httpx.Response]) -> float:
    began = time.perf_counter()
    call().raise_for_status()
    return (time.perf_counter() - began) * 1000


def measure(daemon: Daemon, folder: Path, rounds: int) -> dict[str, list[float]]:
    """The figures of every round."""
    bare = contestants(folder)["bare bun"]
    client = daemon.client
    front = socket.create_connection(("127.0.0.1", daemon.port))
    files = {"index.ts": BUN}
    client.put("/api/apps/cold", json={"files": files}).raise_for_status()
    client.put("/api/apps/changed", json={"files": files}).raise_for_status()
    middle = {"index.ts": MIDDLE.read_text()}
    client.put("/api/apps/middle", json={"files": middle}).raise_for_status()
    # Only what was tried as bytecode runs as bytecode.
    client.put("/api/apps/source", json={"files": middle, "trial": False}).raise_for_status()
    number = iter(range(10**9))

    def deploy() -> float:
        merge = {"merge": True, "files": {"n.ts": f"export const n = {next(number)};"}}
        return timed(lambda: client.post("/api/apps/changed/deploys", json=merge))

    steps = {
        "bare bun": lambda: start(bare, folder),
        "wake through the proxy": lambda: wake(client, front, "cold"),
        "wake a mid-sized app": lambda: wake(client, front, "middle"),
        "wake it from source": lambda: wake(client, front, "source"),
        "deploy (POST to live)": deploy,
        "create (POST to live)": lambda: timed(lambda: client.post("/api/apps", json={"files": files})),
    }
    return interleaved(steps, rounds)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    data = data_folder()
    daemon = Daemon(data)
    try:
        with tempfile.TemporaryDirectory(prefix="steadyd-bench-") as name:
            folder = Path(name)
            figures = measure(daemon, folder, rounds)
    finally:
        daemon.stop()
        remove(data)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    bare = statistics.median(figures["bare bun"])
    print(f"{rounds} rounds; CPU of the daemon and everything started: {usage.ru_utime + usage.ru_stime:.2f} s")
    ratio = statistics.median(figures["wake a mid-sized app"]) / statistics.median(figures["wake it from source"])
    print(f"a mid-sized app takes x{ratio:.2f} of its start from source")
    for name, values in figures.items():
        middle, late = statistics.median(values), statistics.quantiles(values, n=20)[-1]
        print(
            f"{name:26} p50 {middle:7.1f} ms   p95 {late:7.1f} ms   min {min(values):7.1f} ms   "
            f"x{middle / bare:.2f} bare bun"
        )


if __name__ == "__main__":
    main()
