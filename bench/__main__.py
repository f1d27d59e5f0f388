"""`make bench`: every benchmark, one after the other. `python -m bench.NAME --help` tells what one of them takes."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = (
    "bench.proxy",
    "bench.websocket",
    "bench.cold_start",
    "bench.deploy",
    "bench.fork",
    "bench.change",
    "bench.isolation",
    "bench.restore",
    "bench.durability",
    "bench.replication",
    "bench.pages",
)


def main() -> int:
    """The worst exit code: 1 where a bar is missed."""
    worst = 0
    for name in BENCHMARKS:
        print(f"== {name}", flush=True)
        worst = max(worst, subprocess.run([sys.executable, "-m", name], check=False).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
